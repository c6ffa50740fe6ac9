"""Protecting a model, from photographs to weights and a report."""

import json
import os
import signal
from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from small_models import build, photographs
from torch import nn

from maxtunnel.data.images import to_float
from maxtunnel.protection import ProtectionConfig, protect, write_report
from maxtunnel.protection.conclusions import verdict, warnings
from maxtunnel.protection.outputs import Distillation, outputs_in
from maxtunnel.protection.tables import tabulate
from maxtunnel.support.files import FormatError

pytestmark = pytest.mark.usefixtures("one_thread")
SEEN, HELD = photographs(24), photographs(8, seed=1)
FEW = ProtectionConfig(weights=(0.0, 2.0), steps=2, width=4, images=8, alone=True)


def mean_of(model):
    return model(to_float(HELD)).mean((1, 2, 3))


@cache
def small_result(out):
    """A protection with all that there is."""
    config = ProtectionConfig(weights=(0.0, 2.0), steps=3, width=4, images=8)
    return protect(build(), SEEN, out, holdout=HELD, config=config, metric=mean_of)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("protected")
    return small_result(out), out


def test_the_lines_are_the_original_the_models_and_the_mitigations(found):
    result, _ = found
    names = [line.name for line in result.lines]
    assert names[:3] == ["original", "weight 0", "weight 2"]
    assert set(names[3:]) == {
        "fixed positions", "average pooling", "strided convolution", "deepest 1 of 2 levels only",
        "rows only", *(f"flipped with probability {share}" for share in (0.1, 0.25, 0.5)),
    }  # fmt: skip
    assert all(line.leak is not None for line in result.lines if line.bits)
    assert [line.leak for line in result.mitigations if not line.bits] == [None] * 3
    assert result.original.bits == 2 * 4 * (8 * 8 + 4 * 4)
    assert result.images == {"trained": 24, "measured": 8}


def test_the_control_is_the_original_read_by_another_draw(found):
    result, _ = found
    control = result.models[0]
    assert control.lost == 0
    assert control.score.change == 0
    assert control.leak.rmse != result.original.leak.rmse
    assert control.leak.rmse == pytest.approx(result.original.leak.rmse, rel=0.1)


def test_every_reader_has_equally_many_steps(found):
    result, _ = found
    assert {training.steps for training in result.readers} == {3}
    assert len({training.name for training in result.readers}) == len(result.readers) == 3 + 5


def test_the_files_hold_the_models_that_were_measured(found):
    result, out = found
    line = result.models[1]
    model = build()
    model.load_state_dict(load_file(out / line.file))
    with torch.no_grad():
        images = to_float(HELD)
        ours, theirs = outputs_in(model(images)), outputs_in(build()(images))
        kept = Distillation.of([outputs_in(build()(to_float(SEEN)))])
    assert line.lost > 0
    assert float(kept.lost(ours, theirs)) == pytest.approx(line.lost, rel=0.2)
    assert line.score.value == pytest.approx(float(mean_of(model).detach().mean()), abs=1e-6)
    with safe_open(out / line.file, "pt") as file:
        metadata = file.metadata()
    assert (metadata["weight"], metadata["steps"], metadata["complete"]) == ("2", "3", "true")
    assert metadata["original_sha256"] == result.weights_sha256


def test_report_and_table_say_the_same(found):
    result, out = found
    page = write_report(result, out).read_text()
    content = json.loads((out / "protect.json").read_text())
    assert content["format"] == "maxtunnel protect 1"
    assert content["models"][1]["leak"]["rmse"] == result.models[1].leak.rmse
    assert content["models"][1]["tuning"]["steps"] == 3
    assert "pictures" not in content
    text = tabulate(result).as_text()
    assert len(text) == len(result.lines)
    for row, line in zip(text, result.lines, strict=True):
        assert row[0] == line.name
        assert line.name in page
    assert f"{result.models[1].leak.rmse:.4f}" in page
    for sentence in (*content["verdict"], *content["warnings"]):
        assert sentence.split(" (")[0].split("'")[0] in page
    assert "<script" not in page
    assert "load_state_dict" in page


def test_the_verdict_needs_something_to_hide(found):
    result, _ = found
    assert "nothing can be said" in verdict(result)[0]
    assert any(text.startswith("readers of 3 steps") for text in warnings(result))


def test_the_model_is_left_as_it_was(tmp_path):
    model = build().train()
    model.head.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    protect(model, SEEN, tmp_path, holdout=HELD, config=FEW)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.training
    assert not model.head.weight.requires_grad
    assert model.first.weight.requires_grad
    assert model.first.weight.grad is None


