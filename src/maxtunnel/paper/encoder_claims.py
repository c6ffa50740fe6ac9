"""What the paper says of encoders: more filters, doubled filters, and pretraining."""

import itertools
import math
from collections.abc import Sequence

from maxtunnel.evaluation.intervals import Interval
from maxtunnel.paper.comparisons import Comparison, Gain, compare
from maxtunnel.paper.evidence import Claim, Evidence
from maxtunnel.paper.results import Result, TableRow
from maxtunnel.paper.verdicts import find, overall, overall_of_findings, sum_up

_PREFERENCE = "Networks of equal seed and length are preferred, so they need not be those of Table II."


def more_filters(evidence: Evidence) -> Claim:
    """Do more filters give a lower error?"""
    found = _steps_to_more_filters(evidence)
    return Claim(
        "Do more filters give a lower error?",
        overall(["lower" if _is_lower(step) else "not" for step in found], "lower", "not"),
        _answer_to_more_filters(found),
        f"RMSE on {evidence.photographs[0]:,} photographs, random encoders; intervals are over photographs, "
        f"for one draw of each encoder. {_PREFERENCE}",
        ("from", "to", "steps", "RMSE falls by", "95 % interval"),
        tuple(
            (*_names(step), _lengths(step.first, step.second), *_gain_cells(step.over_photographs))
            for step in found
        ),
        evidence.command([result for step in found for result in (step.first, step.second)]),
    )


def _steps_to_more_filters(evidence: Evidence) -> list[Comparison]:
    """Each network beside the next larger one of its kind, constant or doubling."""
    rows = _random(evidence)
    pairs = [
        pair
        for constant in (True, False)
        for pair in itertools.pairwise(row for row in rows if row.row.constant is constant)
    ]
    compared = (compare(fewer, more) for fewer, more in pairs)
    return [comparison for comparison in compared if comparison is not None]


def _is_lower(step: Comparison) -> bool:
    return step.over_photographs.interval[0] > 0


def _answer_to_more_filters(found: Sequence[Comparison]) -> str:
    if not found:
        return "It takes two sizes."
    answer = f"The error falls in {sum(map(_is_lower, found))} of {len(found)} steps to more filters."
    if all((step.second.steps or math.inf) <= (step.first.steps or 0) for step in found):
        answer += " The network of more filters was never trained for more steps."
    return answer


def doubled_filters(evidence: Evidence) -> Claim:
    """Does doubling the filters from block to block beat constant filters at equal bits?"""
    rows = _random(evidence)
    found = [
        comparison
        for constant, doubling in itertools.product(rows, rows)
        if constant.row.constant and not doubling.row.constant
        if constant.row.bits_per_pixel == doubling.row.bits_per_pixel
        if (comparison := compare(constant, doubling)) is not None
    ]
    findings = [
        find(f"{pair.second.row.name} against {pair.first.row.name}", pair, "better", "worse")
        for pair in found
    ]
    return Claim(
        "Does doubling the filters from block to block beat constant filters at equal bits?",
        overall_of_findings(findings, "better", "worse"),
        sum_up(findings) if found else "It takes both networks of one size.",
        f"RMSE on {evidence.photographs[0]:,} photographs, random encoders. The interval over photographs "
        "holds for these two encoders; the one over draws (the same seeds for both, Student's t) for "
        f"encoders in general. {_PREFERENCE} A single pair of unequal seeds or lengths decides nothing.",
        (
            *("constant", "doubling", "steps", "RMSE falls by", "95 % over photographs"),
            *("mean over draws", "95 % over draws"),
        ),
        tuple(_doubling_cells(pair) for pair in found),
        evidence.command([result for pair in found for result in _results(pair)]),
    )


def _doubling_cells(pair: Comparison) -> tuple[str, ...]:
    cells = (*_names(pair), _lengths(pair.first, pair.second), *_gain_cells(pair.over_photographs))
    if pair.over_draws is None:
        return (*cells, "one draw", "–")
    gain, span = _gain_cells(pair.over_draws)
    return (*cells, f"{gain} ({len(pair.draws)} of {_length(pair.draws[0][0])} steps)", span)


def pretraining(evidence: Evidence) -> Claim:
    """Does pretraining the encoder for classification raise the error?"""
    by_name = {row.row.name: row for row in evidence.table}
    found = [
        comparison
        for row in evidence.table
        if row.row.pretrained
        if (comparison := compare(row, by_name[str(row.row.architecture)])) is not None
    ]
    # The random network comes second, so where its RMSE is lower, pretraining raises the error.
    findings = [find(str(pair.first.row.architecture), pair, "raises it", "lowers it") for pair in found]
    return Claim(
        "Does pretraining the encoder for classification raise the error?",
        overall_of_findings(findings, "raises it", "lowers it"),
        sum_up(findings) if found else "It takes a network with a random and with a pretrained encoder.",
        "RMSE with the pretrained encoder less that with the random one. Over seeds: both encoders start "
        "from the same seed, paired, Student's t; the paper had one run of each. "
        f"{_PREFERENCE} A single pair of unequal seeds or lengths decides nothing. Our pretraining is on the "
        "classes of the training store, far fewer than the paper's 100.",
        ("architecture", "Table II", "steps", "ours", "95 % interval", "interval over"),
        tuple(_pretraining_cells(pair) for pair in found),
        evidence.command([result for pair in found for result in _results(pair)]),
    )


def _pretraining_cells(pair: Comparison) -> tuple[str, ...]:
    pretrained, random = pair.draws[0] if pair.draws else (pair.first, pair.second)
    gain = pair.over_draws or pair.over_photographs
    return (
        str(pretrained.row.architecture),
        f"{pretrained.row.rmse - random.row.rmse:+.4f}",
        _lengths(pretrained, random),
        f"{gain.mean:+.4f}",
        _span(gain.interval),
        f"{len(pair.draws)} seeds" if pair.draws else "photographs, 1 draw",
    )


def _random(evidence: Evidence) -> list[TableRow]:
    return [row for row in evidence.table if not row.row.pretrained and row.ours is not None]


def _results(pair: Comparison) -> list[Result]:
    """All networks that a comparison rests on."""
    return [pair.first, pair.second, *itertools.chain.from_iterable(pair.draws)]


def _names(pair: Comparison) -> tuple[str, str]:
    return pair.first.row.name, pair.second.row.name


def _length(result: Result) -> str:
    return "?" if result.steps is None else f"{result.steps:,}"


def _lengths(a: Result, b: Result) -> str:
    return f"{_length(a)} / {_length(b)}"


def _gain_cells(gain: Gain) -> tuple[str, str]:
    return f"{gain.mean:.4f}", _span(gain.interval)


def _span(interval: Interval) -> str:
    return f"{interval[0]:.4f} to {interval[1]:.4f}"
