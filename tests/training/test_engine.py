"""A training needs nothing of torchvision, whatever is wrong with the one that is installed."""

import os
import subprocess
import sys

import pytest

TRAIN = """
import sys
import torch
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.recipes import FAST
from maxtunnel.training.train import train_decoder, train_encoder
from dataclasses import replace

pixels = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
config = TrainingConfig(recipe=replace(FAST, steps=3, batch=2, precision=sys.argv[2]))
network = TunnelNetwork(Architecture((2,)), torch.zeros(3, 8, 8))
train_encoder(network, pixels, torch.tensor([0, 1, 0, 1]), sys.argv[1] + "/encoder", config)
train_decoder(network, pixels, sys.argv[1] + "/decoder", config)
try:
    import lightning
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(
    ("fault", "precision"),
    [
        ("raise RuntimeError('operator torchvision::nms does not exist')", "bf16"),
        ("raise ImportError('undefined symbol: _ZN3c10')", "32"),
        ("raise AttributeError('partially initialized module')", "32"),
    ],
)
def test_a_broken_torchvision_breaks_no_training(tmp_path, fault, precision):
    installed = tmp_path / "site"
    (installed / "torchvision").mkdir(parents=True)
    (installed / "torchvision" / "__init__.py").write_text(f"{fault}\n")
    (installed / "torchvision-0.99.0.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.99.0\n"
    (installed / "torchvision-0.99.0.dist-info" / "METADATA").write_text(metadata)
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(tmp_path), precision],
        env=os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # It was broken indeed, and whoever imports all of Lightning is told.
    assert done.stdout.split()[-1] == fault.removeprefix("raise ").split("(")[0]
    for phase in ("encoder", "decoder"):
        assert (tmp_path / phase / "model.safetensors").exists()
