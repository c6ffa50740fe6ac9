"""Audits that are interrupted, that go on, and that fail on the way."""

import json
import os
import signal

import pytest
import torch
from specimens import convolutions, photographs

from maxtunnel.auditing import AuditConfig, Conclusions, audit, write_report
from maxtunnel.auditing.folders import audit_folder
from maxtunnel.auditing.origin import hash_of_weights
from maxtunnel.auditing.shelf import Shelf
from maxtunnel.support.files import FormatError

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = AuditConfig(steps=60, images=8, width=4, least_steps=10, decoder="mirrored")
KNOWN = "known switches, mirrored decoder"


def run(shelf=None, at=None, seed=0, told=None):
    """A small audit; Ctrl-C is pressed when a phase first tells of itself."""
    pressed = []

    def listen(phase, *_):
        if told is not None:
            told.append(phase)
        if phase == at and not pressed:
            pressed.append(phase)
            os.kill(os.getpid(), signal.SIGINT)

    images, others = photographs(24, 16, seed=seed), photographs(12, 16, seed=1)
    model = convolutions(3, 4)
    return audit(model, images, holdout=others, config=CONFIG, on_progress=listen, shelf=shelf or Shelf())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An audit that nobody interrupted, and the folder of its decoders."""
    folder = tmp_path_factory.mktemp("finished")
    return run(Shelf(folder)), folder


@pytest.mark.parametrize("phase", [KNOWN, "random switches", "features only"])
def test_what_was_interrupted_is_reported_and_goes_on(tmp_path, phase, finished):
    partial = run(Shelf(tmp_path), phase)
    assert partial.interrupted
    assert "known" in partial.rows
    assert any("interrupted" in text for text in partial.left_out)
    assert "this audit was interrupted: its report is partial" in Conclusions(partial).warnings()
    assert write_report(partial, tmp_path / "out").stat().st_size > 10_000
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["interrupted"] is True
    # The handler of Ctrl-C is the old one again.
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    whole = run(Shelf(tmp_path, resume=True))
    assert not whole.interrupted
    assert whole.left_out == ()
    uninterrupted, _ = finished
    steps = [(training.name, training.steps) for training in uninterrupted.decoders]
    # The first decoder went on from the 50 steps that it had.
    assert [(training.name, training.steps) for training in whole.decoders] == steps
    if phase != KNOWN:
        assert whole.rows == uninterrupted.rows
        assert whole.levels == uninterrupted.levels


def test_a_finished_audit_is_not_trained_again(finished):
    first, folder = finished
    told = []
    again = run(Shelf(folder, resume=True), told=told)
    assert again.rows == first.rows
    assert "capture" in told
    assert KNOWN not in told


def test_only_the_same_audit_goes_on(tmp_path):
    run(Shelf(tmp_path), KNOWN)
    with pytest.raises(ValueError, match=r"another model, other photographs.*name another `out`"):
        run(Shelf(tmp_path, resume=True), seed=5)
    with pytest.raises(ValueError, match="holds no audit to go on with"):
        run(Shelf(tmp_path / "nowhere", resume=True))
    (path,) = tmp_path.glob("known-switches-*.safetensors")
    path.write_bytes(b"short")
    with pytest.raises(FormatError, match="is damaged"):
        run(Shelf(tmp_path, resume=True))


def test_an_audit_is_not_overwritten_by_a_new_one(finished):
    _, folder = finished
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=r"holds an audit: go on with it \(`resume`\), or name another"):
        run(Shelf(folder))
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def broken(*_, **__):
    raise RuntimeError("no\nmemory left")


@pytest.mark.parametrize(
    ("functions", "names", "missing"),
    [
        (("identify", "audit_levels"), ("identification", "levels"), ("identified",)),
        (
            ("_squared_errors", "describe_levels"),
            ("coded bits of the levels", "features against switches"),
            ("transplant", "levels"),
        ),
    ],
)
def test_what_fails_after_the_first_training_is_named_and_loses_nothing(
    tmp_path, monkeypatch, functions, names, missing
):
    for function in functions:
        monkeypatch.setattr(f"maxtunnel.auditing.experiments.{function}", broken)
    found = run()
    assert found.left_out == tuple(f"failed: {name} (RuntimeError: no memory left)" for name in names)
    assert not any(getattr(found, field) for field in missing)
    assert {"known", "mean", "other", "random", "fixed", "where", "what", "both", "untrained"} == set(
        found.rows
    )
    page = write_report(found, tmp_path).read_text()
    assert all(f"failed: {name} (RuntimeError: no memory left)" in page for name in names)
    assert "verdict" not in Conclusions(found).withheld


def test_a_mitigation_that_fails_is_named(monkeypatch):
    calls = []

    def metric(model):
        calls.append(model)
        return broken() if len(calls) == 3 else 1.0

    config = AuditConfig(steps=4, images=8, width=4, mitigations=1.0, decoder="mirrored")
    found = audit(
        convolutions(3), photographs(16, 16), holdout=photographs(8, 16), metric=metric, config=config
    )
    # It was tried once before, and then with nothing done.
    (text,) = found.left_out
    assert (
        "rows only (failed: ValueError: `metric` fails with rows only (RuntimeError: no memory left" in text
    )
    assert len(found.mitigations) > 3


def test_the_record_of_an_audit(tmp_path, photographs_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text("from torch import nn\nbuild = lambda: nn.MaxPool2d(2)\n")
    for path in list(photographs_folder.rglob("*.png")):
        for number in range(8):
            (path.parent / f"{number}-{path.name}").write_bytes(path.read_bytes())
    _, page, _ = audit_folder(
        "model.py:build", photographs_folder, tmp_path / "out",
        AuditConfig(steps=4, width=4, decoder="mirrored"), size=16, preprocess="0,0,0/1,1,1",
        command="maxtunnel audit model.py:build",
    )  # fmt: skip
    content = json.loads((tmp_path / "out" / "audit.json").read_text())["record"]
    assert content["origin"] == {
        "command": "maxtunnel audit model.py:build",
        "model": "model.py:build",
        "data": str(photographs_folder),
        "holdout": "",
        "resize": "bilinear",
        "preprocess": "0,0,0/1,1,1",
    }
    assert content["date"][:2] == "20"
    assert content["observed"] == [1]
    assert len(content["weights_sha256"]) == 64
    text = page.read_text()
    for part in ("maxtunnel audit model.py:build", content["weights_sha256"], content["date"], "0,0,0/1,1,1"):
        assert part in text
    assert list((tmp_path / "out" / "decoders").glob("*.safetensors"))


def test_weights_have_the_same_hash_when_they_are_the_same():
    first, same, other = convolutions(3), convolutions(3), convolutions(3)
    other[0].weight.data[0, 0, 0, 0] += 1e-3
    assert hash_of_weights(first) == hash_of_weights(same) != hash_of_weights(other)
    assert hash_of_weights(first.to(torch.bfloat16)) != hash_of_weights(same)
