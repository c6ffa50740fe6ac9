"""A training imports of Lightning what it needs, and nothing of torchvision, whatever is wrong with that."""

import importlib
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest

from maxtunnel.training import engine

TRAIN = """
import sys
from dataclasses import replace
import torch
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.recipes import FAST
from maxtunnel.training.train import train_decoder, train_encoder

pixels, run = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8), sys.argv[1]
for precision in ("32", "bf16"):
    config = TrainingConfig(recipe=replace(FAST, steps=3, batch=2, precision=precision))
    network = TunnelNetwork(Architecture((2,)), torch.zeros(3, 8, 8))
    train_encoder(network, pixels, torch.tensor([0, 1, 0, 1]), f"{run}/encoder-{precision}", config)
    train_decoder(network, pixels, f"{run}/decoder-{precision}", config)
print([name for name in ("lightning", "torchmetrics", "torchvision") if name in sys.modules])
try:
    import torchvision
except Exception as error:
    print(type(error).__name__)
"""


def test_a_broken_torchvision_breaks_no_training(tmp_path):
    installed = tmp_path / "site"
    (installed / "torchvision").mkdir(parents=True)
    fault = "raise RuntimeError('operator torchvision::nms does not exist')\n"
    (installed / "torchvision" / "__init__.py").write_text(fault)
    (installed / "torchvision-0.99.0.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.99.0\n"
    (installed / "torchvision-0.99.0.dist-info" / "METADATA").write_text(metadata)
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Nobody announced anything; whoever imports one of these gets the real one, which is broken indeed.
    assert done.stderr == ""
    assert done.stdout.split() == ["[]", "RuntimeError"]
    for phase in ("encoder", "decoder"):
        for precision in ("32", "bf16"):
            assert (tmp_path / f"{phase}-{precision}" / "model.safetensors").exists()


@pytest.mark.parametrize("with_metrics", [True, False])
def test_who_imports_lightning_after_a_training_gets_all_of_it(tmp_path, monkeypatch, with_metrics):
    package = tmp_path / "lightning"
    (package / "fabric").mkdir(parents=True)
    (package / "__init__.py").write_text("from lightning.fabric import Fabric\nTrainer = Fabric\n")
    (package / "fabric" / "__init__.py").write_text(
        "try:\n    from torchmetrics import __version__ as metrics\n"
        "except ImportError:\n    metrics = None\nFabric = object()\n"
    )
    for name in [name for name in sys.modules if name.split(".")[0] in ("lightning", "torchmetrics")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    # An earlier training of this process may have left what finds the real one.
    finders = [finder for finder in sys.meta_path if not isinstance(finder, engine._Whole)]
    monkeypatch.setattr(sys, "meta_path", finders)
    if not with_metrics:
        # Not installed, for Python as for its record of what is.
        monkeypatch.setitem(sys.modules, "torchmetrics", None)
        monkeypatch.setattr(engine, "version", _not_installed)
    try:
        engine._import_fabric()
        assert "lightning" not in sys.modules
        whole = importlib.import_module("lightning")
        assert whole.fabric is sys.modules["lightning.fabric"]
        assert whole.Trainer is whole.fabric.Fabric
        assert (whole.fabric.metrics is not None) == with_metrics
    finally:
        for name in ("lightning", "lightning.fabric"):
            sys.modules.pop(name, None)


def _not_installed(name):
    raise PackageNotFoundError(name)
