"""Training from names and paths, as the command does it."""

import inspect
import logging
from shutil import copytree

import pytest
import torch

import maxtunnel
from maxtunnel.data import prepare, read_photographs
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.training import train as train_module
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.recipes import STRONG
from maxtunnel.training.runs import make_config, resume_run, start_run, train

pytestmark = pytest.mark.usefixtures("one_thread")
QUICK = {"steps": 4, "size": 16, "precision": "32"}


def same(a, b):
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_names_and_paths_train_as_the_command_does(tmp_path, photographs_folder):
    config = make_config("train", "fast", photographs_folder, None, **QUICK)
    expected, _ = start_run("4-4", config, tmp_path / "command")
    network = maxtunnel.train("4-4", str(photographs_folder), str(tmp_path / "python"), **QUICK)
    assert same(network, expected)
    assert TrainingConfig.load(tmp_path / "python") == TrainingConfig.load(tmp_path / "command")
    assert same(TunnelNetwork.load(tmp_path / "python" / "model.safetensors"), network)
    assert network.provenance.training.size == 16


def test_the_defaults_are_those_of_the_command(tmp_path, photographs_folder, monkeypatch):
    class Begun(Exception):
        pass

    def stop(network, data, val, out, config, *_):
        raise Begun(config)

    monkeypatch.setattr("maxtunnel.training.runs._run", stop)
    with pytest.raises(Begun) as begun:
        train("4-4", photographs_folder, tmp_path / "run")
    assert begun.value.args[0] == make_config("train", "fast", photographs_folder, None)


def test_a_store_an_architecture_and_a_tensor_give_the_same(tmp_path, photographs_folder):
    prepare(photographs_folder, tmp_path / "store", size=16)
    expected = train("4-4", photographs_folder, tmp_path / "a", **QUICK)
    assert same(train(Architecture((4, 4)), tmp_path / "store", tmp_path / "b", **QUICK), expected)
    pixels = read_photographs(photographs_folder, 16).pixels
    assert same(train("4-4", pixels, tmp_path / "c", steps=4, precision="32"), expected)
    assert TrainingConfig.load(tmp_path / "c").size == 16


def test_a_network_or_a_model_is_trained_further(tmp_path, photographs_folder):
    others = copytree(photographs_folder / "class0", tmp_path / "others")
    first = train("4-4", photographs_folder, tmp_path / "first", val=others, **QUICK)
    before = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    by_name = train(tmp_path / "first", photographs_folder, tmp_path / "second", **QUICK)
    assert train(first, photographs_folder, tmp_path / "third", **QUICK) is first
    assert same(by_name, first)
    assert torch.equal(first.mean, before["mean"])
    assert not torch.equal(first.decoder.bias_code, before["decoder.bias_code"])


def test_what_makes_no_sense_is_refused_before_anything_is_read(tmp_path, photographs_folder):
    with pytest.raises(FormatError, match="no model 'big'"):
        train("big", photographs_folder, tmp_path / "run")
    with pytest.raises(ValueError, match="which is `data` too"):
        train("4-4", photographs_folder, tmp_path / "run", val=photographs_folder)
    # Without the checks of types that tests run under.
    check = inspect.unwrap(train_module._check_some)
    with pytest.raises(ValueError, match=r"`photographs` are torch\.float32: give uint8"):
        check(torch.rand(2, 3, 16, 16))


def test_what_was_skipped_is_logged(tmp_path, photographs_folder, caplog):
    folder = tmp_path / "some"
    folder.mkdir()
    for file in sorted(photographs_folder.rglob("*.*"))[:3]:
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "bad.png").write_bytes(b"")
    with caplog.at_level(logging.WARNING, logger="maxtunnel"):
        train("4-4", folder, tmp_path / "run", **QUICK)
    assert f"skipped: {folder / 'bad.png'} is empty" in caplog.text


def test_a_decoder_is_trained_further_as_what_it_is(tmp_path, photographs_folder):
    strong = train("4-4", photographs_folder, tmp_path / "a", decoder="strong", width=6, batch=4, **QUICK)
    first = strong.provenance.training
    again = train(tmp_path / "a", photographs_folder, tmp_path / "b", batch=4, **QUICK)
    config = TrainingConfig.load(tmp_path / "b")
    assert (config.decoder, config.width) == ("strong", 6)
    assert config.recipe.learning_rate == STRONG.learning_rate
    assert again.provenance.earlier == first
    with pytest.raises(ValueError, match="`decoder` is mirrored, but that of this 4-4 is strong"):
        train(strong, photographs_folder, tmp_path / "c", decoder="mirrored", **QUICK)
    with pytest.raises(ValueError, match="`start` is a, but `network` is a model already"):
        train(strong, photographs_folder, tmp_path / "c", start="a", **QUICK)
    config = make_config("train", "fast", photographs_folder, None, start=str(tmp_path / "a"), **QUICK)
    with pytest.raises(ValueError, match="whose decoder is strong: give `decoder` strong"):
        start_run("4-4", config, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_run_from_memory_is_not_resumed_from_the_current_folder(tmp_path, photographs_folder, monkeypatch):
    pixels = read_photographs(photographs_folder, 16).pixels
    train("4-4", pixels, tmp_path / "run", steps=4, precision="32")
    monkeypatch.chdir(photographs_folder)
    with pytest.raises(ValueError, match="photographs from memory: go on with `train_decoder`"):
        resume_run(tmp_path / "run")


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("batch", 0), ("learning_rate", 0.0)])
def test_zero_is_not_the_recipes_own_number(name, value):
    with pytest.raises(ValueError, match=f"`{name}` is {value}: expected a number above 0"):
        make_config("train", "fast", None, None, **{name: value})
