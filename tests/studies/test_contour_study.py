"""`maxtunnel study contours` at toy size."""

import json
import re
import signal

import pytest
import torch
from safetensors.torch import save_file
from small_bsds import write_bsds

from maxtunnel.data.bsds import read_bsds
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.studies import contours, contours_conclusions
from maxtunnel.studies.contours_config import KINDS, Run, preset
from maxtunnel.studies.contours_data import Photograph, agreed, others_of, read_parts, small, squares
from maxtunnel.studies.contours_networks import narrow
from maxtunnel.studies.contours_reading import (
    ELSEWHERE,
    WAYS,
    brightness,
    differences,
    enlarge,
    random_codes,
    read,
    ways_of,
)
from maxtunnel.studies.contours_run import Given, NetworkRow, make_network, run_network
from maxtunnel.support.files import FormatError
from maxtunnel.support.locks import take
from maxtunnel.support.progress import Stopped
from maxtunnel.switches.pooling import pool
from maxtunnel.switches.window import Window
from maxtunnel.zoo.vgg import load_vgg
from tools.command_line import call, refuse

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module", autouse=True)
def few_draws():
    """Intervals of few draws, which is quick."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(contours_conclusions, "DRAWS", 50)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_bsds(tmp_path_factory.mktemp("bsds"))


@pytest.fixture(scope="module")
def done(tmp_path_factory, data):
    """The toy study's folder, and what the command said."""
    out = tmp_path_factory.mktemp("study")
    return out, call("study", "contours", "--data", data, "--toy", "--out", out, "--csv", out / "table.csv")


def test_the_command_trains_measures_and_reports(done):
    out, text = done
    assert {path.stem for path in (out / "runs").glob("*.json")} == {f"{kind}-0" for kind in KINDS}
    drawn = {path.stem.split(".")[1] for path in (out / "runs").glob("*-0.*.png")}
    assert drawn == set(WAYS)
    page = (out / "contours.html").read_text()
    for name in WAYS.values():
        assert name in page
    assert page.count("<img") == 2 + len(WAYS)
    assert "The spatial information can be extracted completely" in page
    assert "Left out: 2 of 3 seeds" in text.replace("\n", " ")
    kept = json.loads((out / "verdict.json").read_text())
    assert kept["study"] == "contours"
    assert "works so well because of the switches" in kept["answers"]
    assert (out / "table.csv").read_text().startswith("way,how,networks,ods,ods_low,ods_high,ois,ap")
    # Networks are kept, so that others can be read from them.
    kept = DenseNetwork.load(out / "runs" / "switches-0.safetensors")
    assert (kept.shape.classes, kept.shape.pooled) == (1, 3)
    assert re.fullmatch(
        r"BSDS500: 2 steps of 2 squares of 16 pixels of its \d+ photographs to train on, 2 times smaller, "
        r"seed 0; ODS 0\.\d{3} on 2 others, 3 thresholds",
        kept.about,
    )


def test_rows_that_are_there_are_not_made_again(done, data):
    out, _ = done
    path = out / "runs" / "brightness-0.json"
    row = json.loads(path.read_text())
    row["counts"]["brightness"] = ["9 10 9 10 0 10 0 0 0 10 0 0"] * 2
    before = path.read_text()
    path.write_text(json.dumps(row))
    text = call("study", "contours", "--data", data, "--toy", "--out", out)
    path.write_text(before)
    assert "0.900" in text


def test_networks_that_were_trained_elsewhere_are_read(done, data, tmp_path):
    """Those of the toy study, given to another one: the same counts, and nothing is trained."""
    out, _ = done
    found = contours.study_contours(data, tmp_path / "again", size="toy", networks=out / "runs")
    for row in found.rows:
        kept = json.loads((out / "runs" / f"{row.kind}-0.json").read_text())
        assert dict(row.counts) == {way: tuple(lines) for way, lines in kept["counts"].items()}
        assert row.metric is None
    assert found.left_out == "2 of 3 seeds; thresholds beyond 3"
    (tmp_path / "few").mkdir()
    with pytest.raises(FormatError, match=r"few has 0 files whose names end in switches-0.safetensors"):
        contours.study_contours(data, tmp_path / "more", size="toy", networks=tmp_path / "few")
    for given in ({"steps": 2}, {"poolings": 2}):
        with pytest.raises(ValueError, match=f"trained elsewhere: leave out `{next(iter(given))}`"):
            contours.study_contours(data, tmp_path / "more", size="toy", networks=tmp_path, **given)
    with pytest.raises(ValueError, match="`inputs` says what a VGG's file was trained on: give that file"):
        contours.study_contours(data, tmp_path / "more", size="toy", inputs="caffe")
    assert not (tmp_path / "more").exists()


