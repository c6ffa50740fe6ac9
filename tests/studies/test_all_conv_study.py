"""`maxtunnel study all-conv` at toy size."""

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from maxtunnel.auditing.attacker import Attacker
from maxtunnel.auditing.ledger import WHAT
from maxtunnel.data.labelled import LabelledSet
from maxtunnel.data.mean import mean_image
from maxtunnel.models.all_conv import AllConv
from maxtunnel.studies import all_conv
from maxtunnel.studies.all_conv_config import Grid, NetworkRun, ReadingRun, preset
from maxtunnel.studies.all_conv_run import NetworkRow, capture, make_network, run_network, run_reading
from maxtunnel.studies.swwae_run import Parts
from maxtunnel.support.files import FormatError
from maxtunnel.support.progress import Stopped
from tools.command_line import call, refuse

pytestmark = pytest.mark.usefixtures("one_thread")
FEW = ("--toy", "--variants", "all,convpool", "--places", "2")
READ = {
    "convpool": ["place2-switches", "place2-features", "place2-both"],
    "all": ["place2-features"],
}
ONCE = [
    "C-convpool-0-place2-random",
    "C-convpool-0-place2-fixed",
    "C-convpool-0-untrained-place2-switches",
    "C-convpool-0-untrained-place2-features",
    "C-all-0-untrained-place2-features",
]
SETTINGS = preset("toy").settings


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """Ten classes that a bar at another height tells apart, in CIFAR-10's binary files."""
    folder, values = tmp_path_factory.mktemp("cifar"), np.random.default_rng(0)
    for name, count in [*((f"data_batch_{number}", 10) for number in range(1, 6)), ("test_batch", 20)]:
        labels = np.arange(count) % 10
        pixels = values.integers(0, 100, (count, 3, 32, 32))
        for image, label in zip(pixels, labels, strict=True):
            image[:, 3 * label : 3 * label + 4] = 220
        records = np.concatenate([labels[:, None], pixels.reshape(count, -1)], 1).astype(np.uint8)
        records.tofile(folder / f"{name}.bin")
    return folder


@pytest.fixture(scope="module")
def parts():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (20, 3, 32, 32), dtype=torch.uint8, generator=generator)
    images = LabelledSet(pixels, torch.arange(20) % 10, tuple("0123456789"), "train")
    return Parts(images, images.part(torch.arange(10, 20)), pixels)


def test_the_command_trains_reads_and_reports(tmp_path, cifar):
    out = tmp_path / "study"
    asked = ("study", "all-conv", "--data", cifar, *FEW, "--seeds", 1, "--out", out)
    text = call(*asked, "--csv", tmp_path / "table.csv")
    readings = [f"C-{variant}-0-{read}" for variant, found in READ.items() for read in found] + ONCE
    names = ["C-all-0", "C-convpool-0", *readings]
    assert sorted(path.stem for path in (out / "runs").glob("*.json")) == sorted(names)
    assert sorted(path.stem for path in (out / "runs").glob("*.png")) == sorted(readings)
    assert "Behind place 2 of ConvPool-CNN-C" in text
    assert "All-CNN-C errs by" in text
    assert "Left out: Model; Strided-CNN; place 1; 2 of 3 seeds" in text
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert lines[0].startswith("network,weights,multiplications,seeds,error,error_low,error_high,published")
    page = (out / "all-conv.html").read_text()
    assert "A network without pooling: is it the cure?" in page
    assert "9.31%" in page
    assert json.loads((out / "verdict.json").read_text())["answers"]["place 2 of C"] == "withheld"
    # It goes on from there: rows that are there are not made again.
    row = out / "runs" / "C-all-0.json"
    row.write_text(json.dumps(json.loads(row.read_text()) | {"error": 0.123}))
    assert "12.30%" in call(*asked)


