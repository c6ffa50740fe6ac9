"""A whole reproduction on a dozen small pictures: from nothing, gone on with, and refused."""

import json
import re
from dataclasses import replace

import pytest
import torch

from maxtunnel.data import open_store
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper import Reproduction, reproduce
from maxtunnel.paper.table import ROWS

pytestmark = pytest.mark.usefixtures("one_thread")


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
    assert len(said) == 1
    # Every run by its name, that of an experiment too, and what comes after them.
    assert said[0].startswith("4 runs to train, about ")
    for part in (
        "(8-8-8, seed 0, about ",
        "encoder of 8-8-8-pretrained, seed 0, about ",
        "8-8-8-pretrained, seed 0, about ",
        "8-8-8, seed 0 with more colourful sight, for the claim on dull colours, about ",
        "2 networks to measure on 12 photographs, about ",
        "claims and figures on 8 photographs, which is not estimated",
    ):
        assert part in said[0]
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
    provenance = by_name["8-8-8-pretrained"].ours.provenance
    assert provenance.pretraining.classes == len(set(open_store(train).labels.tolist()))
    assert 0 <= provenance.pretraining.top1 <= 1
    assert str(tmp_path) not in json.dumps(provenance.to_json())
    assert ours.provenance.pretraining is None

    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*") if path.is_file()}
    more, table = reproduce(replace(asked, seeds=2, only="8-8-8"), announce=said.append)
    assert "1 run to train" in said[1]
    kept = [path for path in written if "runs" in path.parts or "evaluations" in path.parts]
    assert len(kept) > 15
    assert all(path.stat().st_mtime_ns == written[path] for path in kept)
    assert len(table[0].runs) == 2
    assert table[0].spread[1] > 0

    text = page.read_text()
    assert page == more
    # Nothing is asked of the network, and everything promised is on the page.
    assert not re.search(r'(src|href)=(?!"data:image/png;base64,)', text)
    assert "url(" not in text
    assert "@import" not in text
    assert text.count('src="data:image/png;base64,') == 6
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
    for name in ("figure1", "figure2", "figure3", "figure4", "rmse-and-bits", "frontier"):
        assert (tmp_path / f"out/{name}.png").stat().st_size > 5000
        assert (tmp_path / f"out/{name}.pdf").read_bytes().startswith(b"%PDF")
    content = json.loads((tmp_path / "out/table2.json").read_text())
    assert [row["paper_rmse"] for row in content["rows"]] == [row.rmse for row in ROWS]
    assert content["rows"][0]["seeds"] == 2
    steps = [network["info"]["recipe"]["steps"] for network in content["networks"]]
    assert set(map(repr, steps)) == {"3"}
    assert (tmp_path / "out/table2.csv").read_text().count("\n") == 15
    assert "## Do more filters" in (tmp_path / "out/claims.md").read_text()


def test_what_cannot_be_done_is_said(stores, tmp_path, photographs_folder):
    train, test = stores
    asked = Reproduction(test, tmp_path / "out")
    for change, message in (
        ({}, "give `train`"),
        ({"train": photographs_folder}, "no prepared store"),
        ({"train": test}, "which is `train` too: measure on"),
        ({"train": train, "steps": 3, "minutes": 1.0}, "`steps` and `minutes` both"),
        ({"use_shipped": True, "only": "48-96-192-pretrained"}, "no row"),
        ({"train": train, "minutes": 0.001}, "`minutes` is 0.001, too few"),
    ):
        with pytest.raises(ValueError, match=message):
            reproduce(replace(asked, **change))
    assert not (tmp_path / "out").exists()
