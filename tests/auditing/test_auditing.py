"""The pieces of an audit, each against an oracle, and a small audit as a whole."""

import json
import math
from html.parser import HTMLParser
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from skimage.feature import hog
from torch import nn
from torch.nn import functional as F

from maxtunnel.auditing import Config, Target, audit
from maxtunnel.auditing.identification import edges, identify, ranks, share_found
from maxtunnel.auditing.mitigations import Altered, average, flipped_bits, strided
from maxtunnel.auditing.outcome import coded_bits, ratio_of_means, shares, still_falling
from maxtunnel.auditing.page import page, write_report
from maxtunnel.auditing.samples import sample
from maxtunnel.data.images import demo_photographs, resize
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.mirrored import MirroredDecoder, stages
from maxtunnel.models.tunnel import Decoder, TunnelNetwork
from maxtunnel.switches.capture import capture, record
from maxtunnel.switches.changes import changed, fixed, flipped, halved, known, only, rows_only, uniform
from maxtunnel.switches.codes import SwitchCode, SwitchLevel, check_codes
from maxtunnel.switches.window import Window

pytestmark = pytest.mark.usefixtures("one_thread")


def photographs(count=48, side=32, seed=0):
    """Crops of the photographs in the package."""
    random = np.random.default_rng(seed)
    found, images = [], list(demo_photographs().values())
    for number in range(count):
        top, left = random.integers(0, 256 - 96, 2)
        found.append(resize(images[number % 4][:, top : top + 96, left : left + 96], (side, side)))
    return torch.stack(found)


def convolutions(*widths, pool=None):
    layers, channels = [], 3
    torch.manual_seed(0)
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), pool or nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


WINDOWS = [Window(), Window(3, 2, 1), Window(3, 2, ceil_mode=True), Window((2, 3), 2, (1, 1), (1, 2))]


def level(window, seed=0, size=(9, 11)):
    x = torch.rand(2, 3, *size, generator=generator(seed))
    args = window.kernel, window.stride, window.padding, window.dilation, window.ceil_mode
    model = nn.Module()
    model.forward = lambda x: F.max_pool2d(x, *args)
    return capture(model, x).levels[0]


@pytest.mark.parametrize("window", WINDOWS)
def test_changed_codes_stay_inside_the_plane(window):
    code = SwitchCode((level(window),), (9, 11))
    for change in (known, fixed, uniform, flipped(0.5), rows_only, halved):
        new = changed(code, change, generator()).levels[0]
        check_codes(new.codes, window, (9, 11))
        rows, old = new.codes // window.kernel[1], code.levels[0].codes // window.kernel[1]
        if change is rows_only:
            assert torch.equal(rows, old)
        if change is known:
            assert torch.equal(new.codes, code.levels[0].codes)


@pytest.mark.parametrize("window", WINDOWS)
def test_random_codes_are_uniform_over_what_lies_inside(window):
    code = SwitchCode((level(window),), (9, 11))
    many = torch.stack([changed(code, uniform, generator(seed)).levels[0].codes[0, 0] for seed in range(600)])
    indices = SwitchLevel(many[:, None], window, (9, 11)).indices()[:, 0].flatten(1)
    # How often each window names each of its cells: as many cells as lie inside, each about equally often.
    for column in indices.T:
        counts = column.unique(return_counts=True)[1]
        expected = 600 / len(counts)
        assert (counts - expected).abs().max() < 6 * math.sqrt(expected)
    inside = F.max_pool2d(torch.ones(1, 1, 9, 11), window.kernel, window.stride, window.padding,
                          window.dilation, window.ceil_mode)  # fmt: skip
    assert indices.shape[1] == inside.numel()


def test_flips_happen_as_often_as_they_say():
    code = SwitchCode(
        (SwitchLevel(torch.zeros(4, 8, 32, 32, dtype=torch.uint8), Window(), (64, 64)),), (64, 64)
    )
    share = (changed(code, flipped(0.4), generator()).levels[0].codes != 0).double().mean()
    assert float(share) == pytest.approx(0.4 * 3 / 4, abs=0.01)


