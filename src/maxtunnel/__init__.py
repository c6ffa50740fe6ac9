"""Rebuild photographs from the positions of max-pooling maxima alone."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from maxtunnel.architecture import Architecture as Architecture
    from maxtunnel.auditing import audit as audit
    from maxtunnel.capturing import capture as capture
    from maxtunnel.evaluation import evaluate as evaluate
    from maxtunnel.mxt import decode as decode
    from maxtunnel.mxt import encode as encode
    from maxtunnel.network import TunnelNetwork as TunnelNetwork
    from maxtunnel.switches import SwitchCode as SwitchCode
    from maxtunnel.switches import pool as pool
    from maxtunnel.switches import unpool as unpool
    from maxtunnel.training import train as train
    from maxtunnel.window import Window as Window
    from maxtunnel.zoo import load as load

# Imported when first asked for, so that `maxtunnel --help` need not wait for PyTorch.
_HOMES = {
    "Architecture": "architecture",
    "SwitchCode": "switches",
    "TunnelNetwork": "network",
    "Window": "window",
    "audit": "auditing",
    "capture": "capturing",
    "decode": "mxt",
    "encode": "mxt",
    "evaluate": "evaluation",
    "load": "zoo",
    "pool": "switches",
    "train": "training",
    "unpool": "switches",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
