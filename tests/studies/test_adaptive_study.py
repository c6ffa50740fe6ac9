"""`maxtunnel study adaptive` at toy size."""

import json
import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from maxtunnel.models.adaptive_deconv import AdaptiveDeconv
from maxtunnel.studies import adaptive
from maxtunnel.studies.adaptive_classes import accuracy
from maxtunnel.studies.adaptive_config import preset
from maxtunnel.studies.adaptive_page import report_of
from maxtunnel.studies.adaptive_reading import drawings, measure, others, typical
from maxtunnel.studies.adaptive_run import read_parts
from maxtunnel.support.files import FormatError
from maxtunnel.support.progress import Stopped
from tools.command_line import call, refuse

NAMES = ["average-0", "max-0"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two classes, with stripes along and across, and one of what is no object."""
    folder, values = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for label, name in enumerate(("BACKGROUND_Google", "across", "along")):
        (folder / name).mkdir()
        for number in range(5):
            pixels = values.integers(0, 90, (30, 26), dtype=np.uint8)
            stripes = slice(number % 3, None, 4)
            pixels[(slice(None), stripes) if label == 2 else stripes] += 150
            Image.fromarray(pixels).convert("RGB").save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def done(tmp_path_factory, photographs):
    """The toy study of the command, and what it printed."""
    out = tmp_path_factory.mktemp("done") / "study"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    text = call(
        "study", "adaptive", "--data", photographs, "--toy", "--out", out, "--csv", out.parent / "t.csv"
    )
    torch.set_num_threads(threads)
    return out, text


def test_the_command_learns_measures_and_reports(done):
    out, text = done
    runs = out / "runs"
    assert sorted(path.stem for path in runs.glob("*.json")) == NAMES
    assert sorted(path.stem for path in runs.glob("*.png")) == sorted([*NAMES, *(f"{n}-maps" for n in NAMES)])
    assert AdaptiveDeconv.load(runs / "max-0.safetensors").settings.maps == (4, 6)
    assert "Layer 2: features and switches explain" in text
    assert "Left out: 126 of 150 pixels a side, 196 of 200 images to learn on" in text
    row = json.loads((runs / "max-0.json").read_text())
    assert list(row["accuracy"]) == ["1", "2", "all"]
    assert list(row["layers"][1]["readings"]) == [
        "both", "signs", "constant", "read", "features", "swapped", "random"
    ]  # fmt: skip
    assert list(json.loads((runs / "average-0.json").read_text())["layers"][0]["readings"]) == ["both"]
    page = (out / "adaptive.html").read_text()
    assert page.count("data:image/png") == 4
    assert "features, another's switches" in (out.parent / "t.csv").read_text()
    assert json.loads((out / "verdict.json").read_text())["study"] == "adaptive"


def test_it_goes_on_where_it_was_and_nothing_is_done_twice(done, photographs, monkeypatch):
    out, _ = done
    kept = (out / "runs" / "max-0.json").read_text()
    (out / "runs" / "max-0.json").unlink()
    run, names = adaptive.run_network, []
    monkeypatch.setattr(
        adaptive,
        "run_network",
        lambda settings, one, *more: names.append(one.name) or run(settings, one, *more),
    )
    study = adaptive.study_adaptive(photographs, out, size="toy")
    assert names == ["max-0"]
    assert report_of(study).verdict.missing == ()
    again, before = json.loads((out / "runs" / "max-0.json").read_text()), json.loads(kept)
    for row in (again, before):
        del row["seconds"], row["a_layer"]
    assert again == before


def test_a_stopped_study_keeps_what_is_done(tmp_path, photographs, monkeypatch):
    def interrupted(settings, run, *more):
        if run.pooling == "average":
            os.kill(os.getpid(), signal.SIGINT)
            return None
        return real(settings, run, *more)

    real = adaptive.run_network
    monkeypatch.setattr(adaptive, "run_network", interrupted)
    with pytest.raises(Stopped, match="1 of 2 networks are kept"):
        adaptive.study_adaptive(photographs, tmp_path / "study", size="toy")


def test_other_settings_or_folders_without_classes_are_refused(done, photographs, tmp_path):
    out, _ = done
    start = ("study", "adaptive", "--toy", "--data")
    for folder, options, message in (
        (photographs, ("--sparsity", "0.5", "--out", out), "holds runs with --sparsity 0.2, not 0.5"),
        (photographs / "along", ("--out", tmp_path / "a"), "has 0 class folders"),
        (photographs, ("--classes", "3", "--out", tmp_path / "a"), "give a folder with at least 3"),
        (photographs, ("--maps", "4,x", "--out", tmp_path / "a"), "--maps is '4,x'"),
        (photographs, ("--full", "--out", tmp_path / "a"), "give one of them"),
    ):
        assert message in refuse(*start, folder, *options)
    few = tmp_path / "few"
    for name in ("one", "other"):
        (few / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(few / name / "0.png")
    with pytest.raises(FormatError, match="one has 1 images: expected more than 2"):
        read_parts(few, preset("toy")[0])


def test_images_to_learn_on_and_to_test_are_others(photographs):
    parts = read_parts(photographs, preset("toy")[0])
    assert parts.names == ("across", "along")
    assert parts.labels.tolist() == parts.truth.tolist() == [0, 0, 1, 1]
    together = torch.cat([parts.labelled, parts.tested]).flatten(1)
    assert len(together.unique(dim=0)) == 8


def test_what_is_drawn_of_less(done, photographs):
    network = AdaptiveDeconv.load(done[0] / "runs" / "max-0.safetensors")
    images = read_parts(photographs, preset("toy")[0]).tested
    seen = network.see(images)
    usual = typical(network, seen, images)
    drawn = dict(drawings(network, seen, usual, images, seed=0))
    found = {given: measure(one, images) for given, one in drawn.items()}
    left = {given: sum(reading.left) for given, reading in found.items()}
    # The factor of what stands in the place of features, and the filters, suit these very images.
    assert left["both"] < left["signs"] < left["constant"] <= len(images) + 1e-3
    assert left["read"] < len(images)
    assert left["swapped"] > left["both"]
    assert left["random"] > left["both"]
    swapped = measure(drawn["swapped"], images, others(images))
    assert len(swapped.other) == len(images)
    whole = measure(images, images, images)
    assert (whole.left, whole.sharpness, whole.other) == ((0.0,) * 4, (1.0,) * 4, whole.likeness)
    # Another's switches and its features are the other's image.
    moved = [type(one)(one.what.roll(2, 0), one.where.roll(2, 0)) for one in seen]
    torch.testing.assert_close(
        dict(drawings(network, moved, usual, images, 0))["both"], drawn["both"].roll(2, 0), atol=1e-5, rtol=0
    )


def test_without_scikit_learn_nothing_is_begun(photographs, tmp_path, monkeypatch):
    monkeypatch.setattr("maxtunnel.studies.adaptive_classes.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install scikit-learn"):
        adaptive.study_adaptive(photographs, tmp_path / "study", size="toy")
    assert not (tmp_path / "study").exists()


def test_a_linear_classifier_tells_what_is_told_apart_by_a_line():
    labels = torch.arange(40) % 2
    features = torch.rand(40, 5, generator=torch.Generator().manual_seed(0))
    assert accuracy([features], labels, [features[:20]], 1 - labels[:20]) < 0.8
    told = features + 3 * labels[:, None]
    assert accuracy([features, told], labels, [features, told], labels) == 1.0