def test_fixed_and_only():
    code = capture(convolutions(4, 4), torch.rand(2, 3, 16, 16))
    assert all(int(level.codes.max()) == 0 for level in changed(code, fixed, generator()).levels)
    kept = changed(code, only({1}), generator())
    assert int(kept.levels[0].codes.max()) == 0
    assert torch.equal(kept.levels[1].codes, code.levels[1].codes)


def test_the_mirrored_decoder_of_the_papers_network_is_the_papers():
    network = TunnelNetwork(Architecture((4, 6)), torch.full((3, 8, 8), 0.5))
    code = network.encode(torch.rand(2, 3, 16, 16))
    mirrored = MirroredDecoder(stages(code), (16, 16), slope=0.0)
    papers = Decoder(Architecture((4, 6)))
    shapes = [p.shape for p in mirrored.parameters()]
    assert shapes == [p.shape for p in papers.parameters()]
    papers.load_state_dict(dict(zip(papers.state_dict(), mirrored.parameters(), strict=True)))
    codes = [level.codes for level in code.levels]
    assert torch.allclose(mirrored(codes), papers(codes), atol=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (31, 45)])
@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(3, 40, 7, 2), nn.MaxPool2d(3, 2, 1), nn.Conv2d(40, 8, 3, 2), nn.MaxPool2d(2)),
        nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(2), nn.MaxPool2d((3, 2), 2, ceil_mode=True)),
    ],
)  # fmt: skip
def test_a_decoder_fits_any_code(model, size):
    code = capture(model, torch.rand(2, 3, *size))
    decoder = MirroredDecoder(stages(code), size, width=8)
    codes = [level.codes for level in code.levels]
    output = decoder(codes)
    assert output.shape == (2, 3, *size)
    output.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in decoder.parameters() if p.ndim == 4)
    # Every level's switches reach the output.
    for number, level in enumerate(code.levels):
        other = [*codes[:number], torch.zeros_like(level.codes), *codes[number + 1 :]]
        assert not torch.equal(decoder(other), output)


def test_samples_give_back_what_was_captured():
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2), nn.MaxPool2d((1, 2)))
    pixels = photographs(40)
    samples = sample(Target(model, "m"), pixels)
    numbers = torch.tensor([3, 39, 0])
    with torch.no_grad():
        expected = capture(model, pixels[numbers].float() / 255)
        features = model(pixels[numbers].float() / 255)
    assert samples.code(numbers) == expected
    restored = samples.what(numbers) * samples.rms[:, None, None]
    assert torch.allclose(restored, features, rtol=2e-3, atol=1e-5)
    assert len(sample(Target(model, "m"), pixels, seconds=0.0, least=8)) == 32


def test_edges_are_scikit_images_hog():
    images = photographs(3, 64).float() / 255
    for image, found in zip(images, edges(images), strict=True):
        grey = (image * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0).numpy()
        expected = hog(grey, 9, (8, 8), (1, 1), block_norm="L2").reshape(64, 9).T.ravel()
        assert found.numpy() == pytest.approx(expected, abs=1e-4)


def test_ranks_count_those_that_are_nearer():
    wanted = torch.tensor([[0.0], [1.0], [3.0]])
    assert ranks(torch.tensor([[0.1], [0.2], [0.0]]), wanted).tolist() == [0, 1, 2]
    # Who tells all alike has found nothing.
    assert ranks(torch.zeros(3, 1), torch.ones(3, 1)).tolist() == [2, 2, 2]


def test_the_share_found_is_that_of_all_draws():
    rank = torch.tensor([0, 1, 2, 4, 1])
    for found, behind in zip(share_found(rank, 3).tolist(), rank.tolist(), strict=True):
        nearer = set(range(behind))
        draws = [set(pair) for pair in product(range(4), repeat=2) if len(set(pair)) == 2]
        assert found == pytest.approx(np.mean([not nearer & draw for draw in draws]))


def test_identification_of_the_originals_and_of_noise():
    images = photographs(120).float() / 255
    assert all(
        found.found == 1
        for found in identify(images + 0.01 * torch.randn(images.shape, generator=generator()), images)
    )
    noise = identify(torch.rand(images.shape, generator=generator()), images)
    assert all(found.found < 0.1 for found in noise)
    assert [found.among for found in noise] == [100, 120, 100, 120]
    assert noise[0].chance == 0.01


