"""The paper's claims: each a question, what was measured, an answer with its uncertainty, and the command."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maxtunnel.evaluation.intervals import Interval
from maxtunnel.paper.colour_claims import dull, why
from maxtunnel.paper.evidence import NOT_MEASURED, Claim, Evidence
from maxtunnel.paper.results import Result, TableRow, difference, mean_interval
from maxtunnel.support.files import replacing
from maxtunnel.support.markdown import markdown_table

_PREFERENCE = "Networks of equal seed and length are preferred, so they need not be those of Table II."


def hold(evidence: Evidence) -> list[Claim]:
    """Every claim of the paper against the evidence."""
    makers: tuple[Callable[[Evidence], Claim], ...] = (
        _filters,
        _doubling,
        _pretraining,
        dull,
        why,
        _rough,
        _fixed,
    )
    return [make(evidence) for make in makers]


def _filters(evidence: Evidence) -> Claim:
    rows = []
    for constant in (True, False):
        found = [line for line in _random(evidence) if line.row.constant is constant]
        for fewer, more in itertools.pairwise(found):
            pair = _alike(fewer, more)
            if pair is not None:
                rows.append((*pair, *difference(*pair)))
    better = sum(low > 0 for *_, (low, _) in rows)
    answer = f"The error falls in {better} of {len(rows)} steps to more filters."
    if rows and all((_steps(b) or math.inf) <= (_steps(a) or 0) for a, b, *_ in rows):
        answer += " The network of more filters was never trained for more steps."
    return Claim(
        "Do more filters give a lower error?",
        _overall(["lower" if low > 0 else "not" for *_, (low, _) in rows], "lower", "not"),
        answer if rows else "It takes two sizes.",
        f"RMSE on {evidence.photographs[0]:,} photographs, random encoders; intervals are over photographs, "
        f"for one draw of each encoder. {_PREFERENCE}",
        ("from", "to", "steps", "RMSE falls by", "95 % interval"),
        tuple(
            (a.row.name, b.row.name, _lengths(a, b), f"{gain:.4f}", _span(low, high))
            for a, b, gain, (low, high) in rows
        ),
        evidence.command([result for a, b, *_ in rows for result in (a, b)]),
    )


def _doubling(evidence: Evidence) -> Claim:
    found = _random(evidence)
    rows: list[tuple[str, ...]] = []
    findings, used = list[_Finding](), list[Result]()
    for constant in (line for line in found if line.row.constant):
        for doubling in (line for line in found if not line.row.constant):
            pair = _alike(constant, doubling)
            if pair is not None and doubling.row.bits_per_pixel == constant.row.bits_per_pixel:
                pairs = _by_seed(constant.runs, doubling.runs)
                cells, finding = _compare_doubling(*pair, pairs)
                used += itertools.chain(pair, *(pairs if len(pairs) >= 2 else []))
                rows.append(cells)
                findings.append(finding)
    return Claim(
        "Does doubling the filters from block to block beat constant filters at equal bits?",
        _judge(findings, "better", "worse"),
        _sum_up(findings) if rows else "It takes both networks of one size.",
        f"RMSE on {evidence.photographs[0]:,} photographs, random encoders. The interval over photographs "
        "holds for these two encoders; the one over draws (the same seeds for both, Student's t) for "
        f"encoders in general. {_PREFERENCE} A single pair of unequal seeds or lengths decides nothing.",
        (
            "constant",
            "doubling",
            "steps",
            "RMSE falls by",
            "95 % over photographs",
            "mean over draws",
            "95 % over draws",
        ),
        tuple(rows),
        evidence.command(used),
    )


def _compare_doubling(
    a: Result, b: Result, by_seed: Sequence[tuple[Result, Result]]
) -> tuple[tuple[str, ...], "_Finding"]:
    name = f"{b.row.name} against {a.row.name}"
    gain, interval = difference(a, b)
    cells: tuple[str, ...] = (a.row.name, b.row.name, _lengths(a, b), f"{gain:.4f}", _span(*interval))
    if len(by_seed) >= 2:
        gain, interval = _mean_gain(by_seed)
        mean = f"{gain:.4f} ({len(by_seed)} of {_length(by_seed[0][0])} steps)"
        return (*cells, mean, _span(*interval)), _Finding(name, _sign(interval, "worse", "better"), True)
    verdict = _sign(interval, "worse", "better") if _start(a) == _start(b) else "undecided"
    return (*cells, "one draw", "–"), _Finding(name, verdict, False)


def _pretraining(evidence: Evidence) -> Claim:
    by_name = {line.row.name: line for line in evidence.table}
    rows: list[tuple[str, ...]] = []
    findings, used = list[_Finding](), list[Result]()
    for line in (line for line in evidence.table if line.row.pretrained):
        random = by_name[str(line.row.architecture)]
        alike = _alike(line, random)
        if alike is None:
            continue
        pairs, over = _by_seed(line.runs, random.runs), "photographs, 1 draw"
        if len(pairs) >= 2:
            alike, (mean, span), over = pairs[0], _mean_gain(pairs), f"{len(pairs)} seeds"
        else:
            mean, span = difference(*alike)
        used += alike
        draws = len(pairs) >= 2
        decides = draws or _start(alike[0]) == _start(alike[1])
        paper = f"{line.row.rmse - random.row.rmse:+.4f}"
        name = str(line.row.architecture)
        rows.append((name, paper, _lengths(*alike), f"{mean:+.4f}", _span(*span), over))
        verdict = _sign(span, "lowers it", "raises it") if decides else "undecided"
        findings.append(_Finding(name, verdict, draws))
    return Claim(
        "Does pretraining the encoder for classification raise the error?",
        _judge(findings, "raises it", "lowers it"),
        _sum_up(findings) if rows else "It takes a network with a random and with a pretrained encoder.",
        "RMSE with the pretrained encoder less that with the random one. Over seeds: both encoders start "
        "from the same seed, paired, Student's t; the paper had one run of each. "
        f"{_PREFERENCE} A single pair of unequal seeds or lengths decides nothing. Our pretraining is on the "
        "classes of the training store, far fewer than the paper's 100.",
        ("architecture", "Table II", "steps", "ours", "95 % interval", "interval over"),
        tuple(rows),
        evidence.command(used),
    )


def _rough(evidence: Evidence) -> Claim:
    found = evidence.read_outs
    layers = tuple(read_out.layer for read_out in next(iter(found.values()), []))
    rows = [
        (name, *(f"{r.rmse:.4f} ({r.rmse_ci95[0]:.4f} to {r.rmse_ci95[1]:.4f})" for r in read_outs))
        for name, read_outs in found.items()
    ]
    if found:
        rows.append(("the original", *(f"{r.floor:.4f}" for r in next(iter(found.values())))))
    # Even the ends of the intervals are in order.
    falls = sum(
        all(a.rmse_ci95[0] > b.rmse_ci95[1] for a, b in itertools.pairwise(read_outs))
        for read_outs in found.values()
    )
    return Claim(
        "Do the deepest layers give a rough picture that grows finer block by block?",
        _overall(["falls"] * falls + ["not"] * (len(found) - falls), "falls", "not"),
        f"The error of the read-out falls with every block, beyond its interval, in {falls} of "
        f"{len(found)} networks."
        if rows
        else "It takes a network.",
        "RMSE, with 95 % bootstrap interval, of a linear read-out (one position's channels to its colours) "
        f"after each part of the decoder, fitted by least squares on half of {evidence.photographs[1]:,} "
        "photographs and measured on the other half, enlarged without smoothing. The last row is the "
        "original itself, shrunk to that layer's size: no read-out can be better.",
        ("network", *layers),
        tuple(rows),
        evidence.command(evidence.measured()),
    )


def _fixed(evidence: Evidence) -> Claim:
    found = evidence.replaced
    rows = tuple(
        (
            *(name, f"{r.known:.4f}", f"{r.zeros:.4f}", _times(r.zeros_times)),
            *(f"{r.retrained:.4f}", _times(r.retrained_times)),
            *(f"{value:.4f}" for value in (r.mean, r.other, r.random)),
        )
        for name, r in found.items()
    )
    worse = sum(r.zeros_times[0] > 1.5 and r.retrained_times[0] > 1.5 for r in found.values())
    return Claim(
        "Do fixed switches instead of known ones destroy the reconstruction?",
        _overall(["worse"] * worse + ["not"] * (len(found) - worse), "worse", "not"),
        "In both meanings of “fixed” the error is surely more than half as large again as with known "
        f"switches, in {worse} of {len(found)} networks. A decoder trained on known switches and shown fixed "
        f"ones errs more than the mean image does, in {sum(r.zeros > r.mean for r in found.values())} of "
        f"{len(found)}; one retrained for fixed switches gives every photograph the same picture, at best "
        "the mean image."
        if rows
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
        rows,
        evidence.command(evidence.measured()),
    )


def _times(interval: Interval) -> str:
    return f"{interval[0]:.1f} to {interval[1]:.1f}"


@dataclass(frozen=True)
class _Finding:
    """What one comparison says, and whether over draws of the encoder or for one draw of each."""

    name: str
    verdict: str
    draws: bool


def _sum_up(findings: Sequence[_Finding]) -> str:
    """What several draws say, then what single ones do."""
    openings = {True: "Over draws of the encoder", False: "With one draw of each, where luck is not excluded"}
    parts = []
    for draws, opening in openings.items():
        said = "; ".join(f"{found.name}: {found.verdict}" for found in findings if found.draws is draws)
        parts += [f"{opening}: {said}."] if said else []
    return " ".join(parts)


def _judge(findings: Sequence[_Finding], yes: str, no: str) -> str:
    """The verdict of several draws where there are any, else that of single ones."""
    draws = [found.verdict for found in findings if found.draws]
    return _overall(draws or [found.verdict for found in findings], yes, no)


def _overall(verdicts: Sequence[str], yes: str, no: str) -> str:
    """All verdicts in a word or a few."""
    if not verdicts:
        return NOT_MEASURED
    found = set(verdicts)
    if {yes, no} <= found:
        return "Not always"
    if not {yes, no} & found:
        return "Undecided"
    return ("Yes" if yes in found else "No") + (", where it can be decided" if len(found) > 1 else "")


def _random(evidence: Evidence) -> list[TableRow]:
    return [line for line in evidence.table if not line.row.pretrained and line.ours is not None]


def _alike(a: TableRow, b: TableRow) -> tuple[Result, Result] | None:
    """A network of each row that may be compared: of one origin, if possible of one seed and length."""
    pairs = [
        (x, y)
        for x in (a.ours, *a.runs)
        for y in (b.ours, *b.runs)
        if x is not None and y is not None and x.origin == y.origin
    ]
    return min(pairs, key=lambda pair: _start(pair[0]) != _start(pair[1]), default=None)


def _steps(result: Result) -> int | None:
    training = result.provenance.training
    return None if training is None else training.steps


def _start(result: Result) -> tuple[int | None, int | None]:
    """The seed and the steps of a network."""
    training = result.provenance.training
    return (None, None) if training is None else (training.seed, training.steps)


def _length(result: Result) -> str:
    steps = _steps(result)
    return "?" if steps is None else f"{steps:,}"


def _lengths(a: Result, b: Result) -> str:
    return f"{_length(a)} / {_length(b)}"


def _sign(interval: Interval, below: str, above: str) -> str:
    """What an interval says of a difference."""
    return above if interval[0] > 0 else below if interval[1] < 0 else "undecided"


def _by_seed(first: Sequence[Result], second: Sequence[Result]) -> list[tuple[Result, Result]]:
    """A network of each for the seeds that both have, all trained equally long: the most that there are."""
    groups: dict[int | None, list[tuple[Result, Result]]] = {}
    for a, b in itertools.product(first, second):
        if (a.origin, _steps(a)) == (b.origin, _steps(b)):
            groups.setdefault(_steps(a), []).append((a, b))
    return max(groups.values(), key=len, default=[])


def _mean_gain(pairs: Sequence[tuple[Result, Result]]) -> tuple[float, Interval]:
    """Mean of the first ones' RMSE less that of the second ones', with its interval over the pairs."""
    return mean_interval([a.evaluation.rmse - b.evaluation.rmse for a, b in pairs])


def _span(low: float, high: float) -> str:
    return f"{low:.4f} to {high:.4f}"


def write_claims(claims: Sequence[Claim], path: Path, provenance: Sequence[tuple[str, str]]) -> None:
    """Write the claims as Markdown."""
    lines = ["# The paper's claims, held against evidence", "", "Written by `maxtunnel reproduce`.", ""]
    for claim in claims:
        lines += [
            f"## {claim.question}",
            "",
            f"**{claim.verdict}.** {claim.answer}",
            "",
            claim.measurement,
            "",
        ]
        if claim.evidence:
            lines += [*markdown_table(claim.columns, claim.evidence), ""]
        lines += [*(f"    {line}" for line in claim.command.splitlines()), ""]
    facts = [(what, value.replace("\n", "<br>")) for what, value in provenance]
    lines += ["## Where these numbers come from", "", *markdown_table(("what", "value"), facts), ""]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")
