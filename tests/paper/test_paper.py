"""The paper's table, runs, measurements and claims; SciPy and the paper's own text are the oracles."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch
from PIL import Image

from maxtunnel.data import open_store, prepare
from maxtunnel.data.images import to_float
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.evaluation.records import Evaluation
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper import Reproduction, measurements, reproduce
from maxtunnel.paper import colours as colours_of
from maxtunnel.paper.claims import hold
from maxtunnel.paper.evidence import Evidence
from maxtunnel.paper.jobs import Training, do_all, pending, share
from maxtunnel.paper.results import Result, TableRow, difference, mean_interval, measure_once, tabulate
from maxtunnel.paper.table import ROWS, find_snapshots, select
from maxtunnel.support.progress import silent

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def stores(photographs_folder, tmp_path):
    """A store to train on and another to measure on, of 16x16 pixels."""
    prepare(photographs_folder, tmp_path / "train", size=16)
    for path in photographs_folder.rglob("*.png"):
        Image.open(path).rotate(90).save(path)
    prepare(photographs_folder, tmp_path / "test", size=16)
    return tmp_path / "train", tmp_path / "test"


@pytest.fixture
def photographs():
    return torch.randint(256, (8, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def network(widths=(4, 6), seed=0):
    return TunnelNetwork(Architecture(widths), torch.full((3, 8, 8), 0.45), 4.0, seed)


def test_table_2_is_the_papers(shared):
    text = (shared / "paper.txt").read_text()
    for name in {str(row.architecture) for row in ROWS}:
        line = re.search(rf"^\[{name.replace('-', ',')}\] (.*)$", text, re.MULTILINE)[1]
        rows = [row for row in ROWS if str(row.architecture) == name]
        assert [float(number) for number in line.split()] == [
            *(row.rmse for row in rows),
            rows[0].bits_per_pixel,
        ]


def test_nominal_bits_are_table_2s():
    assert len(ROWS) == 14
    assert sorted({row.bits_per_pixel for row in ROWS}) == [1.75, 3.5, 7, 14]
    assert all(row.architecture.bits_per_pixel() == row.bits_per_pixel for row in ROWS)


def test_rows_are_chosen_by_name():
    chosen = select(" 16-16-16-pretrained,8-8-8")
    assert [row.name for row in chosen] == ["8-8-8", "16-16-16-pretrained"]
    assert select(None) == ROWS
    with pytest.raises(ValueError, match="no row '9-9-9'"):
        select("8-8-8,9-9-9")


def test_snapshots_are_found_by_their_names(tmp_path):
    for name in (
        "net8_8_8_iter_50000",
        "net8_8_8_iter_9000",
        "net12_24_48Pretrain_iter_50000",
        "net5_5_iter_1",
    ):
        (tmp_path / f"{name}.caffemodel").touch()
    found = {name: path.stem for name, path in find_snapshots(tmp_path).items()}
    assert found == {
        "8-8-8": "net8_8_8_iter_50000",
        "12-24-48-pretrained": "net12_24_48Pretrain_iter_50000",
    }
    with pytest.raises(ValueError, match="no snapshot"):
        find_snapshots(tmp_path / "nowhere")


def test_a_reproduction_from_nothing_and_again(stores, tmp_path):
    train, test = stores
    asked = Reproduction(
        test,
        tmp_path / "out",
        train,
        only="8-8-8,8-8-8-pretrained",
        steps=3,
        photographs=8,
        command="the command",
    )
    said = []
    page, table = reproduce(asked, announce=said.append)
    assert "4 runs to train" in said[0]
    by_name = {line.row.name: line for line in table}
    ours = by_name["8-8-8"].ours
    model = TunnelNetwork.load(tmp_path / "out/runs/8-8-8/seed0/model.safetensors")
    assert ours.evaluation.rmse == pytest.approx(evaluate(model, open_store(test).pixels).rmse, rel=1e-6)
    # The pretrained encoder is the one that was pretrained, and the random one is drawn by its seed.
    encoder = TunnelNetwork.load(tmp_path / "out/runs/8-8-8-encoder/seed0/model.safetensors").encoder
    used = TunnelNetwork.load(tmp_path / "out/runs/8-8-8-pretrained/seed0/model.safetensors").encoder
    drawn = TunnelNetwork(Architecture((8, 8, 8)), model.mean, model.scale, 0).encoder
    for a, b, random, plain in zip(
        *(e.parameters() for e in (encoder, used, drawn, model.encoder)), strict=True
    ):
        assert torch.equal(a, b)
        assert torch.equal(random, plain)
        assert a.ndim == 1 or not torch.equal(a, random)
    assert by_name["64-64-64"].ours is None
    # What is known of the pretraining stays with the network, and no path of this machine does.
    info = by_name["8-8-8-pretrained"].ours.info
    assert info["pretraining"]["classes"] == len(set(open_store(train).labels.tolist()))
    assert 0 <= info["pretraining"]["top1"] <= 1
    assert str(tmp_path) not in json.dumps(info)
    assert "pretraining" not in ours.info

    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*") if path.is_file()}
    more, table = reproduce(replace(asked, seeds=2, only="8-8-8"), announce=said.append)
    assert "1 runs to train" in said[1]
    kept = [path for path in written if "runs" in path.parts or "evaluations" in path.parts]
    assert len(kept) > 15
    assert all(path.stat().st_mtime_ns == written[path] for path in kept)
    assert len(table[0].runs) == 2
    assert table[0].spread[1] > 0

    text = page.read_text()
    assert page == more
    # Nothing is asked of the network, and everything promised is on the page.
    assert not re.search(r"(src|href)=(?!'data:image/png;base64,)", text)
    assert "url(" not in text
    assert "@import" not in text
    assert text.count("src='data:image/png;base64,") == 5
    for word in (
        "0.0718",
        "Not trained, shipped",
        "the command",
        "Why do colours turn dull",
        "viewport",
        "@media print",
    ):
        assert word in text
    assert page.stat().st_size < 10e6
    for name in ("figure1", "figure2", "figure3", "figure4", "rmse-and-bits"):
        assert (tmp_path / f"out/{name}.png").stat().st_size > 5000
        assert (tmp_path / f"out/{name}.pdf").read_bytes().startswith(b"%PDF")
    content = json.loads((tmp_path / "out/table2.json").read_text())
    assert [row["paper_rmse"] for row in content["rows"]] == [row.rmse for row in ROWS]
    assert content["rows"][0]["seeds"] == 2
    assert (tmp_path / "out/table2.csv").read_text().count("\n") == 15
    assert "## Do more filters" in (tmp_path / "out/claims.md").read_text()


class Cut(Exception):
    """The power is gone."""


def cut(phase, done, total, note):
    if phase == "train":
        raise Cut


@pytest.mark.parametrize("kept", ["{", "[]", '{"sha256": "a", "rmse": 1}', "of another version"])
def test_an_evaluation_that_cannot_be_used_is_made_again(kept, tmp_path):
    network = TunnelNetwork(Architecture((2,)), torch.zeros(3, 16, 16))
    pixels = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    arguments = network, ROWS[0], "seed0", pixels, "of the photographs", tmp_path, silent
    first = measure_once(*arguments)
    path = tmp_path / f"{ROWS[0].name}-seed0.json"
    sound = json.loads(path.read_text())
    if kept == "of another version":
        kept = json.dumps({key: value for key, value in sound.items() if key != "bits_images"})
    path.write_text(kept)
    assert measure_once(*arguments).evaluation == first.evaluation
    assert json.loads(path.read_text()) == sound


def test_an_interrupted_run_is_gone_on_with(stores, tmp_path):
    train, test = stores
    whole, broken = (Training(train, test, tmp_path / name, "fast", 4, 16, 12) for name in "ab")
    whole.run(whole.jobs(ROWS[0], 0)[0], silent)
    job = broken.jobs(ROWS[0], 0)[0]
    # What is left before the first save: a config and a fresh network.
    with pytest.raises(Cut):
        broken.run(job, cut)
    assert list(pending([job])) == [job]
    with pytest.raises(ValueError, match="steps 4, but steps 5 is asked for"):
        broken.run(replace(job, steps=5), silent)
    told = []
    do_all([job], broken, lambda *progress: told.append(progress))
    assert list(pending([job])) == []
    phase, done, total, _ = told[-1]
    assert (phase, done) == ("all runs, seconds", total)
    first, second = (
        TunnelNetwork.load(training.folder(ROWS[0], 0) / "model.safetensors").state_dict()
        for training in (whole, broken)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_cannot_be_done_is_said(stores, tmp_path, photographs_folder):
    train, test = stores
    asked = Reproduction(test, tmp_path / "out")
    for change, message in (
        ({}, "give --train STORE"),
        ({"train": photographs_folder}, "no prepared store"),
        ({"train": test}, "is the training data"),
        ({"train": train, "steps": 3, "minutes": 1.0}, "one of them"),
        ({"use_shipped": True, "only": "48-96-192-pretrained"}, "no row"),
        ({"train": train, "minutes": 0.001}, "too few"),
    ):
        with pytest.raises(ValueError, match=message):
            reproduce(replace(asked, **change))
    assert not (tmp_path / "out").exists()


def test_minutes_are_shared_in_proportion_to_cost(stores, tmp_path):
    train, test = stores
    training = Training(train, test, tmp_path, "fast", None, 16, 12)
    jobs = [job for row in select("8-8-8,16-16-16-pretrained") for job in training.jobs(row, 0)]
    few, many = share(1.0, jobs, training), share(3.0, jobs, training)
    assert many == pytest.approx(3 * few, rel=0.1)
    seconds = sum(training.seconds(replace(job, steps=few)) for job in jobs)
    assert seconds == pytest.approx(60, rel=0.2)


class Echo(TunnelNetwork):
    """Gives back what it was shown, after `change`."""

    def __init__(self, change):
        super().__init__(Architecture((4, 4)), torch.full((3, 1, 1), 0.5))
        self.change = change

    def encode(self, images):
        # Grey pictures are shown too, for the switches alone.
        if not torch.equal(images[:, 0], images[:, 1]):
            self.shown = images
        return super().encode(images)

    def decode(self, code):
        return self.change(self.shown)


def mute(images):
    """Halve the chroma and keep the luma (BT.601)."""
    luma = (images * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    return luma + (images - luma) / 2


def test_dull_colours_are_told_from_faint_pictures(photographs):
    colours = colours_of.measure_colours(Echo(mute), photographs)
    assert colours.returned().numpy() == pytest.approx([1, 0.5], abs=1e-5)
    assert colours.explained_in_all().numpy() == pytest.approx([1, 0.75], abs=1e-5)
    assert colours.best_gain() == pytest.approx((2, 2, 2), abs=1e-4)
    assert colours.saturation.numpy() == pytest.approx(np.full(8, 0.5), abs=1e-4)
    assert colours.edges.numpy() == pytest.approx(np.ones(8), abs=1e-4)
    assert colours.edges_other.abs().max() < 0.3
    faint = colours_of.measure_colours(Echo(lambda images: 0.5 + (images - 0.5) / 4), photographs)
    assert faint.returned().numpy() == pytest.approx([0.25, 0.25], abs=1e-5)


def test_scales_add_up_and_are_orthogonal():
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    parts = colours_of._scales(x)
    assert torch.allclose(parts.sum(0), x.double())
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert float((parts[a] * parts[b]).sum()) == pytest.approx(0, abs=1e-9)


def test_the_last_activation_is_the_output(photographs):
    net, images = network(), to_float(photographs)
    found = measurements.activations(net, images)
    assert [x.shape[-1] for x in found] == [8, 16, 32]
    # Two ways of doing the same sums, so not to the last bit.
    assert torch.allclose(net.denormalise(found[-1], (32, 32)), net.reconstruct(images), atol=1e-5)


def test_read_outs_are_least_squares(photographs):
    net = network()
    x, target = measurements.activations(net, to_float(photographs))[1], net.normalise(to_float(photographs))
    rows = torch.cat([x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]), torch.ones(x[:, :1].numel(), 1)], 1)
    small = torch.nn.functional.avg_pool2d(target, 2).permute(0, 2, 3, 1).reshape(-1, 3)
    expected = np.linalg.lstsq(rows.detach().double().numpy(), small.double().numpy(), rcond=1e-12)[0]
    ours = measurements._fit(net, photographs)[1].numpy()
    values = rows.detach().double().numpy()
    assert values @ ours == pytest.approx(values @ expected, abs=1e-6)
    layers = measurements.read_out(net, photographs)
    assert [found.layer for found in layers] == ["bias code", "decoder block 2", "decoder block 1"]
    # Nothing beats the original at that size, and the original at full size is itself.
    assert all(found.rmse >= found.floor for found in layers)
    assert layers[-1].floor == 0


def test_replaced_switches(photographs):
    net = network()
    found = measurements.replace_switches(net, photographs)
    assert found.known == pytest.approx(evaluate(net, photographs).rmse, rel=1e-5)
    mean = (to_float(photographs) - 0.45).square().mean().sqrt().item()
    assert found.mean == pytest.approx(mean, rel=1e-5)
    assert found.retrained == pytest.approx(mean, rel=0.02)
    low, high = found.zeros_times
    assert low < found.zeros / found.known < high
    assert len({found.known, found.zeros, found.retrained, found.random, found.other}) == 5


def test_a_colourful_encoder_sees_a_colourful_picture(photographs):
    net, images = network(), to_float(photographs) * 0.2 + 0.4
    rich = colours_of.more_colourful(net, 0.5)
    deviation = images - 0.45
    seen, expected = rich.encode(images), net.encode(0.45 + mute(deviation))
    same = [(a.codes == b.codes).float().mean() for a, b in zip(seen.levels, expected.levels, strict=True)]
    assert min(same) > 0.999  # rounding may turn a near tie
    assert seen != net.encode(images)


def result(name, origin, errors):
    """A result with these errors of its photographs."""
    row = next(row for row in ROWS if row.name == name)
    mse = np.square(errors)
    found = Evaluation(
        name, str(row.architecture), len(errors), float(np.sqrt(mse.mean())), (0.0, 1.0), 20.0, (19.0, 21.0),
        0.5, (0.4, 0.6), {"nominal": row.bits_per_pixel, "entropy": None, "stored": None}, None, 0,
        "bilinear", 16,
        {"rmse": [float(error) for error in errors], "psnr": [], "ssim": []},
    )  # fmt: skip
    return Result(row, origin, found, {}, "")


def test_intervals_are_student_ts_and_paired():
    values = [0.1, 0.14, 0.12, 0.19]
    mean, interval = mean_interval(values)
    expected = scipy.stats.t.interval(0.95, 3, loc=np.mean(values), scale=scipy.stats.sem(values))
    assert mean == pytest.approx(np.mean(values))
    assert interval == pytest.approx(expected, rel=1e-3)
    # Photographs differ a lot and the networks little, but always alike: paired, that is certain.
    errors = np.random.default_rng(0).uniform(0.05, 0.3, 200)
    gain, (low, high) = difference(
        result("8-8-8", "seed0", errors + 0.002), result("16-16-16", "seed0", errors)
    )
    assert 0.0015 < low < gain < high < 0.0025


def evidence(results):
    return Evidence(tabulate(results), {}, {}, {}, None, (10, 4), ("maxtunnel reproduce",))


def test_claims_say_what_the_numbers_say():
    flat = np.full(10, 0.1)
    more, doubling, pretraining, *rest = hold(
        evidence(
            [
                *(result("8-8-8", f"seed{seed}", flat + 0.01 * seed) for seed in range(3)),
                *(result("8-8-8-pretrained", f"seed{seed}", flat + 0.02 + 0.01 * seed) for seed in range(3)),
                *(result("6-12-24", f"seed{seed}", flat + (0.01, -0.03, 0.05)[seed]) for seed in range(3)),
                result("16-16-16", "seed0", flat - 0.03),
                result("16-16-16-pretrained", "seed0", flat - 0.05),
            ]
        )
    )
    assert (more.verdict, more.answer) == ("Yes", "The error falls in 1 of 1 steps to more filters.")
    assert doubling.verdict == "Undecided"
    assert doubling.answer == "Over draws of the encoder: 6-12-24 against 8-8-8: undecided."
    # Draws decide before single networks do.
    assert pretraining.verdict == "Yes"
    assert "Over draws of the encoder: 8-8-8: raises it. With one draw of each" in pretraining.answer
    assert "16-16-16: lowers it" in pretraining.answer
    assert pretraining.evidence[0][3:] == ("+0.0200", "0.0200 to 0.0200", "3 seeds")
    assert all("Not measured" in claim.verdict for claim in rest)


def test_unequal_training_decides_nothing():
    random, pretrained = (
        result("8-8-8", "shipped", [0.1] * 5),
        result("8-8-8-pretrained", "shipped", [0.2] * 5),
    )
    random.info["recipe"], pretrained.info["recipe"] = {"steps": 6000}, {"steps": 1000}
    claim = hold(evidence([random, pretrained]))[2]
    assert "8-8-8: undecided" in claim.answer
    assert claim.verdict == "Undecided"
    assert claim.evidence[0][2] == "1,000 / 6,000"
    random.info["recipe"], random.info["seed"], pretrained.info["seed"] = pretrained.info["recipe"], 4, 0
    assert "8-8-8: undecided" in hold(evidence([random, pretrained]))[2].answer
    pretrained.info["seed"] = 4
    assert "8-8-8: raises" in hold(evidence([random, pretrained]))[2].answer
    doubling = result("6-12-24", "shipped", [0.05] * 5)
    doubling.info.update(random.info)
    assert hold(evidence([random, doubling]))[1].verdict == "Yes"
    doubling.info["seed"] = 0
    assert hold(evidence([random, doubling]))[1].verdict == "Undecided"
    # A shipped network and a run of another seed's folder are not compared at all.
    claim = hold(evidence([random, result("8-8-8-pretrained", "seed0", [0.2] * 5)]))[2]
    assert "Not measured" in claim.verdict


def test_seeds_of_other_lengths_are_not_mixed():
    found = [
        result(name, f"seed{seed}", [error + 0.01 * seed] * 5)
        for name, error in (("8-8-8", 0.1), ("8-8-8-pretrained", 0.2))
        for seed in range(5)
    ]
    for run in found:
        run.info["recipe"] = {"steps": 1000 if run.origin in ("seed0", "seed1") else 3000}
    assert hold(evidence(found))[2].evidence[0][2:] == (
        *("3,000 / 3,000", "+0.1000", "0.1000 to 0.1000", "3 seeds"),
    )


def test_a_claim_names_the_calls_that_it_rests_on():
    asked = replace(evidence([]), commands=("train", "measure"))
    assert asked.command([result("8-8-8", "shipped", [0.1])]) == "measure"
    assert (
        asked.command([result("8-8-8", "shipped", [0.1]), result("8-8-8", "seed0", [0.1])])
        == "train\nmeasure"
    )


def test_claims_without_networks_say_so():
    assert all("Not measured" in claim.verdict for claim in hold(evidence([])))


def test_worse_with_more_filters_is_not_called_a_yes():
    claim = hold(evidence([result("8-8-8", "seed0", [0.1] * 5), result("16-16-16", "seed0", [0.2] * 5)]))[0]
    assert (claim.verdict, claim.answer[:24]) == ("No", "The error falls in 0 of ")


def test_the_table_prefers_what_ships():
    shipped, run = result("8-8-8", "shipped", [0.1]), result("8-8-8", "seed0", [0.2])
    line = tabulate([run, shipped])[0]
    assert line.ours is shipped
    assert line.runs == (run,)
    assert TableRow(line.row, None, (run,), None).spread is None