def test_coded_bits_are_what_a_switch_file_takes():
    codes = torch.randint(0, 4, (5, 3, 32, 32), generator=generator()).to(torch.uint8)
    noise, nothing = (SwitchLevel(where, Window(), (64, 64)) for where in (codes, torch.zeros_like(codes)))
    of_noise, of_nothing = coded_bits(SwitchCode((noise, nothing), (64, 64)))
    # Nobody can say noise in fewer bits, and there is little to say about nothing.
    assert noise.nominal_bits * 0.99 < of_noise < noise.nominal_bits * 1.02
    assert of_nothing < 0.05 * nothing.nominal_bits


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 9), st.floats(0.01, 1))
def test_flipped_bits_are_the_mutual_information(cells, probability):
    joint = np.full((cells, cells), probability / cells / cells) + np.eye(cells) * (1 - probability) / cells
    independent = np.outer(joint.sum(0), joint.sum(1))
    expected = entropy(joint.ravel(), independent.ravel(), base=2)
    assert flipped_bits(cells, probability) == pytest.approx(expected, abs=1e-9)


def test_shares_of_parts_that_add_up():
    errors = {key: torch.full((10,), value, dtype=torch.float64) for key, value in
              {"neither": 1.0, "what": 0.7, "where": 0.4, "both": 0.1}.items()}  # fmt: skip
    found = shares(**errors)
    assert (found.what, found.where) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert shares(errors["neither"], errors["what"], errors["where"], 0.99 * errors["neither"]) is None


def test_the_interval_of_a_ratio_covers_as_often_as_it_says():
    hits = 0
    for seed in range(100):
        below = 1 + torch.rand(60, generator=generator(seed), dtype=torch.float64)
        above = below * (0.5 + torch.rand(60, generator=generator(seed + 1000), dtype=torch.float64))
        low, high = ratio_of_means(above, below, draws=300)[1]
        hits += low < 1 < high
    assert 85 <= hits <= 100


def test_a_curve_that_still_falls():
    falling = tuple((step, 1 / step) for step in range(1, 61))
    assert still_falling(falling)
    assert not still_falling(tuple((step, 0.3) for step in range(1, 61)))


@pytest.mark.parametrize("window", WINDOWS)
def test_other_poolings_are_pytorchs(window):
    x = torch.rand(2, 3, 9, 11, generator=generator())
    args = window.kernel, window.stride, window.padding
    model = nn.Module()
    model.forward = lambda x: F.max_pool2d(x, *args, window.dilation, window.ceil_mode)
    (found,) = record(model, x, swap=average).levels
    if window.dilation == (1, 1):
        assert torch.allclose(
            found.values, F.avg_pool2d(x, *args, window.ceil_mode, count_include_pad=False), atol=1e-6
        )
    (found,) = record(model, x, swap=strided).levels
    if window.padding == (0, 0):
        height, width = found.values.shape[-2:]
        first = x[..., :: window.stride[0], :: window.stride[1]][..., :height, :width]
        assert torch.equal(found.values, first)


class Unpooling(nn.Module):
    """Switches are all that its output depends on."""

    def forward(self, x):
        values, indices = F.max_pool2d(x, 2, return_indices=True)
        return F.max_unpool2d(torch.ones_like(values), indices, 2)


def test_a_model_with_a_counter_measure_unpools_changed_switches():
    def all_last(number, x, level):
        return level.values, torch.full_like(level.switches.codes, 3)

    x = torch.rand(2, 3, 8, 8)
    output = Altered(Target(Unpooling(), "m"), all_last)(x)
    assert output[..., 1::2, 1::2].eq(1).all()
    assert output.sum() == 2 * 3 * 16
    assert not torch.equal(Unpooling()(x), output)


@pytest.fixture(scope="module")
def result():
    torch.set_num_threads(1)
    config = Config(steps=120, mitigations=1.0, images=40)
    return audit(
        convolutions(6, 6), photographs(160, 24), holdout=photographs(110, 24, seed=1), config=config,
        metric=lambda model: model(torch.ones(1, 3, 24, 24)).mean(),
    )  # fmt: skip