def test_a_folder_of_other_settings_is_refused(tmp_path, cifar):
    all_conv.Rows(tmp_path, "all-conv", SETTINGS, NetworkRow)
    error = refuse("study", "all-conv", "--data", str(cifar), "--toy", "--out", str(tmp_path))
    assert "holds runs with --data" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bases", "D"], "--bases is 'D': expected all, or some of A, B, C"),
        (["--variants", "convpool,pool"], "--variants is 'convpool,pool'"),
        (["--places", "3"], "--places is 3: expected some of 1,2"),
        (["--places", "2,2"], "--places is '2,2'"),
        (["--learning-rate", "0"], "--learning-rate is 0.0: expected a number above 0"),
        (["--full"], "--toy and --full"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(tmp_path, cifar, monkeypatch, options, message):
    monkeypatch.setattr(all_conv, "read_set", pytest.fail)
    out = tmp_path / "study"
    assert message in refuse("study", "all-conv", "--data", str(cifar), "--toy", *options, "--out", str(out))
    assert not out.exists()


def test_all_runs_have_names_of_their_own():
    grid = Grid(bases=("A", "C"), seeds=2)
    runs = [*grid.networks(), *grid.readings()]
    # Of each base and seed: 4 networks, 3 + 1 readers at 2 places; 5 more of each base once.
    assert len(runs) == len({run.name for run in runs}) == 2 * (2 * (4 + 2 * 4) + 5)
    assert {run.variant for run in grid.readings()} == {"convpool", "all"}


def test_the_papers_recipe_brings_its_passes_and_its_dropout():
    found = replace(SETTINGS, width=8).with_recipe("paper")
    assert (found.steps, found.batch, found.dropout, found.width) == (136_850, 128, True, 8)
    assert found.as_recipe.optimizer == "sgd"
    assert not found.as_recipe.flips
    assert replace(found, augment=True).as_recipe.flips


def test_runs_come_out_the_same_again(parts):
    rows = []
    for _ in range(2):
        row, network = run_network(SETTINGS, NetworkRun("C", "convpool", 1), parts)
        reading, picture = run_reading(
            SETTINGS, ReadingRun("C", "convpool", 1, True, 2, "both"), capture(SETTINGS, network, 2, parts)
        )
        rows.append((row.error, row.accuracy, reading.mse, reading.swapped, picture.tolist()))
    assert rows[0] == rows[1]
    assert set(rows[0][3]) == {"all", "features"}


def test_twins_have_one_reader_of_features_which_is_told_no_switch(parts):
    given, settings = {}, replace(SETTINGS, held=6)
    for variant in ("convpool", "all"):
        network = make_network(settings, NetworkRun("C", variant, 0), parts.trained)
        seen = capture(settings, network, 2, parts)
        pixels = seen.held.pixels.float() / 255
        behind = network.places(network.normalise(pixels))[1].detach()
        expected = (behind / seen.trained.rms[:, None, None]).half()
        torch.testing.assert_close(seen.held.features, expected, rtol=2e-3, atol=1e-4)
        given[variant] = seen
    pooled, strided = given["convpool"], given["all"]
    assert pooled.held.levels == strided.held.levels
    every = torch.arange(6)
    assert all(not level.codes.any() for level in strided.held.code(every).levels)
    assert all(level.codes.any() for level in pooled.held.code(every).levels)
    # Without its switches the pooled one is rebuilt as if they were not there.
    blank = replace(pooled.held, packed=tuple(torch.zeros_like(level) for level in pooled.held.packed))
    attacker = Attacker(pooled.trained, pooled.held, mean_image(pooled.trained.pixels), 4, 0, 6)
    decoder = attacker.train(WHAT, 2)
    told = attacker.rebuild(decoder, WHAT, every)
    again = attacker.with_samples(pooled.trained, blank).rebuild(decoder, WHAT, every)
    assert torch.equal(told, again)
    assert decoder.state_dict().keys() == attacker.train(WHAT, 1).state_dict().keys()


def test_place_1_is_read_without_what_lies_behind(parts):
    for variant in ("convpool", "all"):
        network = make_network(SETTINGS, NetworkRun("C", variant, 0), parts.trained)
        seen = capture(SETTINGS, network, 1, parts)
        assert seen.held.numbers == (1,)
        assert seen.held.features.shape[1:] == (2, 16, 16)


def test_a_stopped_study_keeps_what_is_done(tmp_path, cifar, monkeypatch):
    begun = []

    def trained(settings, run, parts, on_progress, stop):
        begun.append(run.name)
        if len(begun) == 2:
            signal.raise_signal(signal.SIGINT)
            assert stop()
        network = AllConv(run.base, run.variant, settings.width, seed=run.seed)
        return NetworkRow(run.base, run.variant, run.seed, 0.5, 10, 0.5, 1, 1, 1.0), network

    monkeypatch.setattr(all_conv, "run_network", trained)
    asked = {"size": "toy", "variants": "base,strided", "seeds": 2}
    with pytest.raises(Stopped, match="stopped; 1 of 4 runs are kept"):
        all_conv.study_all_conv(cifar, tmp_path, **asked)
    found = all_conv.study_all_conv(cifar, tmp_path, **asked)
    assert len(found.networks) == 4
    # The one that was stopped is done again, the one before it is not.
    assert begun == ["C-base-0", "C-strided-0", "C-strided-0", "C-base-1", "C-strided-1"]


def test_a_network_that_is_gone_is_named(tmp_path, cifar):
    asked = {"size": "toy", "variants": "all", "places": "1", "seeds": 1}
    all_conv.study_all_conv(cifar, tmp_path, **asked)
    (tmp_path / "runs" / "C-all-0-place1-features.json").unlink()
    (tmp_path / "runs" / "C-all-0.safetensors").unlink()
    with pytest.raises(FormatError, match=r"C-all-0\.safetensors is missing: delete .*C-all-0\.json"):
        all_conv.study_all_conv(cifar, tmp_path, **asked)
