import numpy as np
import pytest
import torch

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.checkpoint import read_header
from maxtunnel.models.provenance import Provenance
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.table import ROWS
from maxtunnel.support.files import FormatError
from maxtunnel.zoo import names
from maxtunnel.zoo.names import (
    WEIGHTS,
    architecture_of,
    find_shipped,
    import_network,
    list_shipped,
    load,
    read_mean,
    shipped,
    shipped_architecture,
)
from reference import record


def test_all_shipped_networks_load_and_say_what_they_reach():
    for entry in list_shipped():
        network = load(entry.name)
        assert network.architecture == entry.architecture
        filters = "-".join(map(str, entry.architecture.widths))
        made = "" if entry.encoder == "random" else f"-{entry.encoder}"
        # What is learned is read by a strong decoder: its name need not say so.
        strong = "-strong" * (entry.decoder == "strong" and entry.encoder != "learned")
        assert entry.name == f"{filters}{made}{strong}"
        assert entry.encoder == network.provenance.encoder
        assert entry.bits_per_pixel == network.architecture.bits_per_pixel()
        assert entry.parameters == sum(p.numel() for p in network.parameters())
        assert 0.01 < entry.rmse < 0.17
        assert "imagenette" in entry.measured_on


def test_shipped_random_encoders_are_those_of_their_seeds():
    random = [load(entry.name) for entry in list_shipped() if entry.encoder == "random"]
    for network in random:
        seed = network.provenance.training.seed
        drawn = TunnelNetwork(network.architecture, network.mean, network.scale, seed).encoder
        ours = network.encoder.parameters()
        assert all(torch.equal(a, b) for a, b in zip(ours, drawn.parameters(), strict=True))
    # The card of 6-12-24 says why it is another.
    seeds = {str(network.architecture): network.provenance.training.seed for network in random}
    assert seeds == dict.fromkeys(seeds, 0) | {"6-12-24": 4}


def test_all_networks_that_ship_are_small_enough_together():
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) < 45e6


def test_shipped_networks_name_no_folder_of_a_machine():
    for path in WEIGHTS.iterdir():
        assert b"/home" not in path.read_bytes()
        told = str(read_header(path).provenance.to_json())
        assert "'/" not in told
        assert "'.." not in told


def test_all_of_table_2_ships_in_its_order():
    papers = [
        entry.name
        for entry in list_shipped()
        if entry.decoder == "mirrored" and entry.encoder in ("random", "pretrained")
    ]
    assert papers == [row.name for row in ROWS]


def test_a_learned_network_ships_under_its_filters_and_says_the_rest_itself(tmp_path, monkeypatch):
    network = TunnelNetwork(Architecture((3, 2), True, 5), torch.zeros(3, 4, 4), 4.0, strong_width=4)
    reached = {"val": "cats/val", "val_images": 3, "rmse": 0.05, "rmse_ci95": (0.04, 0.06), "bits_images": 2}
    network.provenance = Provenance(record(encoder="learned", **reached))
    network.save(tmp_path / "3-2-learned.safetensors", half=True)
    monkeypatch.setattr(names, "WEIGHTS", tmp_path)
    assert shipped() == ["3-2-learned"]
    assert str(shipped_architecture("3-2-learned")) == "3-2+linear+inside5"
    (entry,) = list_shipped()
    assert (entry.encoder, entry.decoder) == ("learned", "strong")
    assert find_shipped(network.identity()) == "3-2-learned"
    assert find_shipped(bytes(16)) is None
    loaded = load("3-2-learned")
    images = torch.rand(1, 3, 8, 8)
    assert loaded.encode(images) == network.encode(images)


def test_a_run_folder_and_a_file_are_models(tmp_path):
    network = TunnelNetwork(Architecture((2, 3)), torch.zeros(3, 4, 4))
    network.save(tmp_path / "run" / "model.safetensors")
    for name in (tmp_path / "run", tmp_path / "run" / "model.safetensors", str(tmp_path / "run")):
        assert load(name).architecture == network.architecture


@pytest.mark.parametrize("name", ["9-9-9", "nowhere/at/all", ""])
def test_an_unknown_model_is_answered_with_what_lists_those_there_are(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError, match=r"give one, or the name of a network that ships|does not exist"):
        load(name)


def test_a_mean_is_for_snapshots_alone():
    with pytest.raises(ValueError, match="carries its own mean"):
        load("8-8-8", torch.zeros(3, 1, 1))


def test_architecture_of_names_models_and_nonsense():
    assert architecture_of("2-3-4").widths == (2, 3, 4)
    assert architecture_of(str(WEIGHTS / "8-8-8.safetensors")).widths == (8, 8, 8)
    with pytest.raises(ValueError, match="nor is it a model"):
        architecture_of("big")


def test_means_come_from_folders_and_arrays(tmp_path, photographs_folder):
    mean = read_mean(photographs_folder, 16)
    assert mean.shape == (3, 16, 16)
    np.save(tmp_path / "mean.npy", mean.numpy())
    assert torch.equal(read_mean(tmp_path / "mean.npy", 99), mean)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4)), "expected floats of shape"),
        (np.zeros((4, 8, 8)), "expected floats of shape"),
        (np.zeros((3, 8, 8), np.uint8), "expected floats of shape"),
        (np.full((3, 8, 8), 117.0), "expected RGB"),
        (np.full((3, 8, 8), np.nan), "expected RGB"),
        (np.array([{}], dtype=object), "cannot be read"),
    ],
)
def test_a_wrong_mean_is_named(tmp_path, array, message):
    np.save(tmp_path / "mean.npy", array, allow_pickle=True)
    with pytest.raises(FormatError, match=message):
        read_mean(tmp_path / "mean.npy", 8)


def test_an_imported_snapshot_gives_what_the_snapshot_gives(shared, tmp_path, photographs_folder):
    snapshot = shared / "reference/snapshots/net8_8_8_iter_50000.caffemodel"
    network = import_network(snapshot, tmp_path / "net.safetensors", photographs_folder, size=32)
    images = torch.rand(1, 3, 32, 32)
    direct = load(snapshot, read_mean(photographs_folder, 32))
    assert torch.equal(load(tmp_path / "net.safetensors").reconstruct(images), direct.reconstruct(images))
    assert network.scale == 255
    with pytest.raises(ValueError, match=r"name it \.safetensors"):
        import_network(snapshot, tmp_path / "net.pt")
    with pytest.raises(ValueError, match="`inputs` is for a VGG"):
        import_network(snapshot, tmp_path / "net.safetensors", inputs="caffe")
