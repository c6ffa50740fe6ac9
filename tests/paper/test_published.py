"""The authors' own snapshots reach what published.json says, and ours that ship reach more."""

import pytest

from maxtunnel.data import read_photographs
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.models.checkpoint import read_header
from maxtunnel.paper.networks import find_snapshots
from maxtunnel.paper.table import ROWS
from maxtunnel.zoo.names import WEIGHTS, load

BY_NAME = {row.name: row for row in ROWS}
AT_HAND = [row.name for row in ROWS if row.published and row.published.rmse_of_200]


@pytest.fixture(scope="module")
def photographs(shared):
    """200 of the 3,925 photographs of imagenette's val, evenly spread; docs/quality.md has all of them."""
    return read_photographs(shared / "data/imagenette/val", 128, limit=200).pixels


@pytest.mark.parametrize("name", AT_HAND)
def test_snapshots_reach_their_published_rmse(shared, photographs, name):
    # The mean image of imagenette's 9,469 training photographs is a part of every network that ships.
    network = load(find_snapshots(shared / "reference/snapshots")[name], load("8-8-8").mean)
    found = evaluate(network, photographs, bits_images=0)
    assert found.rmse == pytest.approx(BY_NAME[name].published.rmse_of_200, abs=2e-5)


def test_the_snapshots_at_hand_are_those_that_are_tested(shared):
    assert set(find_snapshots(shared / "reference/snapshots")) == set(AT_HAND)


@pytest.mark.parametrize("name", ["8-8-8", "16-16-16"])
def test_shipped_networks_beat_the_published_ones(photographs, name):
    published = BY_NAME[name].published
    assert evaluate(load(name), photographs, bits_images=0).rmse < published.rmse_of_200
    training = read_header(WEIGHTS / f"{name}.safetensors").provenance.training
    assert training.val_images == published.photographs
    assert training.rmse < published.rmse
