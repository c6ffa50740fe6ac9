"""`maxtunnel study recon-dec` at toy size, and what its readers and networks are given."""

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from maxtunnel.data import prepare
from maxtunnel.data.labelled import LabelledSet
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.family import put_back
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.studies import recon_dec, recon_dec_depths
from maxtunnel.studies.recon_dec_config import GIVEN, READERS, DepthRun, Grid, NetworkRun, preset
from maxtunnel.studies.recon_dec_depths import capture, make_reader, rebuild, run_reader
from maxtunnel.studies.recon_dec_networks import as_tunnel, make_network, make_task
from maxtunnel.support.files import FormatError
from maxtunnel.support.progress import Stopped
from maxtunnel.switches.window import Window
from tools.command_line import call, refuse

TOY = preset("toy").settings
ENCODER = Architecture.parse("4-6x1")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Folders of two classes to train on and to measure on."""
    folder, values = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 4)):
        for label in ("cat", "dog"):
            (folder / part / label).mkdir(parents=True)
            for number in range(count):
                pixels = values.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / label / f"{number}.png")
    return folder


def given(photographs, out):
    return ["--data", photographs / "train", "--val", photographs / "val", "--toy", "--out", out]


def random_pixels(count=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=generator)


def random_encoder():
    return TunnelNetwork(ENCODER, torch.full((3, 16, 16), 0.5))


@pytest.mark.usefixtures("one_thread")
def test_the_command_trains_reads_and_reports(tmp_path, photographs):
    out = tmp_path / "study"
    text = call("study", "recon-dec", *given(photographs, out), "--csv", tmp_path / "table.csv")
    kinds = [f"{kind}-{mode}" for kind in ("SAE", "SWWAE") for mode in ("first", "all", "layerwise")]
    names = [f"{kind}-{seed}" for kind in ("classes", *kinds) for seed in (0, 1)]
    readers = [f"pool{n}-{given}-{reader}" for n in (1, 2) for given in GIVEN for reader in READERS]
    assert sorted(path.stem for path in (out / "runs").glob("*.json")) == sorted(names + readers)
    assert sorted(path.stem for path in (out / "runs").glob("*.png")) == sorted(readers)
    assert "Read by a strong reader, the share of the variance" in text
    assert "told from training on classes alone: " in text
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert lines[0].startswith("run,rmse,rmse_low,rmse_high,psnr,ssim,explained,coarse,rmse_other_switches")
    page = (out / "recon-dec.html").read_text()
    assert "This is not the whole study" in page
    toy = "A toy run: it shows that everything works, and answers nothing."
    assert text.startswith(toy)
    assert page.index(toy) < page.index("This is not the whole study")
    assert "SWWAE layerwise" in page
    # What is there is not made again.
    row = out / "runs" / "classes-0.json"
    row.write_text(json.dumps(json.loads(row.read_text()) | {"error": 0.123}))
    text = call("study", "recon-dec", *given(photographs, out), "--seeds", 1, "--levels", 2)
    assert "87.70%" in text
    assert "pool 1," not in text
    assert "; pool 1; " in text.partition("Left out:")[2]
    # Without its weights the encoder cannot be read any further.
    (out / "runs" / "classes-0.safetensors").unlink()
    assert "delete" in refuse("study", "recon-dec", *map(str, given(photographs, out)))


@pytest.mark.usefixtures("one_thread")
def test_an_encoder_that_is_given_needs_no_training(tmp_path, photographs):
    options = ("--parts", "depths", "--encoder", "4-6x1", "--levels", 2)
    call("study", "recon-dec", *given(photographs, tmp_path), *options)
    names = {path.stem for path in (tmp_path / "runs").glob("*.json")}
    assert names == {f"pool2-{given}-{reader}" for given in GIVEN for reader in READERS}
    error = refuse("study", "recon-dec", *map(str, given(photographs, tmp_path)), "--encoder", "6-6")
    assert "holds runs with" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--full"], "--toy and --full"),
        (["--parts", "readers"], "--parts is 'readers': expected all, or some of depths, networks"),
        (["--levels", "3"], "--levels is 3: 4-4 pools 2 times"),
        (["--levels", "deep"], "--levels is 'deep'"),
        (["--side", "18"], "expected a multiple of 4"),
        (["--network", "4-4-4-4-4"], "expected a multiple of 32"),
        (["--encoder", "vgg16"], "expected a multiple of 32"),
        (["--encoder", "none.h5"], "none.h5 does not exist: expected a VGG's file, a network of ours"),
        (["--encoder", "nowhere/none"], "nowhere/none does not exist: expected"),
        (["--encoder", "none"], "'none' is no architecture"),
        (
            ["--inputs", "caffe"],
            "--inputs says what a VGG's file was trained on: give that file as --encoder",
        ),
        (["--l2m", "0"], "--l2m is 0.0: expected a number above 0"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(
    tmp_path, photographs, monkeypatch, options, message
):
    monkeypatch.setattr(recon_dec, "read_photographs", pytest.fail)
    assert message in refuse("study", "recon-dec", *map(str, given(photographs, tmp_path)), *options)
    assert not list(tmp_path.glob("runs/*.json"))


def test_both_sets_are_looked_at_before_one_is_read(tmp_path, photographs, monkeypatch):
    """As `val` each time what cannot be: `data` is all right, and may take minutes to read."""
    monkeypatch.setattr(recon_dec, "read_photographs", pytest.fail)
    train = photographs / "train"
    (tmp_path / "empty").mkdir()
    for name, source, size in (("one", train, 16), ("two", train, 16), ("other", photographs / "val", 8)):
        prepare(source, tmp_path / name, size=size)
    refused = (
        (train, "which is --data too: measure on photographs that were not trained on"),
        (photographs, "which shares photographs with --data: measure on photographs that"),
        (tmp_path / "empty", "holds no image and nothing else"),
        (photographs / "val" / "cat", "has no classes: give a folder with a folder for each class"),
        (tmp_path / "other", "other was prepared with"),
        (tmp_path / "nowhere", "nowhere cannot be read"),
    )
    asked = ("study", "recon-dec", "--toy", "--out", str(tmp_path / "out"))
    for val, message in refused:
        assert message in refuse(*asked, "--data", str(train), "--val", str(val))
    stores = ("--data", str(tmp_path / "one"), "--val", str(tmp_path / "two"))
    assert "two, which is --data too" in refuse(*asked, *stores)


def test_photographs_must_have_the_same_classes(tmp_path, photographs):
    (tmp_path / "val" / "cat").mkdir(parents=True)
    picture = (photographs / "val" / "cat" / "0.png").read_bytes()
    (tmp_path / "val" / "cat" / "0.png").write_bytes(picture)
    with pytest.raises(ValueError, match="`val` has 1 classes, other than the 2"):
        recon_dec.study_recon_dec(photographs / "train", tmp_path / "val", tmp_path / "out", size="toy")
    with pytest.raises(ValueError, match="has no classes"):
        recon_dec.study_recon_dec(photographs / "train" / "cat", tmp_path / "val", tmp_path / "out")


def test_a_stopped_study_keeps_what_is_done(tmp_path, photographs, monkeypatch):
    begun, train = [], recon_dec.run_network

    def trained(settings, run, *rest):
        begun.append(run.name)
        if len(begun) == 2:
            signal.raise_signal(signal.SIGINT)
        return train(settings, run, *rest)

    monkeypatch.setattr(recon_dec, "run_network", trained)
    asked = (photographs / "train", photographs / "val", tmp_path)
    options = {"size": "toy", "parts": "networks", "seeds": 1}
    with pytest.raises(Stopped, match="stopped; 1 of 7 networks are kept"):
        recon_dec.study_recon_dec(*asked, **options)
    assert len(recon_dec.study_recon_dec(*asked, **options).networks) == 7
    assert begun == [begun[0], begun[1], begun[1], *begun[3:]]


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("level", [1, 2])
def test_a_reader_is_given_what_it_says(kind, level):
    pixels, mean = random_pixels(), torch.full((3, 16, 16), 0.5)
    captured = capture(random_encoder(), pixels)
    own, other = torch.arange(8), torch.arange(8).roll(1)
    for what in GIVEN:
        run = DepthRun(level, what, kind)
        reader = make_reader(ENCODER, run, TOY)
        # A new strong reader's blocks begin at 0: let every part say something.
        for part in reader.parameters():
            torch.nn.init.normal_(part, std=0.3, generator=torch.Generator().manual_seed(1))
        drawn = rebuild(reader, run, captured, mean, 4.0, own, own)
        by_switches = not torch.equal(drawn, rebuild(reader, run, captured, mean, 4.0, other, own))
        by_features = not torch.equal(drawn, rebuild(reader, run, captured, mean, 4.0, own, other))
        assert (by_switches, by_features) == (what != "features", what != "switches")
        assert drawn.shape == (8, 3, 16, 16)
        # Nothing of a deeper level is looked at.
        assert len(captured.codes(own, level)) == level


def test_what_is_captured_is_what_the_encoder_gives():
    network, seen, held = random_encoder(), random_pixels(), random_pixels(4, seed=1)
    first = capture(network, seen)
    second = capture(network, held, first)
    what, codes = network.encoder(network.normalise(held / 255))
    for expected, found in zip(codes, second.codes(torch.arange(4), 2), strict=True):
        assert torch.equal(expected, found)
    rms = network.encoder(network.normalise(seen / 255))[0].square().mean((0, 2, 3)).sqrt()
    torch.testing.assert_close(second.features[-1].float(), what / rms[:, None, None], rtol=2e-3, atol=1e-3)
    torch.testing.assert_close(first.rms[-1], rms)


def test_a_channel_that_is_silent_is_divided_by_nothing():
    network = random_encoder()
    network.encoder.convs[-1].weight[0] = 0
    captured = capture(network, random_pixels())
    assert captured.rms[-1][0] == 1
    assert captured.features[-1].isfinite().all()


def test_more_than_fits_is_refused(monkeypatch):
    monkeypatch.setattr(recon_dec_depths, "free_memory", lambda: 1000)
    with pytest.raises(ValueError, match="8 photographs of 16 pixels take"):
        capture(random_encoder(), random_pixels())


@pytest.mark.usefixtures("one_thread")
def test_a_reader_whose_relus_have_died_is_trained_again(monkeypatch):
    captured, made = capture(random_encoder(), random_pixels()), []
    run = DepthRun(2, "both", "mirrored")

    def made_dead(*arguments):
        made.append(make_reader(*arguments))
        if len(made) == 1:
            for part in made[0].convs.parameters():
                torch.nn.init.zeros_(part)
        return made[-1]

    monkeypatch.setattr(recon_dec_depths, "make_reader", made_dead)
    row, picture = run_reader(TOY, run, ENCODER, captured, captured)
    assert len(made) == 2
    assert row.learning_rate == TOY.reader_recipe("mirrored").learning_rate / 4
    assert picture.shape == (3, 2 * 16, 8 * 16)
    assert row.swapped.keys() == {"switches", "features"}


def labelled(count=8):
    return LabelledSet(random_pixels(count), torch.arange(count) % 2, ("cat", "dog"), "train")


def test_the_encoder_of_a_network_is_read_as_it_is():
    images = labelled()
    network = make_network(TOY, NetworkRun(None, None, 0), images)
    tunnel = as_tunnel(network)
    assert str(tunnel.architecture) == TOY.network
    with torch.no_grad():
        seen = network.encoder(network.normalise(images.pixels / 255))
    what, codes = tunnel.encoder(tunnel.normalise(images.pixels / 255))
    torch.testing.assert_close(what, seen.what, rtol=1e-4, atol=1e-5)
    for expected, found in zip(seen.where, codes, strict=True):
        assert (expected == found).float().mean() > 0.99


@pytest.mark.parametrize("unpooling", ["switches", "fixed"])
def test_layerwise_begins_each_block_from_the_encoders_plane(unpooling):
    images = labelled()
    network = make_network(replace(TOY, network="4x1-4x1"), NetworkRun(unpooling, "layerwise", 0), images)
    x = network.normalise(images.pixels / 255)
    seen = network.encoder(x)
    plane, image = (
        layer(put_back(pooled, where, Window(2), size, unpooling))
        for layer, pooled, where, size in zip(
            network.decoder.layers, seen.planes[::-1], seen.where[::-1], ((8, 8), (16, 16)), strict=True
        )
    )
    settings = replace(TOY, network="4x1-4x1", l2rec=0.5, l2m=0.25)
    expected = 0.5 * F.mse_loss(image, x) + 0.25 * F.mse_loss(plane, seen.planes[0])
    task = make_task(network, settings, "layerwise")
    task._nll = 0.0
    loss, _ = task(x, images.labels, [])
    torch.testing.assert_close(loss, expected)
    # All levels jointly is another loss.
    joint = make_task(network, settings, "all")
    joint._nll = 0.0
    assert not torch.isclose(joint(x, images.labels, [])[0], expected)


def test_each_mode_has_its_terms():
    network = make_network(TOY, NetworkRun("switches", "all", 0), labelled())
    weights = {mode: make_task(network, TOY, mode) for mode in (None, "first", "all", "layerwise")}
    # Two layers a block: the second of the first block is pooled, the last plane is the what.
    pooled = (0.0, TOY.l2m, 0.0)
    assert {mode: (task._l2rec, task._l2m, task.layerwise) for mode, task in weights.items()} == {
        None: (0.0, (0.0, 0.0, 0.0), False),
        "first": (TOY.l2rec, (0.0, 0.0, 0.0), False),
        "all": (TOY.l2rec, pooled, False),
        "layerwise": (TOY.l2rec, pooled, True),
    }


def test_an_encoder_is_a_name_a_network_or_a_vggs_file(tmp_path):
    pixels, drawn = random_pixels(), recon_dec.load_encoder("vgg16")
    assert recon_dec.as_network(drawn, pixels).architecture.layers == (2, 2, 3, 3, 3)
    saved = random_encoder()
    saved.save(tmp_path / "ours.safetensors")
    found = recon_dec.load_encoder(str(tmp_path / "ours.safetensors"))
    assert recon_dec.as_network(found, pixels).identity() == saved.identity()
    shapes = {"features.0": (4, 3), "features.3": (6, 4)}
    tensors = {f"{name}.weight": torch.rand(*shape, 3, 3) for name, shape in shapes.items()}
    torch.save(tensors, tmp_path / "vgg.pth")
    found = recon_dec.load_encoder(str(tmp_path / "vgg.pth"), "caffe")
    assert str(found.architecture) == "4x1-6x1"
    assert "inputs as caffe" in found.provenance.imported
    for other in ("vgg16", str(tmp_path / "ours.safetensors")):
        with pytest.raises(ValueError, match=r"`inputs` is caffe, and .* is no VGG's file"):
            recon_dec.load_encoder(other, "caffe")
    (tmp_path / "ours.safetensors").write_bytes(b"\x10" + bytes(40))
    with pytest.raises(FormatError):
        recon_dec.load_encoder(str(tmp_path / "ours.safetensors"))


def test_every_run_has_a_name_of_its_own():
    grid = Grid(seeds=3)
    names = [run.name for run in (*grid.networks(), *grid.depths(Architecture.parse("vgg16")))]
    assert len(names) == len(set(names)) == 3 * 7 + 5 * 3 * 2
    assert NetworkRun("fixed", "first", 2).name == "SAE-first-2"
