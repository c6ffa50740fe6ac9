"""What the paper says of decoders: pictures grow finer block by block, and fixed switches destroy them."""

import itertools
from collections.abc import Mapping, Sequence

from maxtunnel.evaluation.intervals import span
from maxtunnel.paper.evidence import Claim, Evidence
from maxtunnel.paper.measurements import ReadOut, Replaced
from maxtunnel.paper.readings import READERS, SHORT, Item, Reading
from maxtunnel.paper.verdicts import not_measured, overall
from maxtunnel.support.choices import DecoderKind
from maxtunnel.support.numbers import counted

_SURELY_WORSE = 1.5  # times the error of known switches
_NEEDED = "It takes a network."
_NOT_ASKED = Reading(
    "strong",
    "Not asked",
    "A strong decoder reads all levels before it draws anything: only one that was trained with finer levels "
    "withheld can be asked what the deepest ones give away, and there is none here.",
    {},
)


def growing_finer(evidence: Evidence) -> Claim:
    """Do the deepest layers give a rough picture that grows finer block by block?"""
    found = {reader: evidence.measured[reader].read_outs for reader in READERS}
    return Claim(
        "Do the deepest layers give a rough picture that grows finer block by block?",
        "The deepest layers give a rough picture that grows finer block by block",
        tuple(_finer_reading(reader, read_outs) for reader, read_outs in found.items()),
        f"RMSE on half of {evidence.measured_on:,} photographs, with 95 % bootstrap interval. Of the paper's "
        "decoder: of a linear read-out (one position's channels to its colours) of its bias code and of what "
        "each block makes of one level more, fitted by least squares on the other half, enlarged without "
        "smoothing. Of a strong decoder: of the mean image, and of what one that was trained with finer "
        "levels withheld from some of its batches rebuilds of the coarsest levels alone (`maxtunnel train "
        "--withheld 0.67` into a run of this reproduction; where it trains strong decoders itself, it trains "
        "the first such one too). The last row is the original itself, shrunk to the size that so many "
        "levels unpool to: no read-out of the paper's decoder can be better, a strong decoder could be.",
        ("reader", "network", *_heads(found)),
        _read_out_cells(found),
        evidence.command(evidence.results()),
    )


_Found = Mapping[DecoderKind, Mapping[str, Sequence[ReadOut]]]


def _finer_reading(reader: DecoderKind, found: Mapping[str, Sequence[ReadOut]]) -> Reading:
    if not found:
        return not_measured(reader, _NEEDED) if reader == "mirrored" else _NOT_ASKED
    items = {name: Item(_falls(read_outs)) for name, read_outs in found.items()}
    falls = [item.holds for item in items.values()]
    each = "with every block" if reader == "mirrored" else "with every level that it is given"
    return Reading(
        reader,
        overall(falls),
        f"The error falls {each}, beyond its interval, in {falls.count(True)} of "
        f"{counted(len(found), 'network')}. {_roughness(found)}",
        items,
    )


def _roughness(found: Mapping[str, Sequence[ReadOut]]) -> str:
    """How rough the picture of the coarsest level alone is."""
    nothing, coarsest = next(iter(found.values()))[:2]
    errors = [read_outs[1].rmse for read_outs in found.values()]
    return (
        f"Of the coarsest level alone it is {_span(errors)}; of nothing {nothing.rmse:.4f}, and "
        f"{coarsest.floor:.4f} where every photograph is shrunk to the size that this level unpools to."
    )


def _span(values: Sequence[float]) -> str:
    return " to ".join(dict.fromkeys((f"{min(values):.4f}", f"{max(values):.4f}")))


def _falls(read_outs: Sequence[ReadOut]) -> bool:
    """Whether even the ends of the intervals are in order."""
    return all(a.rmse_ci95[0] > b.rmse_ci95[1] for a, b in itertools.pairwise(read_outs))