def test_an_interruption_keeps_what_is_trained(tmp_path):
    told = []

    def stop(phase, done, total, note):
        # A second one would act as always.
        if phase == "weight 2" and not told:
            told.append(done)
            os.kill(os.getpid(), signal.SIGINT)

    config = ProtectionConfig(weights=(2.0, 3.0), steps=12, width=4, images=8)
    result = protect(build(), SEEN, tmp_path, holdout=HELD, config=config, on_progress=stop)
    assert result.interrupted
    (line,) = result.models
    assert (line.tuning.steps, line.tuning.complete, line.leak) == (told[0] + 1, False, None)
    assert [path.name for path in tmp_path.glob("*.safetensors")] == [line.file] == ["weight-2.safetensors"]
    assert "left out: weight 3, as it was interrupted" in result.left_out
    assert not result.mitigations
    assert "interrupted" in write_report(result, tmp_path).read_text()


def test_what_was_interrupted_goes_on_as_if_it_had_not_been(tmp_path):
    # After ten steps it is told how far a fine-tuning is: the last one is cut short.
    config = ProtectionConfig(weights=(0.0, 2.0, 3.0), steps=12, width=4, images=8, alone=True)
    run = partial(protect, build(), SEEN, holdout=HELD, config=config, metric=mean_of)
    whole = run(tmp_path / "whole")

    told = []

    def stop(phase, *_):
        if phase == "weight 3" and not told:
            told.append(phase)
            os.kill(os.getpid(), signal.SIGINT)

    partly = run(tmp_path / "out", on_progress=stop)
    assert (partly.interrupted, partly.models[-1].tuning.complete) == (True, False)
    phases = []
    resumed = run(tmp_path / "out", on_progress=lambda phase, *_: phases.append(phase), resume=True)
    # What was done is not done again.
    assert not {"original", "weight 0"} & {*phases}
    assert "weight 3" in phases
    assert (resumed.images, resumed.left_out) == (whole.images, whole.left_out)
    assert (resumed.original.leak, resumed.original.score.value) == (
        whole.original.leak,
        whole.original.score.value,
    )
    for ours, theirs in zip(resumed.models, whole.models, strict=True):
        assert (ours.leak, ours.lost, ours.tuning.curve) == (theirs.leak, theirs.lost, theirs.tuning.curve)
        assert torch.equal(ours.score.each, theirs.score.each)
    changed = replace(config, weights=(0.0, 2.0))
    with pytest.raises(ValueError, match="of another model, other photographs or other settings"):
        protect(build(), SEEN, tmp_path / "out", holdout=HELD, config=changed, resume=True)
    # The same weights see something else, so their switches are others.
    with pytest.raises(ValueError, match="of another model, other photographs or other settings"):
        run(tmp_path / "out", resume=True, preprocess=lambda images: 1 - images)
    (tmp_path / "out" / "weight-2.safetensors").write_bytes(b"damaged")
    with pytest.raises(FormatError, match=r"weight-2\.safetensors is damaged"):
        run(tmp_path / "out", resume=True)


class Returns(nn.Module):
    """A convolution, a pooling, and what is given of it."""

    def __init__(self, answer):
        super().__init__()
        self.layer, self.answer = nn.Conv2d(3, 4, 3, padding=1), answer

    def forward(self, x):
        return self.answer(nn.functional.max_pool2d(self.layer(x), 2))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Conv2d(3, 4, 3), "Conv2d: the model has no max pooling"),
        (build().requires_grad_(False), "Unpools has no weight that may be trained"),
        (Returns(lambda x: x.flatten(1).argmax(1)), "Returns: it returns no floating-point tensor"),
        (Returns(lambda x: "a cat"), "Returns: it returns no floating-point tensor"),
        (Returns(lambda x: x.detach().clone()), "Returns: no gradient reaches its outputs"),
        (Returns(lambda x: 0 * x), "Returns: its outputs are the same for all photographs"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(3, 2)), r"1 \(level 1\) pools with a 3x3 window"),
    ],
)
def test_what_cannot_be_protected_is_refused(model, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        protect(model, SEEN, tmp_path, holdout=HELD, config=FEW)
    assert not [*tmp_path.iterdir()]


def test_a_metric_that_fails_is_refused_before_any_training(tmp_path):
    phases = []
    with pytest.raises(ValueError, match="`metric` fails with the model as it was"):
        protect(build(), SEEN, tmp_path, holdout=HELD, config=FEW, metric=lambda model: {}["a"],
                on_progress=lambda phase, *_: phases.append(phase))  # fmt: skip
    assert phases == []
