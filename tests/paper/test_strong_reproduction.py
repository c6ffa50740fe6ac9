"""Strong decoders in a reproduction: trained on the switches of the paper's, found, measured and shown."""

import csv
import json
from dataclasses import replace

import pytest
import torch

from maxtunnel.data import open_store
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper import Reproduction, reproduce
from maxtunnel.paper.comparisons import strong_gain
from maxtunnel.paper.jobs import Training, is_finished
from maxtunnel.paper.request import find_networks, make_plan
from maxtunnel.paper.table import ROWS, select
from maxtunnel.support.progress import silent

pytestmark = pytest.mark.usefixtures("one_thread")


def test_both_decoders_read_the_same_switches_and_stand_beside_each_other(stores, tmp_path):
    train, test = stores
    asked = Reproduction(
        test, tmp_path / "out", train, only="8-8-8", steps=2, photographs=8, decoder="both", width=4
    )
    said = []
    page, table = reproduce(asked, announce=said.append)
    assert said[0].startswith("5 runs to train, about ")
    assert "8-8-8-strong, seed 0, about " in said[0]
    assert "8-8-8-strong, seed 0 with more colourful sight" in said[0]
    assert "8-8-8-strong, seed 0 with finer levels withheld, for the claim on the deepest ones" in said[0]
    line = table[0]
    runs = tmp_path / "out/runs"
    networks = {name: TunnelNetwork.load(runs / name / "seed0/model.safetensors") for name in NAMES}
    assert [networks[name].strong_width for name in NAMES] == [None, 4, None, 4]
    for one, other in (NAMES[:2], NAMES[2:]):
        assert networks[one].identity() == networks[other].identity()
    assert networks[NAMES[0]].identity() != networks[NAMES[2]].identity()
    coarse = TunnelNetwork.load(runs / "8-8-8-coarse-strong/seed0/model.safetensors")
    assert coarse.identity() == networks[NAMES[0]].identity()
    assert coarse.provenance.training.recipe["withheld"] == pytest.approx(2 / 3)
    strong = networks["8-8-8-strong"]
    assert line.strong.evaluation.rmse == pytest.approx(
        evaluate(strong, open_store(test).pixels).rmse, rel=1e-6
    )
    assert line.same_switches
    assert line.strong.seed == 0
    assert strong_gain(line).mean == line.ours.evaluation.rmse - line.strong.evaluation.rmse
    assert str(tmp_path) not in json.dumps(line.strong.provenance.to_json())

    text = page.read_text()
    for words in (
        "RMSE, strong decoder",
        "strong lower by",
        "recipe of strong decoders",
        "Of the switches: ",
    ):
        assert words in text
    assert "leak" not in text.lower()
    rows = list(csv.DictReader((tmp_path / "out/table2.csv").read_text().splitlines()))
    assert float(rows[0]["strong_rmse"]) == pytest.approx(line.strong.evaluation.rmse, abs=1e-5)
    assert float(rows[0]["strong_lower_by"]) == pytest.approx(strong_gain(line).mean, abs=2e-5)
    assert rows[1]["strong_rmse"] == rows[1]["strong_lower_by_high"] == ""
    content = json.loads((tmp_path / "out/table2.json").read_text())
    assert [(network["network"], network["decoder"]) for network in content["networks"]] == [
        ("8-8-8", "mirrored"),
        ("8-8-8-strong", "strong"),
    ]
    claims = (tmp_path / "out/claims.md").read_text()
    assert claims.count("(3) With 4 times the chroma") == 2
    assert "| strong | 8-8-8 |" in claims
    deepest = claims.split("## Do the deepest layers")[1].split("\n## ")[0]
    assert "| reader | network | no level | level 3 | levels 3 and 2 | all levels |" in deepest
    assert "| strong | 8-8-8 |" in deepest
    assert "Not asked" not in deepest
    # Nothing is left to do, and what is there is found by a call that trains the paper's decoder alone.
    assert make_plan(asked, open_store(train)).jobs == ()
    assert [found.width for found in find_networks(replace(asked, decoder="mirrored"))] == [None, 4]


NAMES = ("8-8-8", "8-8-8-strong", "8-8-8-colourful", "8-8-8-colourful-strong")


