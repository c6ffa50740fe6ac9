"""`maxtunnel study swwae` at toy size."""

import json
import math
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from maxtunnel.data.labelled import LabelledSet
from maxtunnel.studies import swwae
from maxtunnel.studies.swwae_config import Grid, Run, parse_choices
from maxtunnel.studies.swwae_presets import preset
from maxtunnel.studies.swwae_reading import GIVEN, Reading, measure_rebuilt
from maxtunnel.studies.swwae_run import make_network, mean_rmse, run_network, split
from maxtunnel.support.files import FormatError
from maxtunnel.support.progress import Stopped
from tools.command_line import call, refuse


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Ten classes that a bar at another height tells apart, as MNIST lies in folders."""
    folder, values = tmp_path_factory.mktemp("digits"), np.random.default_rng(0)
    for part, count in (("train", 6), ("test", 4)):
        for label in range(10):
            (folder / part / str(label)).mkdir(parents=True)
            for number in range(count):
                pixels = values.integers(0, 60, (28, 28), dtype=np.uint8)
                pixels[2 * label + 4 : 2 * label + 7, 4:24] = 255
                Image.fromarray(pixels).save(folder / part / str(label) / f"{number}.png")
    return folder


def random_set(images=60):
    pixels = torch.randint(0, 256, (images, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator())
    return LabelledSet(pixels, torch.arange(images) % 10, tuple("0123456789"), "train")


FEW = ("--toy", "--methods", "supervised,intermediate,both", "--unpoolings", "switches")


@pytest.mark.usefixtures("one_thread")
def test_the_command_trains_measures_and_reports(tmp_path, digits):
    out = tmp_path / "study"
    text = call("study", "swwae", "--data", digits, *FEW, "--out", out, "--csv", tmp_path / "table.csv")
    names = [
        f"10-{kind}-{seed}"
        for seed in (0, 1)
        for kind in ("supervised", "intermediate-switches", "both-switches")
    ]
    assert sorted(path.stem for path in (out / "runs").glob("*.json")) == sorted(names)
    assert sorted(path.stem for path in (out / "runs").glob("*.png")) == sorted(names)
    assert "With 10 labels and known switches" in text
    assert "Left out: 100 labels; 1,000 labels; untrained; + L2rec, the image term" in text
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert lines[0].startswith("network,labels,seeds,error,error_low,error_high,rmse_both,rmse_switches")
    page = (out / "swwae.html").read_text()
    assert "This is not the whole study" in page
    # More of it goes on from there: rows that are there are not made again.
    row = out / "runs" / "10-both-switches-0.json"
    kept = json.loads(row.read_text()) | {"error": 0.123}
    row.write_text(json.dumps(kept))
    text = call("study", "swwae", "--data", digits, *FEW, "--seeds", 1, "--out", out)
    assert "12.30%" in text
    assert "one seed, so no interval" in text


def test_a_folder_of_other_settings_is_refused(tmp_path, digits):
    swwae.Rows(tmp_path, "swwae", preset("mnist", "toy").settings, swwae.NetworkRow)
    error = refuse("study", "swwae", "--data", str(digits), "--toy", "--out", str(tmp_path))
    assert "holds runs with `data`" in error or "holds runs with --data" in error


def test_the_recipe_is_that_of_the_networks_alone(tmp_path, digits):
    """The fresh decoder is the measure, so it is trained as ever; at its own rate too."""
    paper = preset("mnist", "toy").settings.with_recipe("paper")
    assert (paper.as_recipe.optimizer, paper.as_recipe.learning_rate) == ("sgd", 0.02)
    fast = preset("mnist", "toy").settings
    assert paper.reading_recipe == fast.reading_recipe
    assert paper.steps == fast.steps
    out = tmp_path / "study"
    few = (*FEW, "--seeds", 1, "--methods", "supervised", "--recipe", "paper")
    call("study", "swwae", "--data", digits, *few, "--out", out)
    assert "gradient descent with momentum" in (out / "swwae.html").read_text()
    assert "holds runs with" in refuse(
        "study", "swwae", "--data", str(digits), *map(str, FEW), "--out", str(out)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--labels", "15"], "15 labels cannot be shared evenly among 10 classes"),
        (["--labels", "70"], "give at most 60"),
        (["--labels", "99999990"], "a class has 6 images only: give at most 60"),
        (["--labels", "60", "--validate"], "give at most 50"),
        (["--labels", "all"], "--labels is 'all'"),
        (["--labels", "10,10"], "--labels is '10,10'"),
        (["--methods", "image,bath"], "--methods is 'image,bath': expected all, or some of untrained"),
        (["--unpoolings", "known"], "--unpoolings is 'known'"),
        (["--layout", "(4)5c-2p"], "--layout is (4)5c-2p: intermediate terms need at least two layers"),
        (["--layout", "(4)5d"], "expected a layer such as"),
        (["--layout", "nonsense"], "expected a layer such as"),
        (["--layout", "(16)5c-40p"], "a 40x40 window with stride 40x40 has 1600 cells"),
        (["--l2m", "0"], "--l2m is 0.0: expected a number above 0"),
        (["--steps", "3", "--minutes", "1"], "--steps and --minutes both bound"),
        (["--dropout", "1"], "--dropout is 1.0"),
        (["--batch", "4"], "--batch is 4: expected at least 5"),
        (["--layout", "(4)3c-2p-(4)3c-15p"], "would be pooled to nothing by 15p"),
        (["--layout", "(4)3c-2p-(4)3c-9fc"], "ends in 9fc: expected 10fc"),
        (["--full"], "--toy and --full"),
        (["--set", "cifar10"], "is no CIFAR-10: train has 10 classes, and 0/0.png 28x28 pixels"),
        (["--set", "cifar100", "--labels", "10"], "10 labels cannot be shared evenly among 100 classes"),
    ],
)
def test_what_cannot_be_is_refused_before_the_images_are_read(
    tmp_path, digits, monkeypatch, options, message
):
    monkeypatch.setattr("maxtunnel.data.labelled_sets.read_files", pytest.fail)
    out = tmp_path / "study"
    assert message in refuse("study", "swwae", "--data", str(digits), "--toy", *options, "--out", str(out))
    # No folder that would refuse the right settings afterwards.
    assert not out.exists()


def test_all_networks_of_a_grid_have_names_of_their_own():
    grid = Grid((100, 1000), seeds=2)
    runs = list(grid.runs())
    # Ten kinds for each number of labels and each seed, and one untrained network a seed.
    assert len(runs) == len({run.name for run in runs}) == 2 * (2 * 10 + 1)
    assert Run("both", "fixed", 1000, 3).name == "1000-both-fixed-3"
    assert Run("untrained", None, 0, 1).name == "untrained-1"
    assert parse_choices("all", "methods", ("a", "b")) == ("a", "b")


@pytest.mark.usefixtures("one_thread")
def test_a_run_comes_out_the_same_again():
    settings, parts = preset("mnist", "toy").settings, split(random_set(), None)
    run = Run("both", "average", 10, 1)
    first, second = (run_network(settings, run, parts) for _ in range(2))
    assert (first[0].error, first[0].rebuilt, first[0].own) == (
        second[0].error, second[0].rebuilt, second[0].own
    )  # fmt: skip
    assert torch.equal(first[1], second[1])
    assert first[1].shape == (3, 5 * 28, 10 * 28)


def test_a_sixth_is_held_out_to_choose_settings_on():
    parts = split(random_set(), None)
    assert (len(parts.trained), len(parts.measured)) == (50, 10)
    assert torch.bincount(parts.measured.labels).tolist() == [1] * 10


def test_classes_of_training_and_test_must_be_the_same():
    trained = random_set()
    with pytest.raises(ValueError, match="class 9 of the images to train on stands where nine does"):
        split(trained, replace(trained, class_names=(*"012345678", "nine")))


def test_the_fresh_decoder_is_given_what_it_says():
    settings, images = preset("mnist", "toy").settings, random_set()
    network = make_network(settings, Run("untrained", None, 0, 0), images)
    pixels = images.pixels[:20].float() / 255
    reading = Reading(network, network.normalise(pixels), seed=0)
    changed = pixels.clone()
    changed[0] = changed[0].flip(-1)
    before, after = reading.rebuild(pixels), reading.rebuild(changed)
    same = {name: [torch.equal(before[name][n], after[name][n]) for n in range(20)] for name in GIVEN}
    assert [n for n in range(20) if not same["both"][n]] == [0]
    assert [n for n in range(20) if not same["switches"][n]] == [0]
    assert [n for n in range(20) if not same["features"][n]] == [0]
    # The image half a batch further on is given its switches.
    assert [n for n in range(20) if not same["another's switches"][n]] == [0, 10]
    # The constant in the place of the features, and every value in its window's first cell.
    _, where = reading.see(network.normalise(pixels))
    alone = network.denormalise(reading.decoder(None, where).image)
    assert torch.equal(before["switches"], alone)
    first = [torch.zeros_like(level) for level in where]
    what, _ = reading.see(network.normalise(pixels))
    assert torch.equal(before["features"], network.denormalise(reading.decoder(what, first).image))


@pytest.mark.parametrize("count", [5, 20, 64])
def test_each_third_of_a_batch_is_given_something_else(count):
    settings, images = preset("mnist", "toy").settings, random_set(64)
    network = make_network(settings, Run("untrained", None, 0, 0), images)
    reading, given = Reading(network, network.normalise(images.pixels[:20] / 255), seed=0), []

    def keep(module, args, kwargs):
        given.append(tuple(part is not None for part in args))

    reading.decoder.register_forward_pre_hook(keep, with_kwargs=True)
    reading(network.normalise(images.pixels[:count] / 255))
    assert given == [(True, True), (True, False), (False, True)]


def test_the_encoder_stays_as_it_is_while_it_is_read():
    settings, images = preset("mnist", "toy").settings, random_set()
    network = make_network(settings, Run("untrained", None, 0, 0), images)
    reading = Reading(network, network.normalise(images.pixels[:20] / 255), seed=0)
    assert not {id(each) for each in reading.parameters()} & {id(each) for each in network.parameters()}
    loss, _ = reading(network.normalise(images.pixels[:20] / 255))
    loss.backward()
    assert all(each.grad is None for each in network.parameters())
    assert all(each.grad is not None for each in reading.parameters())


def test_errors_of_reconstructions_are_of_all_images():
    settings, parts = preset("mnist", "toy").settings, split(random_set(300), None)
    network = make_network(settings, Run("untrained", None, 0, 0), parts.trained)
    reading = Reading(network, network.normalise(parts.trained.pixels[:20] / 255), seed=0)
    pixels = parts.measured.pixels
    found = measure_rebuilt(reading, network, pixels)
    rebuilt = reading.rebuild(pixels / 255)
    assert list(found) == list(GIVEN)
    for given in ("both", "switches", "features"):
        expected = (rebuilt[given] - pixels / 255).double().square().mean().sqrt()
        assert found[given] == pytest.approx(float(expected), rel=1e-5)
    mean = parts.trained.pixels.double().mean(0) / 255
    expected = (pixels.double() / 255 - mean).square().mean().sqrt()
    assert mean_rmse(parts, None) == pytest.approx(float(expected))


def finished(run):
    """What `run_network` gives, without a training."""
    row = swwae.NetworkRow(
        run.method,
        run.unpooling,
        run.labels,
        run.seed,
        0.5,
        1,
        dict.fromkeys(GIVEN, 0.1),
        None,
        None,
        (0.0, 0.0),
    )
    return row, torch.zeros(3, 2, 2, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"error": math.nan}, "the error is nan of 1 images"),
        ({"images": 0}, "the error is 0.5 of 0 images"),
        ({"rebuilt": {"both": 0.1}}, "`rebuilt` has both: expected both, switches"),
    ],
)
def test_a_row_that_says_nothing_is_refused(tmp_path, change, message):
    rows = swwae.Rows(tmp_path, "swwae", preset("mnist", "toy").settings, swwae.NetworkRow)
    rows.keep("a", finished(Run("untrained", None, 0, 0))[0])
    path = tmp_path / "runs" / "a.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(FormatError, match=f"{message}.* delete it to run it again"):
        rows.get("a")


def test_a_stopped_study_keeps_what_is_done(tmp_path, digits, monkeypatch):
    begun, last = [], 2

    def trained(settings, run, parts, on_progress, stop):
        begun.append(run.name)
        if len(begun) == last:
            signal.raise_signal(signal.SIGINT)
            assert stop()
        return finished(run)

    monkeypatch.setattr(swwae, "run_network", trained)
    asked = {"size": "toy", "methods": "supervised,both", "unpoolings": "switches"}
    with pytest.raises(Stopped, match="stopped; 1 of 4 networks are kept"):
        swwae.study_swwae(digits, tmp_path, **asked)
    found = swwae.study_swwae(digits, tmp_path, **asked)
    assert len(found.rows) == 4
    # The one that was stopped is done again, the one before it is not.
    assert begun == [begun[0], begun[1], begun[1], *begun[3:]]
    assert len(set(begun)) == 4


@pytest.mark.usefixtures("one_thread")
def test_minutes_become_steps_that_a_study_keeps(tmp_path, digits):
    asked = {"size": "toy", "methods": "supervised", "seeds": 1, "out": tmp_path, "minutes": 0.01}
    first = swwae.study_swwae(digits, **asked)
    assert first.settings.steps >= 1
    again = swwae.study_swwae(digits, **(asked | {"minutes": 50.0}))
    assert again.settings.steps == first.settings.steps
