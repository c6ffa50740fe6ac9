"""A network with an encoder alone: its decoder is not in its file, and no command shows what it paints."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from maxtunnel import evaluate, train
from maxtunnel.data.images import write_png
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.provenance import Provenance
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.zoo.vgg import INPUTS, vgg_network
from reference import record
from tools.command_line import call, refuse

pytestmark = pytest.mark.usefixtures("one_thread")


def imported(seed=0):
    """As `maxtunnel import` makes it, of 2x1-4x3."""
    generator = torch.Generator().manual_seed(seed)
    blocks = [
        [(torch.randn(b, a, 3, 3, generator=generator) / 4, torch.zeros(b)) for b, a in block]
        for block in ([(2, 3)], [(4, 2), (4, 4), (4, 4)])
    ]
    network = vgg_network(blocks, INPUTS["caffe"])
    network.provenance = Provenance(imported="a test")
    return network


@pytest.fixture
def file(tmp_path):
    imported().save(tmp_path / "vgg.safetensors")
    return tmp_path / "vgg.safetensors"


@pytest.fixture
def pixels():
    return torch.randint(256, (8, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_the_file_leaves_the_decoder_out_and_gives_the_same_network(file):
    network, loaded = imported(), TunnelNetwork.load(file)
    assert network.untrained
    assert loaded.untrained
    assert {name.partition(".")[0] for name in load_file(file)} == {"encoder", "mean"}
    assert loaded.state_dict().keys() == network.state_dict().keys()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name
    assert all(p.requires_grad for p in loaded.decoder.parameters())
    assert not any(p.requires_grad for p in loaded.encoder.parameters())
    assert loaded.identity() == network.identity()


@pytest.mark.parametrize("half", [False, True])
def test_a_decoder_that_anybody_changed_is_kept(tmp_path, half):
    network = imported()
    with torch.no_grad():
        network.mirrored.convs[-1].bias[0] += 0.5
    assert not network.untrained
    network.save(tmp_path / "own.safetensors", half)
    loaded = TunnelNetwork.load(tmp_path / "own.safetensors")
    assert not loaded.untrained
    assert loaded.mirrored.convs[-1].bias[0].item() == 0.5
    # An encoder that was made here says nothing of its decoder.
    assert not TunnelNetwork(Architecture((2, 4)), torch.full((3, 1, 1), 0.5)).untrained


TRAINED = json.dumps(Provenance(training=record()).to_json())


def altered(source, target, metadata=None, without=()):
    """The file with other metadata, or without some tensors."""
    with safe_open(source, framework="pt") as opened:
        old = opened.metadata()
    tensors = {name: x for name, x in load_file(source).items() if not name.startswith(without)}
    save_file(tensors, target, old | (metadata or {}))
    return target


@pytest.mark.parametrize(
    ("metadata", "without"),
    [
        # A decoder of this encoder would take 180 GB.
        ({"architecture": "99999x1-99999x1"}, ()),
        ({"architecture": "2x1-4x2"}, ()),
        ({"decoder": "strong 4"}, ()),
        # One that was trained, and is missing.
        ({"info": TRAINED}, ()),
        ({}, ("encoder.convs.0",)),
    ],
)
def test_a_file_without_a_decoder_must_hold_the_encoder_it_claims(file, tmp_path, metadata, without):
    with pytest.raises(FormatError, match="damaged network"):
        TunnelNetwork.load(altered(file, tmp_path / "bad.safetensors", metadata, without))


def test_no_command_shows_what_it_paints(file, tmp_path, pixels):
    photograph = tmp_path / "a.png"
    write_png(photograph, pixels[0])
    call("encode", photograph, "--model", file, "--out", tmp_path)
    told = f"is untrained, as its encoder came alone: train one with maxtunnel train 2x1-4x3 --encoder {file}"
    for command in (
        ["decode", tmp_path / "a.mxt", "--model", file],
        ["reconstruct", photograph, "--model", file],
        ["evaluate", file, "--data", tmp_path],
        ["demo", "--model", file],
    ):
        assert told in refuse(*command, *([] if command[0] == "evaluate" else ["--out", tmp_path / "out"]))
    assert not list(tmp_path.rglob("*rebuilt*"))
    with pytest.raises(ValueError, match="is untrained"):
        evaluate(file, pixels)


def test_what_only_pretraining_made_is_refused_too(tmp_path, pixels):
    photographs = tmp_path / "photographs"
    for number, photograph in enumerate(pixels):
        write_png(photographs / f"class{number % 2}" / f"{number}.png", photograph)
    run = tmp_path / "encoder"
    call("pretrain", "2-4", "--data", photographs, "--out", run, "--size", 16, "--steps", 1, "--seed", 3)
    network = TunnelNetwork.load(run / "model.safetensors")
    assert network.untrained
    assert network.provenance.encoder == "pretrained"
    assert not any(name.startswith("decoder.") for name in load_file(run / "model.safetensors"))
    photograph = photographs / "class0" / "0.png"
    call("encode", photograph, "--model", run, "--out", tmp_path)
    told = f"is untrained, as its encoder came alone: train one with maxtunnel train 2-4 --encoder {run}"
    assert told in refuse("evaluate", run, "--data", photographs)
    assert told in refuse("decode", tmp_path / "0.mxt", "--model", run, "--out", tmp_path / "out")
    # What the line says to do makes it a network like any other.
    trained = train("2-4", pixels, tmp_path / "run", encoder=str(run), steps=1, batch=4)
    assert not trained.untrained
    assert trained.provenance.encoder == "pretrained"


def test_its_encoder_alone_is_exported(file, tmp_path):
    pytest.importorskip("onnx")
    assert "train one with" in refuse("export-onnx", file, tmp_path / "both.onnx")
    call("export-onnx", file, tmp_path / "encoder.onnx", "--part", "encoder")
    assert {path.name for path in tmp_path.glob("*.onnx")} == {"encoder.onnx"}


def test_training_makes_it_a_network_like_any_other(file, tmp_path, pixels):
    for name, options in (("2x1-4x3", {"encoder": str(file)}), (file, {})):
        run = tmp_path / f"run-{len(options)}"
        network = train(name, pixels, run, steps=1, batch=4, **options)
        assert network.provenance.imported == "a test"
        assert not network.untrained
        loaded = TunnelNetwork.load(run / "model.safetensors")
        assert torch.equal(loaded(pixels / 255), network(pixels / 255))
        assert evaluate(run, pixels, bits_images=0).images == 8