def test_what_ships_is_measured_with_both_decoders(stores, tmp_path):
    asked = Reproduction(stores[1], tmp_path / "out", only="8-8-8", use_shipped=True, photographs=4)
    _, table = reproduce(asked)
    by_name = {line.row.name: line for line in table}
    assert by_name["8-8-8"].strong.origin == "shipped"
    assert by_name["8-8-8"].same_switches
    assert by_name["16-16-16"].strong is None
    assert "\n## 8-8-8-strong\n" in (tmp_path / "out/models.md").read_text()
    assert "| strong | 8-8-8 |" in (tmp_path / "out/claims.md").read_text()
    assert (tmp_path / "out/figure4.png").exists()


@pytest.mark.parametrize(
    ("name", "seed", "phases", "encoder"),
    [
        ("8-8-8", 0, ["train"], "8-8-8"),
        ("8-8-8", 1, ["train"], "random"),
        ("8-8-8-pretrained", 0, ["train"], "8-8-8-pretrained"),
        ("8-8-8-pretrained", 1, ["pretrain", "train"], "runs/8-8-8-encoder/seed1"),
    ],
)
def test_without_a_run_of_the_papers_decoder_what_ships_gives_the_encoder(
    name, seed, phases, encoder, stores, tmp_path
):
    training = Training(*stores, tmp_path, "fast", 2, 16, 12, 4)
    jobs = training.jobs(select(name)[0], seed, "strong")
    assert [job.phase for job in jobs] == phases
    assert [job.decoder for job in jobs][-1] == "strong"
    assert training._encoder(jobs[-1]).removeprefix(f"{tmp_path}/") == encoder
    assert jobs[-1].folder == tmp_path / "runs" / f"{name}-strong" / f"seed{seed}"


def test_the_run_of_the_papers_decoder_comes_before_what_ships(stores, tmp_path):
    training = Training(*stores, tmp_path, "fast", 2, 16, 12, 4)
    (mirrored,), (strong,) = (training.jobs(ROWS[0], 0, decoder) for decoder in ("mirrored", "strong"))
    training.run(mirrored, silent)
    assert training._encoder(strong) == str(mirrored.folder)
    training.run(strong, silent)
    assert is_finished(strong.folder)
    with pytest.raises(ValueError, match="holds a run with width 4, but width 8 is asked for"):
        replace(training, width=8).run(strong, silent)
    one, other = (TunnelNetwork.load(job.folder / "model.safetensors") for job in (mirrored, strong))
    assert torch.equal(one.mean, other.mean)
    assert one.identity() == other.identity()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"steps": 3}, "seed0 holds a run with steps 2, but steps 3 is asked for"),
        ({"steps": 2, "batch": 8}, "seed0 holds a run with batch 16, but batch 8 is asked for"),
        ({}, "seed0 holds a run with steps 2, but steps 3000 is asked for"),
        ({"steps": 2}, None),
        ({"minutes": 1.0}, None),
    ],
)
def test_a_finished_run_is_not_taken_for_one_of_other_steps_or_another_batch(given, said, stores, tmp_path):
    train, test = stores
    training = Training(train, test, tmp_path, "fast", 2, 16, 12)
    (row,) = select("6-12-24")
    training.run(training.jobs(row, 0)[0], silent)
    asked = Reproduction(test, tmp_path, train, only=row.name, **given)
    if said is None:
        assert make_plan(asked, open_store(train)).jobs == ()
        return
    with pytest.raises(ValueError, match=said):
        make_plan(asked, open_store(train))


def test_strong_decoders_alone_are_drawn_without_the_papers_figures(stores, tmp_path):
    train, test = stores
    asked = Reproduction(
        test, tmp_path / "out", train, only="8-8-8", steps=2, photographs=4, decoder="strong", width=4
    )
    _, table = reproduce(asked)
    assert table[0].ours is None
    assert table[0].strong is not None
    assert (tmp_path / "out/figure3.png").exists()
    assert not (tmp_path / "out/figure4.png").exists()
    assert "Only for" not in (tmp_path / "out/claims.md").read_text().split("## Do more")[0]
    with pytest.raises(ValueError, match="`recipe` is 'paper', which is of the paper's decoder"):
        reproduce(replace(asked, recipe="paper"))
