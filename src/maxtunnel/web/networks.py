"""The networks that the page offers: those that ship, each read once."""

import threading
from functools import cache

from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.web.inputs import printable
from maxtunnel.zoo.names import list_shipped, load, shipped

# Of the mean image that all shipped networks carry, on what their own errors were measured on: the 3,925
# photographs of imagenette/val, warped to 128x128 without antialiasing. A test measures it on some of them.
MEAN_RMSE = 0.2827
_loading = threading.Lock()


def network(name: object) -> TunnelNetwork:
    """The shipped network of this name; nothing else is looked for."""
    if not isinstance(name, str) or name not in shipped():
        raise ValueError(f"there is no network {printable(name)} on this page: choose another")
    with _loading:
        return _load(name)


@cache
def _load(name: str) -> TunnelNetwork:
    return load(name)


def favourite() -> str:
    """The network that the page starts with."""
    names = [entry.name for entry in list_shipped()]
    return "16-16-16" if "16-16-16" in names else names[-1]


def options() -> list[tuple[str, str]]:
    """For each network, what the chooser shows of it, and its name."""
    return [
        (f"{entry.name}   ({entry.bits_per_pixel:.4g} bits, RMSE {entry.rmse:.3f})", entry.name)
        for entry in list_shipped()
    ]


def most_channels() -> int:
    """Filters of the widest level of any network."""
    return max(max(entry.architecture.widths) for entry in list_shipped())


def depths() -> dict[str, int]:
    """How many levels each network has."""
    return {entry.name: len(entry.architecture.widths) for entry in list_shipped()}


def level_label(level: int, depth: int) -> str:
    """A level by its number, and whether it is the first or the last of so many."""
    if depth > 1 and level in (1, depth):
        return f"Level {level} ({'finest' if level == 1 else 'deepest'})"
    return f"Level {level}"
