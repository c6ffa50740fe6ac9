"""What the paper says of encoders: more filters, doubled filters, and pretraining; put to both readers."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

from maxtunnel.evaluation.intervals import span
from maxtunnel.paper.comparisons import Comparison, Gain, compare
from maxtunnel.paper.evidence import Claim, Evidence
from maxtunnel.paper.readings import READERS, SHORT, Item, Reading
from maxtunnel.paper.results import Result, TableRow
from maxtunnel.paper.table import Row
from maxtunnel.paper.verdicts import Finding, find, not_measured, overall, read_findings
from maxtunnel.support.choices import DecoderKind

_PREFERENCE = (
    "Networks that were trained alike are preferred (equal seed and length, and strong decoders of one "
    "width), so they need not be those of Table II."
)
_TWO_SIZES = "It takes two sizes."
_ONE_SIZE = "It takes both networks of one size."
_TWO_ENCODERS = "It takes a network with a random and with a pretrained encoder."
_Pairs = dict[DecoderKind, list[Comparison]]


def more_filters(evidence: Evidence) -> Claim:
    """Do more filters give a lower error?"""
    found = _compare_all(evidence, _steps_to_more_filters(evidence))
    return Claim(
        "Do more filters give a lower error?",
        "More filters give a lower error",
        tuple(_filters_reading(reader, steps) for reader, steps in found.items()),
        f"RMSE on {evidence.tested:,} photographs, random encoders; intervals are over photographs, "
        "for one draw of each encoder. A reader is asked of every step from a network to the next larger one "
        f"of its kind, as far as there are such for this or for the other reader. {_PREFERENCE}",
        ("reader", "from", "to", "steps", "RMSE falls by", "95 % interval"),
        _cells(
            found,
            lambda step: (
                *(*_names(step), _lengths(step.first, step.second)),
                *_gain_cells(step.over_photographs),
            ),
        ),
        evidence.command(_results(found)),
    )


def _steps_to_more_filters(evidence: Evidence) -> list[tuple[Row, Row]]:
    """Each network and the next larger one of its kind, constant or doubling, as each reader has them."""
    found = [
        (fewer.row, more.row)
        for reader in READERS
        for constant in (True, False)
        for fewer, more in itertools.pairwise(
            line for line in _random(evidence, reader) if line.row.constant is constant
        )
    ]
    return list(dict.fromkeys(found))


def _filters_reading(reader: DecoderKind, steps: Sequence[Comparison]) -> Reading:
    if not steps:
        return not_measured(reader, _TWO_SIZES)
    # What does not surely fall counts against the claim.
    falls = [step.over_photographs.is_lower is True for step in steps]
    answer = f"The error falls in {falls.count(True)} of {len(steps)} steps to more filters."
    if all((step.second.photographs or math.inf) <= (step.first.photographs or 0) for step in steps):
        answer += " The network of more filters was never trained for longer."
    items = {
        f"{' to '.join(_names(step))}": Item(
            step.over_photographs.is_lower, False, step.over_photographs.mean, step.switches
        )
        for step in steps
    }
    return Reading(reader, overall(falls), answer, items)


def doubled_filters(evidence: Evidence) -> Claim:
    """Does doubling the filters from block to block beat constant filters at equal bits?"""
    rows = [line.row for line in evidence.table if not line.row.pretrained]
    pairs = [
        (constant, doubling)
        for constant, doubling in itertools.product(rows, rows)
        if constant.constant and not doubling.constant
        if constant.bits_per_pixel == doubling.bits_per_pixel
    ]
    found = _compare_all(evidence, pairs)
    return Claim(
        "Does doubling the filters from block to block beat constant filters at equal bits?",
        "Doubling filters beats constant filters at equal bits",
        tuple(
            read_findings(reader, _doubling_findings(mine), "better", "worse", _ONE_SIZE)
            for reader, mine in found.items()
        ),
        f"RMSE on {evidence.tested:,} photographs, random encoders. The interval over photographs "
        "holds for these two encoders; the one over draws (the same seeds for both, Student's t) for "
        f"encoders in general. {_PREFERENCE} A single pair that was not trained alike decides nothing.",
        (
            *("reader", "constant", "doubling", "steps", "RMSE falls by", "95 % over photographs"),
            *("mean over draws", "95 % over draws"),
        ),
        _cells(found, _doubling_cells),
        evidence.command(_results(found)),
    )


def _doubling_findings(pairs: Sequence[Comparison]) -> list[Finding]:
    return [find(f"{pair.second.row.name} against {pair.first.row.name}", pair) for pair in pairs]


def _doubling_cells(pair: Comparison) -> tuple[str, ...]:
    cells = (*_names(pair), _lengths(pair.first, pair.second), *_gain_cells(pair.over_photographs))
    if pair.over_draws is None:
        return (*cells, "one draw", "–")
    gain, interval = _gain_cells(pair.over_draws)
    return (*cells, f"{gain} ({len(pair.draws)} of {_length(pair.draws[0][0])} steps)", interval)


def pretraining(evidence: Evidence) -> Claim:
    """Does pretraining the encoder for classification raise the error?"""
    found = pretrained_pairs(evidence)
    return Claim(
        "Does pretraining the encoder for classification raise the error?",
        "Pretraining the encoder for classification raises the error",
        tuple(
            read_findings(reader, _pretraining_findings(mine), "raises it", "lowers it", _TWO_ENCODERS)
            for reader, mine in found.items()
        ),
        "RMSE with the pretrained encoder less that with the random one. Over seeds: both encoders start "
        "from the same seed, paired, Student's t; the paper had one run of each. "
        f"{_PREFERENCE} A single pair that was not trained alike decides nothing. Our pretraining is on the "
        "classes of the training store, far fewer than the paper's 100.",
        ("reader", "architecture", "Table II", "steps", "ours", "95 % interval", "interval over"),
        _cells(found, _pretraining_cells),
        evidence.command(_results(found)),
    )


def pretrained_pairs(evidence: Evidence) -> _Pairs:
    """Each pretrained network beside the random one of its architecture, for each reader."""
    by_name = {line.row.name: line.row for line in evidence.table}
    rows = [line.row for line in evidence.table if line.row.pretrained]
    return _compare_all(evidence, [(row, by_name[str(row.architecture)]) for row in rows])


def _pretraining_findings(pairs: Sequence[Comparison]) -> list[Finding]:
    # The random network comes second, so where its RMSE is lower, pretraining raises the error.
    return [find(str(pair.first.row.architecture), pair) for pair in pairs]


def _pretraining_cells(pair: Comparison) -> tuple[str, ...]:
    pretrained, random = pair.draws[0] if pair.draws else (pair.first, pair.second)
    gain = pair.over_draws or pair.over_photographs
    return (
        str(pretrained.row.architecture),
        f"{pretrained.row.rmse - random.row.rmse:+.4f}",
        _lengths(pretrained, random),
        f"{gain.mean:+.4f}",
        span(gain.interval),
        f"{len(pair.draws)} seeds" if pair.draws else "photographs, 1 draw",
    )


def _random(evidence: Evidence, reader: DecoderKind) -> list[TableRow]:
    return [line for line in evidence.rows(reader) if not line.row.pretrained and line.ours is not None]


def _compare_all(evidence: Evidence, pairs: Sequence[tuple[Row, Row]]) -> _Pairs:
    """The comparisons of these pairs of rows, for each reader as far as it has networks."""
    found: _Pairs = {}
    for reader in READERS:
        lines = {line.row.name: line for line in evidence.rows(reader)}
        compared = (compare(lines[first.name], lines[second.name]) for first, second in pairs)
        found[reader] = [pair for pair in compared if pair is not None]
    return found


def _cells(found: _Pairs, cells: Callable[[Comparison], tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple((SHORT[reader], *cells(pair)) for reader, pairs in found.items() for pair in pairs)


def _results(found: _Pairs) -> list[Result]:
    """All networks that comparisons rest on."""
    return [result for pairs in found.values() for pair in pairs for result in networks_of(pair)]


def networks_of(pair: Comparison) -> Iterator[Result]:
    """The networks that a comparison rests on."""
    return itertools.chain((pair.first, pair.second), *pair.draws)


def _names(pair: Comparison) -> tuple[str, str]:
    return pair.first.row.name, pair.second.row.name


def _length(result: Result) -> str:
    return "?" if result.steps is None else f"{result.steps:,}"


def _lengths(a: Result, b: Result) -> str:
    return f"{_length(a)} / {_length(b)}"


def _gain_cells(gain: Gain) -> tuple[str, str]:
    return f"{gain.mean:.4f}", span(gain.interval)