def _heads(found: _Found) -> list[str]:
    """What is known: no level, the coarsest one, one more, ..., all."""
    read_outs = [each for networks in found.values() for each in networks.values()]
    most = len(read_outs[0]) - 1 if read_outs else 0
    names = [f"level{'s' * (known > 1)} {_joined(range(most, most - known, -1))}" for known in range(1, most)]
    return ["no level", *names, "all levels"][: most + 1]


def _joined(numbers: Sequence[int]) -> str:
    return " and ".join(map(str, numbers)) if len(numbers) < 3 else f"{numbers[0]} to {numbers[-1]}"


def _read_out_cells(found: _Found) -> tuple[tuple[str, ...], ...]:
    rows = [
        (SHORT[reader], name, *(f"{r.rmse:.4f} ({span(r.rmse_ci95)})" for r in read_outs))
        for reader, networks in found.items()
        for name, read_outs in networks.items()
    ]
    if not rows:
        return ()
    first = next(read_outs for networks in found.values() for read_outs in networks.values())
    return (*rows, ("–", "the original", *(f"{r.floor:.4f}" for r in first)))


def fixed_switches(evidence: Evidence) -> Claim:
    """Do fixed switches instead of known ones destroy the reconstruction?"""
    found = {reader: evidence.measured[reader].replaced for reader in READERS}
    return Claim(
        "Do fixed switches instead of known ones destroy the reconstruction?",
        "Fixed switches instead of known ones destroy the reconstruction",
        tuple(
            _fixed_reading(reader, replaced, evidence.switches(reader)) for reader, replaced in found.items()
        ),
        f"RMSE on {evidence.measured_on:,} photographs. Known: their own switches. Shown: every code 0 "
        "for the decoder that was trained on known switches. Retrained: every code 0, the decoder trained "
        "for that; it gives every photograph the same picture. The paper's decoder was trained so (its loss "
        "over all training photographs is, up to a constant, its distance to their mean image); of the "
        "strong one it is the bound that no such decoder can beat, the mean of these very photographs (≥). "
        "Times: how often the error of known switches, 95 % bootstrap interval. Controls: the mean "
        "image, the switches of another photograph, random switches.",
        (
            *("reader", "network", "known", "fixed, shown", "times", "fixed, retrained", "times"),
            *("mean image", "another photograph's", "random"),
        ),
        tuple(
            _fixed_cells(reader, name, replaced)
            for reader, networks in found.items()
            for name, replaced in networks.items()
        ),
        evidence.command(evidence.results()),
    )


def _fixed_reading(
    reader: DecoderKind, found: Mapping[str, Replaced], switches: Mapping[str, str]
) -> Reading:
    if not found:
        return not_measured(reader, _NEEDED)
    items = {
        name: Item(
            r.zeros_times[0] > _SURELY_WORSE and r.retrained_times[0] > _SURELY_WORSE,
            switches=switches.get(name, ""),
        )
        for name, r in found.items()
    }
    worse = [item.holds for item in items.values()]
    retrained = (
        "gives every photograph the same picture, at best the mean image"
        if reader == "mirrored"
        else "was not trained: it would give every photograph the same picture, at best their mean"
    )
    return Reading(
        reader,
        overall(worse),
        "In both meanings of “fixed” the error is surely more than half as large again as with known "
        f"switches, in {worse.count(True)} of {len(found)} networks. A decoder trained on known switches and "
        "shown fixed ones errs more than the mean image does, in "
        f"{sum(r.zeros > r.mean for r in found.values())} of {len(found)}; one retrained for fixed switches "
        f"{retrained}.",
        items,
    )


def _fixed_cells(reader: DecoderKind, name: str, found: Replaced) -> tuple[str, ...]:
    bound = "≥ " if reader == "strong" else ""
    return (
        *(SHORT[reader], name, f"{found.known:.4f}", f"{found.zeros:.4f}", span(found.zeros_times, ".1f")),
        *(f"{bound}{found.retrained:.4f}", f"{bound}{span(found.retrained_times, '.1f')}"),
        *(f"{value:.4f}" for value in (found.mean, found.other, found.random)),
    )
