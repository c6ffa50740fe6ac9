"""Rebuild photographs from the positions of max-pooling maxima alone."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from maxtunnel.auditing import AuditConfig as AuditConfig
    from maxtunnel.auditing import audit as audit
    from maxtunnel.auditing import write_report as write_report
    from maxtunnel.codec.files import decode_files as decode_files
    from maxtunnel.codec.files import encode_files as encode_files
    from maxtunnel.data.torch_dataset import PhotographDataset as PhotographDataset
    from maxtunnel.evaluation.evaluate import evaluate as evaluate
    from maxtunnel.models.architecture import Architecture as Architecture
    from maxtunnel.models.refine import refine as refine
    from maxtunnel.models.tunnel import TunnelNetwork as TunnelNetwork
    from maxtunnel.switches.capture import capture as capture
    from maxtunnel.switches.codes import SwitchCode as SwitchCode
    from maxtunnel.switches.pooling import pool as pool
    from maxtunnel.switches.pooling import unpool as unpool
    from maxtunnel.switches.window import Window as Window
    from maxtunnel.training.config import TrainingConfig as TrainingConfig
    from maxtunnel.training.runs import train as train
    from maxtunnel.visualising.run import visualise as visualise
    from maxtunnel.zoo.names import load as load

# Imported when first asked for, so that `maxtunnel --help` need not wait for PyTorch.
_HOMES = {
    "Architecture": "models.architecture",
    "AuditConfig": "auditing",
    "PhotographDataset": "data.torch_dataset",
    "SwitchCode": "switches.codes",
    "TrainingConfig": "training.config",
    "TunnelNetwork": "models.tunnel",
    "Window": "switches.window",
    "audit": "auditing",
    "capture": "switches.capture",
    "decode_files": "codec.files",
    "encode_files": "codec.files",
    "evaluate": "evaluation.evaluate",
    "load": "zoo.names",
    "pool": "switches.pooling",
    "refine": "models.refine",
    "train": "training.runs",
    "unpool": "switches.pooling",
    "visualise": "visualising",
    "write_report": "auditing",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
