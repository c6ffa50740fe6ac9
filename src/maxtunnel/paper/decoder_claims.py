"""What the paper says of decoders: pictures grow finer block by block, and fixed switches destroy them."""

import itertools
from collections.abc import Mapping, Sequence

from maxtunnel.evaluation.intervals import Interval
from maxtunnel.paper.evidence import Claim, Evidence
from maxtunnel.paper.measurements import ReadOut, Replaced
from maxtunnel.paper.verdicts import overall

_SURELY_WORSE = 1.5  # times the error of known switches


def growing_finer(evidence: Evidence) -> Claim:
    """Do the deepest layers give a rough picture that grows finer block by block?"""
    found = evidence.read_outs
    falls = [_falls(read_outs) for read_outs in found.values()]
    return Claim(
        "Do the deepest layers give a rough picture that grows finer block by block?",
        overall(["falls" if each else "not" for each in falls], "falls", "not"),
        f"The error of the read-out falls with every block, beyond its interval, in {sum(falls)} of "
        f"{len(found)} networks."
        if found
        else "It takes a network.",
        "RMSE, with 95 % bootstrap interval, of a linear read-out (one position's channels to its colours) "
        f"after each part of the decoder, fitted by least squares on half of {evidence.photographs[1]:,} "
        "photographs and measured on the other half, enlarged without smoothing. The last row is the "
        "original itself, shrunk to that layer's size: no read-out can be better.",
        ("network", *(read_out.layer for read_out in next(iter(found.values()), []))),
        _read_out_cells(found),
        evidence.command(evidence.measured()),
    )


def _falls(read_outs: Sequence[ReadOut]) -> bool:
    """Whether even the ends of the intervals are in order."""
    return all(a.rmse_ci95[0] > b.rmse_ci95[1] for a, b in itertools.pairwise(read_outs))


def _read_out_cells(found: Mapping[str, Sequence[ReadOut]]) -> tuple[tuple[str, ...], ...]:
    if not found:
        return ()
    rows = [
        (name, *(f"{r.rmse:.4f} ({r.rmse_ci95[0]:.4f} to {r.rmse_ci95[1]:.4f})" for r in read_outs))
        for name, read_outs in found.items()
    ]
    return (*rows, ("the original", *(f"{r.floor:.4f}" for r in next(iter(found.values())))))


def fixed_switches(evidence: Evidence) -> Claim:
    """Do fixed switches instead of known ones destroy the reconstruction?"""
    found = evidence.replaced
    worse = [
        r.zeros_times[0] > _SURELY_WORSE and r.retrained_times[0] > _SURELY_WORSE for r in found.values()
    ]
    return Claim(
        "Do fixed switches instead of known ones destroy the reconstruction?",
        overall(["worse" if each else "not" for each in worse], "worse", "not"),
        "In both meanings of “fixed” the error is surely more than half as large again as with known "
        f"switches, in {sum(worse)} of {len(found)} networks. A decoder trained on known switches and shown "
        "fixed ones errs more than the mean image does, in "
        f"{sum(r.zeros > r.mean for r in found.values())} of {len(found)}; one retrained for fixed switches "
        "gives every photograph the same picture, at best the mean image."
        if found
        else "It takes a network.",
        f"RMSE on {evidence.photographs[1]:,} photographs. Known: their own switches. Shown: every code 0 "
        "for the decoder that was trained on known switches. Retrained: every code 0, the decoder trained "
        "for that (its loss over all training photographs is, up to a constant, its distance to their mean "
        "image). Times: how often the error of known switches, 95 % bootstrap interval. Controls: the mean "
        "image, the switches of another photograph, random switches.",
        (
            *("network", "known", "fixed, shown", "times", "fixed, retrained", "times", "mean image"),
            *("another photograph's", "random"),
        ),
        tuple(_fixed_cells(name, replaced) for name, replaced in found.items()),
        evidence.command(evidence.measured()),
    )


def _fixed_cells(name: str, found: Replaced) -> tuple[str, ...]:
    return (
        *(name, f"{found.known:.4f}", f"{found.zeros:.4f}", _times(found.zeros_times)),
        *(f"{found.retrained:.4f}", _times(found.retrained_times)),
        *(f"{value:.4f}" for value in (found.mean, found.other, found.random)),
    )


def _times(interval: Interval) -> str:
    return f"{interval[0]:.1f} to {interval[1]:.1f}"