def test_an_audit_finds_the_leak_and_the_controls_do_not(result):
    rows = result.rows
    assert rows["known"].rmse < 0.92 * rows["mean"].rmse
    assert rows["known"].explained_ci95[0] > 0.1
    for key in ("random", "fixed"):
        assert rows[key].rmse == pytest.approx(rows["mean"].rmse, rel=0.1)
    assert rows["other"].rmse > rows["mean"].rmse
    assert rows["known"].rmse_ci95[0] < rows["known"].rmse < rows["known"].rmse_ci95[1]
    assert rows["both"].rmse < rows["fixed"].rmse
    assert rows["untrained"].explained > 0
    assert result.shares.where > 0
    assert result.shares.what + result.shares.where == pytest.approx(1)
    assert [found.among for found in result.identified] == [100, 110, 100, 110]
    assert result.identified[0].found_ci95[0] > 5 * result.identified[0].chance
    assert f"RMSE {rows['known'].rmse:.3f}" in result.verdict


def test_levels_come_in_call_order_with_their_bits(result):
    first, second = result.levels
    assert (first.name, second.name) == ("2", "5")
    assert first.nominal_bits == 2 * 6 * 12 * 12
    assert first.coded_bits < first.nominal_bits
    # The first level with all coarser ones is all there is; the coarsest with all coarser ones is alone.
    assert first.from_deepest.rmse < second.from_deepest.rmse == second.alone.rmse
    assert result.bits_per_pixel == pytest.approx((first.nominal_bits + second.nominal_bits) / (3 * 24 * 24))


def test_counter_measures_are_measured_with_the_models_task(result):
    found = {measure.name: measure for measure in result.mitigations}
    nothing, random, averaged = (found[n] for n in ("nothing done", "random positions", "average pooling"))
    assert nothing.bits == sum(level.nominal_bits for level in result.levels)
    assert found["rows only"].bits == nothing.bits / 2
    assert random.bits == averaged.bits == 0
    assert nothing.leak.rmse < random.leak.rmse
    assert averaged.leak is None
    assert averaged.with_features is not None
    assert found["deepest 1 of 2 levels only"].bits == result.levels[1].nominal_bits
    # Positions do not matter to this model, the way of pooling does.
    assert nothing.metric == random.metric != averaged.metric


class Page(HTMLParser):
    """What a page asks the network for, and its text; every tag that opens must close."""

    def __init__(self):
        super().__init__()
        self.links, self.text, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href") and value]
        if tag not in ("meta", "img", "br", "path", "circle", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("path", "circle", "polyline"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_whole_and_asks_nobody_for_anything(result, tmp_path):
    path = write_report(result, tmp_path / "out")
    html = path.read_text()
    parsed = Page()
    parsed.feed(html)
    assert parsed.open == []
    assert parsed.links
    assert all(link.startswith("data:image/jpeg;base64,") for link in parsed.links)
    assert "http" not in html
    text = " ".join(" ".join(parsed.text).split())
    assert text.index("Who could read what") < text.index("Against controls")
    assert " ".join(result.verdict.split()) in text
    for heading in ("Level by level", "Transplants", "What helps", "How the decoders were trained"):
        assert heading in text
    content = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert content["rows"]["known"]["rmse"] == result.rows["known"].rmse
    assert content["format"] == "maxtunnel audit 1"
    assert "pictures" not in content
    assert (tmp_path / "out" / "pictures" / "known.png").exists()


def test_the_same_steps_give_the_same_result(result):
    config = Config(steps=12, images=16)
    first, second = (
        audit(convolutions(3), photographs(20), holdout=photographs(16, seed=1), config=config)
        for _ in range(2)
    )
    assert first.rows == second.rows
    assert first.levels == second.levels
    assert first.identified == second.identified


def test_names_are_escaped():
    config = Config(steps=4, images=8)
    found = audit(Target(convolutions(2), "<script>"), photographs(16), holdout=photographs(8), config=config)
    assert "<script>" not in page(found)
