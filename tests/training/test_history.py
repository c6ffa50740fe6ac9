import signal

import pytest
import torch
from small_runs import new_network, pictures, short, weights

from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.history import history_file, is_kept, read_history
from maxtunnel.training.loop import TrainingStopped
from maxtunnel.training.train import train_decoder, train_encoder

pytestmark = pytest.mark.usefixtures("one_thread")


def kept(run):
    """The weights of every step that a run kept, by step."""
    return {step: weights(TunnelNetwork.load(file)) for step, file in read_history(run)}


def test_steps_that_are_kept():
    assert [step for step in range(2001) if is_kept(step)] == [
        0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000,
    ]  # fmt: skip


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_a_resumed_run_keeps_what_one_that_was_never_stopped_keeps(tmp_path, average):
    config = TrainingConfig(recipe=short(120, average=average), history=True)
    whole = train_decoder(new_network(), pictures(), tmp_path / "whole", config)

    def interrupt(phase, done, of, note):
        if (phase, done) == ("train", 50):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingStopped, match="stopped at step 51"):
        train_decoder(new_network(), pictures(), tmp_path / "run", config, on_progress=interrupt)
    assert list(kept(tmp_path / "run")) == [0, 1, 2, 5, 10, 20, 50]
    train_decoder(new_network(7), pictures(), tmp_path / "run", config, resume=True)
    found, expected = kept(tmp_path / "run"), kept(tmp_path / "whole")
    assert list(found) == list(expected) == [0, 1, 2, 5, 10, 20, 50, 100, 120]
    assert all(torch.equal(found[step], expected[step]) for step in expected)
    # The last one is the network that the run leaves, and the first that with which it began.
    assert torch.equal(expected[120], weights(whole))
    assert torch.equal(expected[0], weights(new_network()))
    assert not torch.equal(expected[100], expected[120])


def test_keeping_changes_no_weight(tmp_path):
    """Not even where their average is swapped in to be kept."""
    without, beside = (
        train_decoder(
            new_network(),
            pictures(),
            tmp_path / str(history),
            TrainingConfig(recipe=short(30, average=0.5), history=history),
        )
        for history in (False, True)
    )
    assert torch.equal(weights(without), weights(beside))
    assert not (tmp_path / "False" / "history").exists()


def test_an_encoder_that_is_pretrained_has_a_history_too(tmp_path):
    labels = torch.arange(len(pictures())) % 2
    network = train_encoder(
        new_network(), pictures(), labels, tmp_path, TrainingConfig(recipe=short(3), history=True)
    )
    found = read_history(tmp_path)
    assert [step for step, _ in found] == [0, 1, 2, 3]
    last = TunnelNetwork.load(found[-1][1])
    assert torch.equal(weights(last), weights(network))
    assert last.provenance.pretraining.steps == 3


def test_a_run_without_a_history_is_refused(tmp_path):
    train_decoder(new_network(), pictures(), tmp_path / "run", TrainingConfig(recipe=short(3)))
    with pytest.raises(FormatError, match=r"holds 0 networks of a run's steps: give the folder of a run"):
        read_history(tmp_path / "run")
    history_file(tmp_path / "run", 0).parent.mkdir()
    history_file(tmp_path / "run", 0).touch()
    with pytest.raises(FormatError, match=r"holds 1 network of a run's steps"):
        read_history(tmp_path / "run")
