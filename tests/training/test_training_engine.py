"""A training needs nothing of torchvision, whatever is wrong with the one that is installed."""

import os
import subprocess
import sys

TRAIN = """
import os
import sys
from importlib import import_module
import torch
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.recipes import FAST
from maxtunnel.training.train import train_decoder, train_encoder
from dataclasses import replace

pixels = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
# Lightning is imported once a process, so each fault has a process of its own.
for precision, fault in zip(("bf16", "32", "32"), sys.argv[2:], strict=True):
    if os.fork():
        if os.wait()[1]:
            sys.exit(f"with {fault}")
        continue
    os.environ["FAULT"], run = fault, f"{sys.argv[1]}/{fault.split('(')[0]}"
    config = TrainingConfig(recipe=replace(FAST, steps=3, batch=2, precision=precision))
    network = TunnelNetwork(Architecture((2,)), torch.zeros(3, 8, 8))
    train_encoder(network, pixels, torch.tensor([0, 1, 0, 1]), run + "/encoder", config)
    train_decoder(network, pixels, run + "/decoder", config)
    try:
        # All of Lightning once, as that takes long.
        import_module("lightning" if precision == "bf16" else "torchvision")
    except Exception as error:
        print(type(error).__name__)
    sys.exit()
"""
FAULTS = (
    "RuntimeError('operator torchvision::nms does not exist')",
    "ImportError('undefined symbol: _ZN3c10')",
    "AttributeError('partially initialized module')",
)


def test_a_broken_torchvision_breaks_no_training(tmp_path):
    installed = tmp_path / "site"
    (installed / "torchvision").mkdir(parents=True)
    (installed / "torchvision" / "__init__.py").write_text("import os\nraise eval(os.environ['FAULT'])\n")
    (installed / "torchvision-0.99.0.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.99.0\n"
    (installed / "torchvision-0.99.0.dist-info" / "METADATA").write_text(metadata)
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(tmp_path), *FAULTS],
        env=os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # It was broken indeed, and whoever imports all of Lightning is told.
    names = [fault.split("(")[0] for fault in FAULTS]
    assert done.stdout.split() == names
    for name in names:
        for phase in ("encoder", "decoder"):
            assert (tmp_path / name / phase / "model.safetensors").exists()
