"""What the paper says of decoders: pictures grow finer block by block, and fixed switches destroy them."""

import itertools
from collections.abc import Mapping, Sequence

from maxtunnel.evaluation.intervals import span
from maxtunnel.paper.evidence import Claim, Evidence
from maxtunnel.paper.measurements import ReadOut, Replaced
from maxtunnel.paper.readings import READERS, SHORT, Item, Reading
from maxtunnel.paper.verdicts import not_measured, overall
from maxtunnel.support.choices import DecoderKind

_SURELY_WORSE = 1.5  # times the error of known switches
_NEEDED = "It takes a network."
_NOT_ASKED = Reading(
    "strong",
    "Not asked",
    "A strong decoder cannot be asked this: it has no bias code and no block a level, and reads all levels "
    "before it draws anything. What the deepest level gives away alone can only be asked of a reader "
    "that was trained with levels missing, as `maxtunnel audit` trains one; here none was.",
    {},
)


def growing_finer(evidence: Evidence) -> Claim:
    """Do the deepest layers give a rough picture that grows finer block by block?"""
    found = evidence.measured["mirrored"].read_outs
    return Claim(
        "Do the deepest layers give a rough picture that grows finer block by block?",
        "The deepest layers give a rough picture that grows finer block by block",
        (_finer_reading(found), _NOT_ASKED),
        "RMSE, with 95 % bootstrap interval, of a linear read-out (one position's channels to its colours) "
        "after each part of the paper's decoder, fitted by least squares on half of "
        f"{evidence.measured_on:,} photographs and measured on the other half, enlarged without "
        "smoothing. The last row is the original itself, shrunk to that layer's size: no read-out can be "
        "better.",
        ("network", *(read_out.layer for read_out in next(iter(found.values()), []))),
        _read_out_cells(found),
        evidence.command(evidence.results()),
    )


def _finer_reading(found: Mapping[str, Sequence[ReadOut]]) -> Reading:
    if not found:
        return not_measured("mirrored", _NEEDED)
    items = {name: Item(_falls(read_outs)) for name, read_outs in found.items()}
    falls = [item.holds for item in items.values()]
    return Reading(
        "mirrored",
        overall(falls),
        f"The error of the read-out falls with every block, beyond its interval, in {falls.count(True)} of "
        f"{len(found)} networks.",
        items,
    )


def _falls(read_outs: Sequence[ReadOut]) -> bool:
    """Whether even the ends of the intervals are in order."""
    return all(a.rmse_ci95[0] > b.rmse_ci95[1] for a, b in itertools.pairwise(read_outs))


def _read_out_cells(found: Mapping[str, Sequence[ReadOut]]) -> tuple[tuple[str, ...], ...]:
    if not found:
        return ()
    rows = [
        (name, *(f"{r.rmse:.4f} ({span(r.rmse_ci95)})" for r in read_outs))
        for name, read_outs in found.items()
    ]
    return (*rows, ("the original", *(f"{r.floor:.4f}" for r in next(iter(found.values())))))


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
