"""Photographs to rows: what networks reach on each of them, wherever that is measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from maxtunnel.codec import stored_bits
from maxtunnel.data.batches import Pixels
from maxtunnel.data.finding import Source, find_source
from maxtunnel.data.folders import evenly_spaced
from maxtunnel.data.image_set import check_prepared
from maxtunnel.data.images import to_float
from maxtunnel.data.manifest import is_store
from maxtunnel.data.reading import read_square
from maxtunnel.data.store import open_store
from maxtunnel.evaluation.metrics import measure
from maxtunnel.models.refine import refine
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import Resize
from maxtunnel.support.parts import Parts
from maxtunnel.switches.codes import SwitchCode

Skipped = tuple[tuple[Path, str], ...]


@dataclass(frozen=True, eq=False)
class Album:
    """Photographs that are to be measured, not read yet.

    Attributes:
        photographs: a source, or pixels of one size.
        names: of pixels, where each came from; empty where nobody knows.
        reports: what is known beforehand not to be read, each with the reason in a sentence.
        fingerprint: of the photographs, where they are not in memory.
    """

    photographs: Source | Pixels
    names: Sequence[str] = ()
    reports: Skipped = ()
    fingerprint: str = ""

    def __len__(self) -> int:
        shown = self.photographs
        return len(shown.labels) if isinstance(shown, Source) else len(shown)

    @property
    def area(self) -> int | None:
        """Pixels of a photograph, where that is known beforehand."""
        shown = self.photographs
        return None if isinstance(shown, Source) else shown.shape[-2] * shown.shape[-1]

    def cut(self, start: int, stop: int) -> "Album":
        """Some of the photographs."""
        shown, which = self.photographs, torch.arange(start, min(stop, len(self)))
        if isinstance(shown, Source):
            return Album(shown.part(which.numpy()))
        some = shown[start:stop] if isinstance(shown, Tensor) else shown.select(which)
        return Album(some, list(self.names[start:stop]))


def open_album(data: str | Path, size: int, resize: Resize, limit: int | None = None) -> Album:
    """The photographs of a folder, of Parquet or tar files, or of a store; see `find_source`.

    Args:
        data: where they are.
        size, resize: at which a store must have been prepared.
        limit: take this many, evenly spaced over the list.
    """
    if is_store(data):
        store = open_store(data)
        check_prepared(store, size, resize)
        chosen = evenly_spaced(len(store.pixels), limit)
        reports = [(Path(name), f"{name} {reason}") for name, reason in store.manifest.skipped]
        names = store.paths if limit is None else [store.paths[number] for number in chosen]
        pixels = store.pixels if limit is None else store.pixels.select(torch.tensor(chosen))
        return Album(pixels, names, tuple(reports), f"{store.manifest.content_sha256} {limit}")
    source = find_source(data)
    told = source.reports()
    if limit is not None:
        source = source.part(torch.tensor(evenly_spaced(len(source.labels), limit)).numpy())
    return Album(source, (), tuple(told), f"{source.where('')} {source.fingerprint} {limit}")


@dataclass(frozen=True, eq=False)
class Handful:
    """A few photographs of an album, and which of them have their switches coded too.

    Attributes:
        number: among the handfuls.
        album: these photographs alone.
        coded: the numbers of those in it.
    """

    number: int
    album: Album
    coded: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Reached:
    """What a network reached on a handful.

    Attributes:
        metrics: as `measure` gives them.
        stored: bits of the switch file of each photograph that is coded.
        counts: of each level of these, how often each code stands in each channel.
    """

    metrics: Float64[Tensor, "3 n"]
    stored: Float64[Tensor, " b"]
    counts: tuple[Int64[Tensor, "_ _"], ...]


@dataclass(frozen=True, eq=False)
class HandfulRow:
    """What became of a handful.

    Attributes:
        names: where each photograph that could be read came from.
        skipped: the others, each with the reason in a sentence.
        coded: which of `names` have stored bits.
        size: height and width of the photographs in pixels.
        reached: by each network.
    """

    names: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    coded: tuple[int, ...]
    size: tuple[int, int]
    reached: tuple[Reached, ...]


@dataclass(frozen=True, eq=False)
class Meter:
    """Measures networks on handfuls: a work that can be pickled.

    Attributes:
        networks: run in float32.
        size, resize: photographs of a source are warped so to a square of `size` pixels.
        batch: photographs that go through a network at a time.
        device: where the networks run; None for where they lie.
        workers: threads that decode.
        refine: rounds in which every picture is refined; 0 for none.
    """

    networks: tuple[TunnelNetwork, ...]
    size: int
    resize: Resize
    batch: int
    device: str | None = None
    workers: int = 1
    refine: int = 0

    def __call__(self, handful: Handful) -> HandfulRow:
        """Read the photographs, and measure every network on them."""
        pixels, names, skipped, coded = self._read(handful)
        reached = tuple(
            self._measure(network if self.device is None else network.to(self.device), pixels, coded)
            for network in self.networks
        )
        return HandfulRow(names, skipped, coded, (pixels.shape[-2], pixels.shape[-1]), reached)

    def _read(
        self, handful: Handful
    ) -> tuple[Pixels, tuple[str, ...], tuple[tuple[str, str], ...], tuple[int, ...]]:
        shown = handful.album.photographs
        if not isinstance(shown, Source):
            names = tuple(handful.album.names) or ("",) * len(shown)
            return shown, names, (), handful.coded
        square = read_square(shown, self.size, self.resize, self.workers)
        places = [shown.where(key) for key in shown.keys.to_pylist()]
        kept = square.kept.tolist()
        skipped = tuple((places[n], f"{places[n]} {square.reasons[n]}") for n in sorted(square.reasons))
        coded = tuple(place for place, number in enumerate(kept) if number in handful.coded)
        return torch.from_numpy(square.pixels), tuple(places[n] for n in kept), skipped, coded

    @torch.no_grad()
    def _measure(self, network: TunnelNetwork, pixels: Pixels, coded: tuple[int, ...]) -> Reached:
        measured = [torch.empty(3, 0, dtype=torch.float64)]
        codes: list[SwitchCode] = []
        for start in range(0, len(pixels), self.batch):
            images = to_float(pixels[start : start + self.batch]).to(network.device)
            code = network.encode(images)
            rebuilt = refine(network, code, network.decode(code), rounds=self.refine)
            measured.append(measure(rebuilt, images).cpu())
            codes += [code[n - start].to("cpu") for n in coded if start <= n < start + len(code)]
        stored = [stored_bits(code, network) for code in codes]
        counts = tuple(level.counts for level in SwitchCode.concatenate(codes).levels) if codes else ()
        return Reached(torch.cat(measured, 1), torch.cat([torch.empty(0).double(), *stored]), counts)


def cut_handfuls(album: Album, sample: Sequence[int], size: int) -> Parts[Handful]:
    """The handfuls of an album, `size` photographs each.

    Args:
        album: the photographs.
        sample: the numbers of those that are coded.
        size: a multiple of the batch, so that handfuls change nothing.
    """
    wanted = sorted(sample)

    def cut(number: int) -> Handful:
        start = number * size
        coded = tuple(which - start for which in wanted if start <= which < start + size)
        return Handful(number, album.cut(start, start + size), coded)

    return Parts(range(-(-len(album) // size)), cut)
