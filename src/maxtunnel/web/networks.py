"""The networks that the page offers: those that ship, each read once.

A visitor chooses an encoder, by the name of the network that has the paper's decoder; a strong decoder of the
same switches ships for some.
"""

import threading
from functools import cache

from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.readings import DECODERS
from maxtunnel.web.inputs import choose, printable
from maxtunnel.zoo.names import Shipped, list_shipped, load, shipped

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


def strong_of(name: str) -> str | None:
    """The name of the network that reads the switches of `name` with a strong decoder; None if none ships."""
    strong = f"{name}-strong"
    return strong if strong in shipped() else None


def reader(name: object, decoder: object) -> TunnelNetwork:
    """The network with the encoder `name` and the decoder that was chosen.

    Raises:
        ValueError: there is no such network or kind of decoder, or no strong one ships for these switches.
    """
    paper = network(name)
    if choose(decoder, DECODERS, "the decoder") == "mirrored":
        return paper
    strong = strong_of(str(name))
    if strong is None:
        raise ValueError(no_strong(str(name)))
    return network(strong)


def no_strong(name: str) -> str:
    """That no strong decoder ships for the switches of `name`, and for which there is one."""
    others = [entry.name for entry in encoders() if strong_of(entry.name)]
    return f"no strong decoder ships for the switches of {name}, only for those of {', '.join(others)}"


def encoders() -> list[Shipped]:
    """The networks with the paper's decoder, fewest switches first: one for every encoder that ships."""
    return [entry for entry in list_shipped() if entry.decoder == "mirrored"]


@cache
def _load(name: str) -> TunnelNetwork:
    return load(name)


def favourite() -> str:
    """The network that the page starts with."""
    names = [entry.name for entry in encoders()]
    return "16-16-16" if "16-16-16" in names else names[-1]


def options() -> list[tuple[str, str]]:
    """For each encoder, what the chooser shows of it, and its name.

    Of two errors the first is that of the paper's decoder: in a few letters, so that both can be seen.
    """
    found = {entry.name: entry for entry in list_shipped()}
    shown = []
    for entry in encoders():
        strong = strong_of(entry.name)
        beside = "" if strong is None else f" / {found[strong].rmse:.3f}"
        text = f"{entry.name}   {entry.bits_per_pixel:.4g} bits, {entry.rmse:.3f}{beside}"
        shown.append((text, entry.name))
    return shown


def most_channels() -> int:
    """Filters of the widest level of any network."""
    return max(max(entry.architecture.widths) for entry in encoders())


def depths() -> dict[str, int]:
    """How many levels each network has."""
    return {entry.name: len(entry.architecture.widths) for entry in encoders()}


def level_label(level: int, depth: int) -> str:
    """A level by its number, and whether it is the first or the last of so many."""
    if depth > 1 and level in (1, depth):
        return f"Level {level} ({'finest' if level == 1 else 'deepest'})"
    return f"Level {level}"