def test_a_folder_of_other_settings_is_refused(done, data):
    out, _ = done
    error = refuse("study", "contours", "--data", str(data), "--toy", "--steps", "3", "--out", str(out))
    assert "holds runs with --steps 2, not 3" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--toy", "--full"], "--toy and --full"),
        (["--toy", "--poolings", "6"], "--poolings"),
        (["--toy", "--thresholds", "1000000"], "--thresholds is 1,000,000: expected at most 1,000"),
        (["--width", "4", "--encoder", "vgg.pth"], "--width is of encoders that are trained"),
        (["--data", "nowhere", "--toy"], "has no images/train with photographs"),
        (["--encoder", "nowhere.pth", "--toy"], "nowhere.pth does not exist: expected a file with a VGG"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(tmp_path, data, options, message):
    out = tmp_path / "study"
    given = [] if "--data" in options else ["--data", str(data)]
    assert message in refuse("study", "contours", *given, *options, "--out", str(out))
    assert not out.exists()


def test_networks_that_are_not_there_are_refused_before_anything_is_read(tmp_path, data, monkeypatch):
    monkeypatch.setattr(contours, "read_parts", pytest.fail)
    given = ("--data", str(data), "--toy", "--out", str(tmp_path / "study"), "--networks", str(tmp_path))
    assert "has 0 files whose names end in" in refuse("study", "contours", *given)


def test_a_stopped_study_keeps_what_is_done(tmp_path, data, monkeypatch):
    begun = []

    def run(settings, run, parts, given, known, on_progress, stop):
        begun.append(run.name)
        if len(begun) == 2:
            signal.raise_signal(signal.SIGINT)
            assert stop()
        counts = dict.fromkeys(ways_of(run.kind), ("1 2 1 2 1 2 1 2 1 2 1 2",))
        return NetworkRow(run.kind, run.seed, counts, None, (0.0, 0.0)), narrow(2), {}

    monkeypatch.setattr(contours, "run_network", run)
    with pytest.raises(Stopped, match="stopped; 1 of 6 networks are kept"):
        contours.study_contours(data, tmp_path, size="toy")
    found = contours.study_contours(data, tmp_path, size="toy")
    assert len(found.rows) == 6
    assert begun == [begun[0], begun[1], begun[1], *begun[3:]]


def test_switches_alone_wait_for_the_network_whose_they_are(tmp_path, data, monkeypatch):
    """Another process is at that network: the rest is done, and the study says what is missing."""
    begun = []

    def run(settings, run, *rest):
        begun.append(run.kind)
        counts = dict.fromkeys(ways_of(run.kind), ("1 2 1 2 1 2 1 2 1 2 1 2",))
        return NetworkRow(run.kind, run.seed, counts, None, (0.0, 0.0)), narrow(2), {}

    monkeypatch.setattr(contours, "run_network", run)
    lock = tmp_path / "study" / "runs" / "switches-0.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        assert take(file)
        found = contours.study_contours(data, tmp_path / "study", size="toy")
    assert not {"switches", "alone"} & {*begun}
    assert found.missing == ("switches-0", "alone-0")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": {}}, "expected brightness"),
        ({"counts": {"brightness": ["1 2 3 4", "1 2 3 4 5 6 7 8"]}}, "differ in how many"),
        ({"counts": {"brightness": ["1 2 3"]}}, "differ in how many"),
    ],
)
def test_a_row_that_says_nothing_is_refused(done, change, message):
    out, _ = done
    kept = json.loads((out / "runs" / "brightness-0.json").read_text())
    (out / "runs" / "broken.json").write_text(json.dumps(kept | change))
    rows = contours.Rows(out, "contours", _settings(out), NetworkRow)
    with pytest.raises(FormatError, match=f"{message}.* delete it to run it again"):
        rows.get("broken")
    (out / "runs" / "broken.json").unlink()


def _settings(out):
    from maxtunnel.studies.contours_config import Settings
    from maxtunnel.support.records import from_json

    return from_json(Settings, json.loads((out / "study.json").read_text())["settings"])


@pytest.fixture
def vgg(tmp_path):
    """A VGG16 of one filter where it has 64, as torchvision has it."""
    channels = [3, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 8]
    places = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    generator, tensors = torch.Generator().manual_seed(0), {}
    for place, before, after in zip(places, channels, channels[1:], strict=False):
        tensors[f"features.{place}.weight"] = torch.randn(after, before, 3, 3, generator=generator) / 3
        tensors[f"features.{place}.bias"] = torch.randn(after, generator=generator) / 3
    save_file(tensors, tmp_path / "vgg.safetensors")
    return tmp_path / "vgg.safetensors"


