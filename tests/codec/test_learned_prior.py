"""`tools/learn_prior.py` makes priors that the codec takes, for encoders of any architecture."""

import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from maxtunnel.codec import dumps, loads, prior, read_header
from maxtunnel.data import read_photographs
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.native import coder

FILE = Path(__file__).parents[2] / "tools" / "learn_prior.py"
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(shutil.which("c++") is None or not coder.supported(), reason="no C++ compiler here"),
]


@pytest.fixture
def learn_prior():
    """The tool, as a module."""
    spec = spec_from_file_location("learn_prior", FILE)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_prior_of_a_learned_encoder_shortens_its_files(
    learn_prior, photographs_folder, tmp_path, monkeypatch, capsys
):
    network = TunnelNetwork(Architecture.parse("2-2+linear+inside4"), torch.full((3, 1, 1), 0.5))
    network.save(tmp_path / "learned.safetensors")
    out = tmp_path / "prior.safetensors"
    monkeypatch.setattr(sys, "argv", [
        "learn_prior.py", str(tmp_path / "learned.safetensors"), str(photographs_folder), "--out", str(out),
        "--rounds", "120x2+20x2,120x2", "--images", "10",
    ])  # fmt: skip
    learn_prior.main()
    assert "level 1, round 20x2\n" in capsys.readouterr().out
    made = prior.load_prior(out)
    assert made.encoder == network.encoder_hash()
    assert made.channels == (2, 2)
    pixels = read_photographs(photographs_folder, 128).pixels[:]
    code = network.encode(pixels[:3] / 255)
    assert read_header(dumps(code, network)).prior == bytes(8)
    packed = len(dumps(code, network, "packed"))
    monkeypatch.setattr(prior, "shipped_priors", lambda: (made,))
    data = dumps(code, network)
    assert read_header(data).prior == made.identity
    assert loads(data) == code
    # Plain areas are what it learns first.
    assert len(data) < 0.9 * packed
