"""Networks in the hub's layout: in local folders, and on a hub that stands on this machine."""

import json
import subprocess
import sys

import pytest
import torch
from hub_server import Hub

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.hub import limits, model_card
from maxtunnel.models.provenance import Provenance
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.zoo.names import load
from reference import record


@pytest.fixture
def network():
    network = TunnelNetwork(Architecture((3, 5)), torch.rand(3, 8, 8), 4.0, seed=1)
    network.provenance = Provenance(record())
    return network


def test_a_network_comes_back_bit_for_bit(network, tmp_path):
    network.save_pretrained(tmp_path / "net")
    assert sorted(path.name for path in (tmp_path / "net").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    for again in (TunnelNetwork.from_pretrained(tmp_path / "net"), load(str(tmp_path / "net"))):
        assert again.provenance == network.provenance
        assert (again.architecture, again.scale) == (network.architecture, network.scale)
        tensors = again.state_dict()
        assert all(torch.equal(tensors[name], tensor) for name, tensor in network.state_dict().items())


def test_config_and_card_say_what_it_is(network, tmp_path):
    network.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["architecture"], config["widths"], config["scale"]) == ("3-5", [3, 5], 4.0)
    assert config["bits_per_pixel"] == network.architecture.bits_per_pixel((8, 8))
    card = (tmp_path / "README.md").read_text()
    _, header, text = card.split("---\n", 2)
    assert "license: apache-2.0" in header
    assert "1,234 photographs of cats/train" in text
    assert "## Limits" in text
    assert "pretrained on" not in text
    pretraining = record(seed=2, classes=10, top1=0.4567, val="cats/val", val_images=5)
    network.provenance = Provenance(record(), pretraining)
    network.save_pretrained(tmp_path)
    expected = "10 classes of cats/train: fast, 3,000 steps of 16, seed 2, top-1 45.7 % of cats/val"
    assert f"| pretrained on | {expected} |" in (tmp_path / "README.md").read_text()
    assert "| encoder | pretrained |" in (tmp_path / "README.md").read_text()
    # Trained through its switches, from that.
    network.provenance = Provenance(record(encoder="learned"), pretraining)
    network.save_pretrained(tmp_path)
    assert "| encoder | learned |" in (tmp_path / "README.md").read_text()
    # An imported network knows nothing of its training, and its card says nothing.
    network.provenance = Provenance()
    network.save_pretrained(tmp_path)
    assert "trained on" not in (tmp_path / "README.md").read_text()


def card_of(network):
    return model_card(network.architecture, 7, 1.75, network.provenance, network.strong_width)


def test_the_card_names_the_decoder_and_what_it_is_given(network):
    paper = card_of(network)
    assert "| decoder | mirrored |" in paper
    assert "a learned constant takes their place" in paper
    strong = TunnelNetwork(Architecture((3, 5)), torch.rand(3, 8, 8), 4.0, strong_width=24)
    strong.provenance = Provenance(record(seconds=600.0), earlier=record(seconds=300.0))
    card = card_of(strong)
    assert "| decoder | strong, 24 channels at every scale |" in card
    assert "constant" not in card
    assert "| the decoder's training took | 15 minutes |" in card
    assert "| the decoder's training took | 100 s |" in card_of(load_with(network, seconds=100.0))


def test_a_folder_says_which_decoder_it_holds(tmp_path):
    for width, kind in ((None, "mirrored"), (4, "strong, 4 channels at every scale")):
        made = TunnelNetwork(Architecture((3, 5)), torch.rand(3, 8, 8), 4.0, strong_width=width)
        made.save_pretrained(tmp_path / kind)
        assert json.loads((tmp_path / kind / "config.json").read_text())["decoder"] == kind
        assert f"| decoder | {kind} |" in (tmp_path / kind / "README.md").read_text()


def load_with(network, **more):
    """The network with another record of its training."""
    network.provenance = Provenance(record(**more))
    return network


def test_no_card_takes_what_a_decoder_reads_for_what_switches_hold(network):
    for width in (None, 8):
        told = limits(network.provenance, width)
        assert "what this decoder reads in the switches: a lower bound" in told
    assert limits(network.provenance, None) != limits(network.provenance, 8)


def test_a_shipped_networks_card_has_its_error(tmp_path):
    network = load("8-8-8")
    network.save_pretrained(tmp_path)
    assert f"{network.provenance.training.rmse:.4f}" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("name", ["nowhere/at/all", "nowhere", "./owner/name", ""])
def test_what_is_neither_folder_nor_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError, match=r"no name on the hub|holds no model.safetensors"):
        TunnelNetwork.from_pretrained(name)


def test_a_folder_without_weights(tmp_path):
    with pytest.raises(FormatError, match=r"holds no model\.safetensors"):
        TunnelNetwork.from_pretrained(tmp_path)


def test_a_hub_name_needs_the_hubs_library(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(FormatError, match="pip install huggingface-hub"):
        TunnelNetwork.from_pretrained("owner/name")
    with pytest.raises(FormatError, match="pip install huggingface-hub"):
        network.push_to_hub("owner/name")


def test_a_network_goes_to_the_hub_and_comes_back(network, tmp_path, monkeypatch):
    network.provenance = Provenance(record(val="cats/val", val_images=5, rmse=0.12345))
    with Hub(monkeypatch) as hub:
        address = network.push_to_hub("owner/name", token="secret", private=True, commit_message="Cats")
        assert "owner/name/commit/" in address
        assert hub.made == [{"name": "name", "organization": "owner", "visibility": "private"}]
        assert set(hub.tokens) == {"Bearer secret"}
        assert sorted(hub.files) == ["README.md", "config.json", "model.safetensors"]
        again = TunnelNetwork.from_pretrained("owner/name", cache_dir=tmp_path, revision="main")
        assert again.provenance == network.provenance
        # From the cache alone; and nothing where that is empty.
        hub.files.clear()
        kept = TunnelNetwork.from_pretrained("owner/name", cache_dir=tmp_path, local_files_only=True)
        assert kept.identity() == network.identity()
        with pytest.raises(FormatError, match="owner/name cannot be fetched from the hub: "):
            TunnelNetwork.from_pretrained("owner/name", cache_dir=tmp_path / "empty", local_files_only=True)
        with pytest.raises(FormatError, match="owner/name cannot be fetched from the hub: 404"):
            TunnelNetwork.from_pretrained("owner/name", cache_dir=tmp_path / "empty")


def test_the_card_on_the_hub_has_the_error_as_the_hub_shows_it(network, monkeypatch):
    from huggingface_hub import ModelCard

    network.provenance = Provenance(record(val="cats/val", val_images=1234, rmse=0.12357))
    with Hub(monkeypatch) as hub:
        network.push_to_hub("owner/name", token="secret")
        data = ModelCard(hub.files["README.md"].decode()).data
    (found,) = data.eval_results
    assert (found.metric_type, found.metric_value) == ("rmse", 0.1236)
    assert found.dataset_name == "1,234 photographs of cats/val"
    assert data.license == "apache-2.0"


def test_a_folder_never_needs_the_hubs_library(network, tmp_path):
    network.save_pretrained(tmp_path)
    code = (
        "import sys; from maxtunnel import TunnelNetwork; "
        "TunnelNetwork.from_pretrained(sys.argv[1]); print('huggingface_hub' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code, tmp_path], text=True).strip() == "False"
