"""The networks that the page offers: those that ship, each read once, and those of files (`offer`).

A visitor chooses an encoder, by the name of the network that has the paper's decoder; a strong decoder of the
same switches ships for some. An encoder that learned through its switches has the strong decoder that learned
with it, and no other. A network of a file has the decoder that its file holds, or none where that was never
trained.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.readings import DECODERS
from maxtunnel.support.choices import DecoderKind
from maxtunnel.web.inputs import choose, printable
from maxtunnel.zoo.names import Shipped, find_shipped, list_shipped, load, shipped, untrained

# Of the mean image that all shipped networks carry whose encoders did not learn with their decoders, on what
# their own errors were measured on: the 3,925 photographs of imagenette/val, warped to 128x128 without
# antialiasing. A test measures it on some of them.
MEAN_RMSE = 0.2827
# Of a network of a file: its multiplications a pixel, in those of the largest that ships (VGG16 has 3.6 times
# as many, VGG19 4.6), its levels, and the channels of a strong decoder (those that ship have 112).
MOST_WORK, MOST_LEVELS, MOST_WIDTH = 8, 8, 256
_loading = threading.Lock()


@dataclass(frozen=True, eq=False)
class Offered:
    """A network of a file.

    Attributes:
        network: from the file.
        identity: of its encoder.
        decoders: the one that the file holds; none where that was never trained.
    """

    network: TunnelNetwork
    identity: bytes
    decoders: tuple[DecoderKind, ...]


_offered: dict[str, Offered] = {}


def offer(files: Sequence[str | Path]) -> None:
    """Offer the networks of these files beside those that ship, by their files' names, and no others.

    Args:
        files: what `maxtunnel.load` takes.

    Raises:
        FormatError: one cannot be read.
        ValueError: one is too large for the page, or two have one name.
    """
    found: dict[str, Offered] = {}
    for file in files:
        name, net = _name(file), load(file)
        if name in found or name in shipped():
            raise ValueError(f"`networks` has two called {name}, those that ship included: rename {file}")
        _check_size(file, net)
        decoders = () if net.untrained else (net.decoder_kind,)
        found[name] = Offered(net, net.identity(), decoders)
    _offered.clear()
    _offered.update(found)


def _name(file: str | Path) -> str:
    name = Path(file).resolve().name
    return printable(name.removesuffix(".safetensors").removesuffix(".caffemodel"))


def _check_size(file: str | Path, net: TunnelNetwork) -> None:
    work, levels = relative_work(net.architecture), len(net.architecture.widths)
    if work > MOST_WORK or levels > MOST_LEVELS or (net.strong_width or 0) > MOST_WIDTH:
        raise ValueError(
            f"{file} is too large for the page: {work:.1f} times the work of the largest network that ships, "
            f"{levels} levels, {net.strong_width or 'no'} channels of a strong decoder; up to {MOST_WORK}, "
            f"{MOST_LEVELS} and {MOST_WIDTH} are taken"
        )


def relative_work(architecture: Architecture) -> float:
    """Multiplications a pixel, in those of the largest network that ships."""
    return architecture.multiplications / max(each.architecture.multiplications for each in encoders())


def offered() -> dict[str, Offered]:
    """The networks of files, by name."""
    return dict(_offered)


def find(identity: bytes) -> str | None:
    """The name of the network on this page with this `TunnelNetwork.identity`; None if there is none."""
    mine = [name for name, each in _offered.items() if each.identity == identity]
    # Of files with one encoder, one that can decode.
    return find_shipped(identity) or next(iter(sorted(mine, key=lambda name: not decoders_of(name))), None)


def network(name: object) -> TunnelNetwork:
    """The network of this name: one that ships or was offered; nothing else is looked for."""
    if isinstance(name, str) and name in _offered:
        return _offered[name].network
    if not isinstance(name, str) or name not in shipped():
        raise ValueError(f"there is no network {printable(name)} on this page: choose another")
    with _loading:
        return _load(name)


def decoders_of(name: str) -> tuple[DecoderKind, ...]:
    """The kinds of decoder that this page has for the switches of `name`."""
    if name in _offered:
        return _offered[name].decoders
    strong = strong_of(name)
    if strong == name:
        return ("strong",)
    return ("mirrored",) if strong is None else ("mirrored", "strong")


def strong_of(name: str) -> str | None:
    """The name of the network that reads the switches of `name` with a strong decoder; None if none ships."""
    if name.endswith("-learned") and name in shipped():
        return name
    strong = f"{name}-strong"
    return strong if strong in shipped() else None


def reader(name: object, decoder: object) -> TunnelNetwork:
    """The network with the encoder `name` and the decoder that was chosen.

    Raises:
        ValueError: there is no such network or kind of decoder, or none of this kind for these switches.
    """
    found, chosen = network(name), str(name)
    kind = choose(decoder, DECODERS, "the decoder")
    if kind not in decoders_of(chosen):
        raise ValueError(without_decoder(chosen))
    strong = strong_of(chosen)
    return network(strong) if kind == "strong" and strong is not None else found


def without_decoder(name: str) -> str:
    """Why this page lacks a decoder for the switches of `name`, of which it has at most one."""
    kinds = decoders_of(name)
    if name not in _offered:
        return (
            no_strong(name) if kinds == ("mirrored",) else f"{name} learned with {DECODERS['strong']} alone"
        )
    if not kinds:
        return untrained(name, network(name).architecture, "FILE")
    return f"the file of {name} holds {DECODERS[kinds[0]]} alone"


def no_strong(name: str) -> str:
    """That no strong decoder ships for the switches of `name`, and for which there is one."""
    others = [entry.name for entry in encoders() if strong_of(entry.name) not in (None, entry.name)]
    return f"no strong decoder ships for the switches of {name}, only for those of {', '.join(others)}"


def encoders() -> list[Shipped]:
    """A network for every encoder that ships, with the paper's decoder if it has one; fewest bits first."""
    return [entry for entry in list_shipped() if entry.decoder == "mirrored" or entry.encoder == "learned"]


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
        beside = "" if strong in (None, entry.name) else f" / {found[str(strong)].rmse:.3f}"
        text = f"{entry.name}   {entry.bits_per_pixel:.4g} bits, {entry.rmse:.3f}{beside}"
        shown.append((text, entry.name))
    for name, each in _offered.items():
        bits = each.network.architecture.bits_per_pixel()
        decoder = f"{each.decoders[0]} decoder" if each.decoders else "no trained decoder"
        shown.append((f"{name}   {bits:.4g} bits, of a file, {decoder}", name))
    return shown


def most_channels() -> int:
    """Filters of the widest level of any network."""
    return max(max(architecture.widths) for architecture in _architectures().values())


def depths() -> dict[str, int]:
    """How many levels each network has."""
    return {name: len(architecture.widths) for name, architecture in _architectures().items()}


def _architectures() -> dict[str, Architecture]:
    """Of every network that can be chosen, by name."""
    found = {entry.name: entry.architecture for entry in encoders()}
    return found | {name: each.network.architecture for name, each in _offered.items()}


def level_label(level: int, depth: int) -> str:
    """A level by its number, and whether it is the first or the last of so many."""
    if depth > 1 and level in (1, depth):
        return f"Level {level} ({'finest' if level == 1 else 'deepest'})"
    return f"Level {level}"