def test_a_given_encoder_stays_as_it_is(vgg, data):
    settings, given = preset("toy").settings, Given(vgg)
    parts = read_parts(str(data), shrink=2, crop=16, tested=2)
    known = None
    for kind in ("switches", "alone", "untrained"):
        run = Run(kind, 0)
        first = make_network(settings, run, given, known)
        row, network, _ = run_network(settings, run, parts, given, known)
        assert set(row.counts) == set(ways_of(kind))
        before, after = first.encoder.state_dict(), network.encoder.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert any(
            not torch.equal(first.decoder.state_dict()[name], tensor)
            for name, tensor in network.decoder.state_dict().items()
        )
        known = network if kind == "switches" else known
    taken = load_vgg(vgg).encoder.convs[0].state_dict()["weight"]
    assert torch.equal(known.layers[0].weight, taken)
    # Random weights in the place of those that were given.
    assert not torch.equal(network.layers[0].weight, taken)
    assert network.layers[0].weight.shape == taken.shape


def test_squares_cover_a_photograph_and_its_contours(data):
    parts = read_parts(str(data), shrink=2, crop=16, tested=None)
    # Of 24x20 pixels two by two squares each, of two splits with two photographs.
    assert tuple(parts.trained.images.shape) == (16, 3, 16, 16)
    assert tuple(parts.trained.masks.shape) == (16, 16, 16)
    assert (parts.photographs, len(parts.tested), parts.available) == (4, 2, 2)
    pixels, labels = read_bsds(data, "train").pair(0)
    image, mask = small(pixels, 2), agreed(labels, 2)
    cut = squares(image, mask, 16)
    assert torch.equal(cut[0][0], image[:, :16, :16])
    assert torch.equal(cut[-1][1], mask[-16:, -16:])
    with pytest.raises(ValueError, match="`crop` is 21: the photographs are 24x20"):
        squares(image, mask, 21)
    with pytest.raises(ValueError, match="at least 2 of both"):
        preset("toy").settings.__class__(**{**vars(preset("toy").settings), "tested": 1})


def test_another_photograph_is_one_of_the_same_size():
    sizes = [(4, 6), (6, 4), (4, 6), (6, 4), (6, 4), (9, 9)]
    photographs = [
        Photograph(torch.zeros(3, *size, dtype=torch.uint8), torch.zeros(1, *size, dtype=torch.uint8))
        for size in sizes
    ]
    assert others_of(photographs) == [2, 3, 0, 4, 1, 0]


def test_what_another_photograph_gives_is_what_the_network_draws_of_it(data):
    """Read one photograph with the other: its contours are those that the other one gets itself."""
    parts = read_parts(str(data), shrink=2, crop=16, tested=None)
    alike = [parts.tested[0], Photograph(parts.tested[0].pixels.flip(-1), parts.tested[0].contours)]
    network = narrow(2, seed=3)
    first, second = read("switches", network, alike, [1, 0], 2)
    assert torch.equal(first[ELSEWHERE], second["switches-known"])
    assert not torch.equal(first["switches-known"], second["switches-known"])
    assert set(first) == set(ways_of("switches"))
    assert all(plane.shape == (40, 48) and 0 <= plane.min() <= plane.max() <= 1 for plane in first.values())
    # The switches of the same photograph are no others.
    (same,) = read("switches", network, alike[:1], [0], 2)
    assert torch.equal(same["switches-other"], same["switches-known"])


def test_planes_grow_to_the_photograph():
    plane = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    wide = enlarge(plane, (5, 7), 2)
    assert wide.shape == (5, 7)
    assert torch.equal(wide[:, 4:], wide[:, 3:4].expand(-1, 3))
    assert torch.equal(wide[4], wide[3])


@pytest.mark.parametrize("size", [(8, 10), (7, 9)])
def test_random_switches_are_switches(size):
    """They lie in the plane, and every cell is drawn as often."""
    _, codes = pool(torch.rand(1, 400, *size), Window(2, ceil_mode=True))
    drawn = random_codes(codes, size, torch.Generator().manual_seed(0))
    assert drawn.shape == codes.shape
    rows = torch.arange(0, size[0], 2)[:, None] + drawn // 2
    columns = torch.arange(0, size[1], 2) + drawn % 2
    assert int(rows.max()) < size[0]
    assert int(columns.max()) < size[1]
    shares = torch.bincount(drawn[..., :-1, :-1].flatten().int(), minlength=4) / drawn[..., :-1, :-1].numel()
    assert torch.allclose(shares, torch.full((4,), 0.25), atol=0.03)


def test_switches_and_brightness_tell_where_something_changes():
    """Left half one pattern, right half another: both are strongest where the two meet."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.zeros(1, 8, 20, 30, dtype=torch.uint8)
    codes[..., 15:] = torch.randint(1, 4, (1, 8, 1, 1), generator=generator).to(torch.uint8)
    steep = differences([codes], (40, 60))
    assert steep.shape == (40, 60)
    assert 27 <= int(steep.mean(0).argmax()) <= 32
    pixels = torch.zeros(3, 20, 40, dtype=torch.uint8)
    pixels[..., 25:] = 200
    drawn = brightness(pixels)
    assert set(drawn.nonzero()[:, 1].tolist()) <= {23, 24, 25, 26}
    assert float(drawn.max()) == 1
