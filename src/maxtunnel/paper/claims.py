"""The paper's claims: each a question, what was measured, an answer with its uncertainty, and the command."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from maxtunnel.evaluation import Interval
from maxtunnel.files import replacing
from maxtunnel.hub import table
from maxtunnel.paper.colour_claims import dull, why
from maxtunnel.paper.evidence import NOT_MEASURED, Claim, Evidence
from maxtunnel.paper.measurements import Replaced
from maxtunnel.paper.results import Result, TableRow, difference, mean_interval


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
    answer = (
        f"Yes, in {better} of {len(rows)} steps to more filters."
        if rows
        else f"{NOT_MEASURED}: it takes two sizes."
    )
    if 0 < better < len(rows) or (rows and better == 0):
        answer = f"Not always: the error falls in {better} of {len(rows)} steps to more filters."
    return Claim(
        "Do more filters give a lower error?",
        answer,
        f"RMSE on {evidence.photographs[0]:,} photographs, random encoders; intervals are over photographs, "
        "for one draw of each encoder.",
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
    verdicts, used = [], list[Result]()
    for constant in (line for line in found if line.row.constant):
        for doubling in (line for line in found if not line.row.constant):
            pair = _alike(constant, doubling)
            if pair is not None and doubling.row.bits_per_pixel == constant.row.bits_per_pixel:
                pairs = _by_seed(constant.runs, doubling.runs)
                cells, verdict = _compare_doubling(*pair, pairs)
                used += itertools.chain(pair, *(pairs if len(pairs) >= 2 else []))
                rows.append(cells)
                verdicts.append(verdict)
    better, worse = verdicts.count("better"), verdicts.count("worse")
    answer = (
        f"{better} of {len(rows)} doubling networks are better, {worse} worse, {len(rows) - better - worse} "
        "undecided. Where an interval over draws is given, it decides: with one draw of each, luck of the "
        "draw is not excluded."
        if rows
        else f"{NOT_MEASURED}: it takes both networks of one size."
    )
    return Claim(
        "Does doubling the filters from block to block beat constant filters at equal bits?",
        answer,
        f"RMSE on {evidence.photographs[0]:,} photographs, random encoders. The interval over photographs "
        "holds for these two encoders; the one over draws (the same seeds for both, Student's t) for "
        "encoders in general. A single pair of unequal seeds or lengths decides nothing.",
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
) -> tuple[tuple[str, ...], str]:
    gain, interval = difference(a, b)
    cells: tuple[str, ...] = (a.row.name, b.row.name, _lengths(a, b), f"{gain:.4f}", _span(*interval))
    if len(by_seed) >= 2:
        gain, interval = _mean_gain(by_seed)
        mean = f"{gain:.4f} ({len(by_seed)} of {_length(by_seed[0][0])} steps)"
        return (*cells, mean, _span(*interval)), _sign(interval, "worse", "better")
    verdict = _sign(interval, "worse", "better") if _start(a) == _start(b) else "undecided"
    return (*cells, "one draw", "–"), verdict


def _pretraining(evidence: Evidence) -> Claim:
    by_name = {line.row.name: line for line in evidence.table}
    rows: list[tuple[str, ...]] = []
    verdicts, used = [], list[Result]()
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
        equal = len(pairs) >= 2 or _start(alike[0]) == _start(alike[1])
        paper = f"{line.row.rmse - random.row.rmse:+.4f}"
        name = str(line.row.architecture)
        rows.append((name, paper, _lengths(*alike), f"{mean:+.4f}", _span(*span), over))
        verdicts.append(_sign(span, "lowers", "raises") if equal else "undecided")
    names = [row[0] for row in rows]
    said = "; ".join(f"{name}: {verdict}" for verdict, name in zip(verdicts, names, strict=True))
    return Claim(
        "Does pretraining the encoder for classification raise the error?",
        "Against a random encoder of the same seed and length of training (else undecided), by the sign of "
        f"the interval: {said}. Where it is over photographs, luck of the draw is not excluded."
        if rows
        else f"{NOT_MEASURED}: it takes a network with a random and with a pretrained encoder.",
        "RMSE with the pretrained encoder less that with the random one. Over seeds: both encoders start "
        "from the same seed, paired, Student's t; the paper had one run of each. A single pair of unequal "
        "seeds or lengths decides nothing. Our pretraining is on the classes of the training store, far "
        "fewer than the paper's 100.",
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
        f"The error of the read-out falls with every block, beyond its interval, in {falls} of "
        f"{len(found)} networks."
        if rows
        else f"{NOT_MEASURED}.",
        "RMSE, with 95 % bootstrap interval, of a linear read-out (one position's channels to its colours) "
        f"after each part of the decoder, fitted by least squares on half of {evidence.photographs[1]:,} "
        "photographs and measured on the other half, enlarged without smoothing. The last row is the "
        "original itself, shrunk to that layer's size: no read-out can be better.",
        ("network", *layers),
        tuple(rows),
        evidence.command(evidence.measured()),
    )


def _fixed(evidence: Evidence) -> Claim:
    rows = tuple(
        (name, *(f"{value:.4f}" for value in (r.known, r.zeros, r.retrained, r.mean, r.other, r.random)))
        for name, r in evidence.replaced.items()
    )
    return Claim(
        "Do fixed switches instead of known ones destroy the reconstruction?",
        _fixed_answer(list(evidence.replaced.values())),
        f"RMSE on {evidence.photographs[1]:,} photographs. Known: their own switches. Shown: every code 0 "
        "for the decoder that was trained on known switches. Retrained: every code 0, the decoder trained "
        "for that (its loss over all training photographs is, up to a constant, its distance to their mean "
        "image). Controls: the mean image, the switches of another photograph, random switches.",
        (
            *("network", "known", "fixed, shown", "fixed, retrained", "mean image"),
            *("another photograph's", "random"),
        ),
        rows,
        evidence.command(evidence.measured()),
    )


def _fixed_answer(found: Sequence[Replaced]) -> str:
    if not found:
        return f"{NOT_MEASURED}."
    worse = sum(r.zeros_times[0] > 1.5 and r.retrained_times[0] > 1.5 for r in found)
    shown, retrained = (
        f"{min(low for low, _ in spans):.1f} to {max(high for _, high in spans):.1f}"
        for spans in ([r.zeros_times for r in found], [r.retrained_times for r in found])
    )
    return (
        f"In both meanings the error is surely more than 1.5 times that of known switches in {worse} of "
        f"{len(found)} networks. A decoder trained on known switches and shown fixed ones: {shown} times. A "
        f"decoder retrained for fixed switches: {retrained} times; it gives one picture for every "
        "photograph, at best the mean image. (Times are the ends of the 95 % intervals over all networks.)"
    )


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
    return result.info["recipe"]["steps"] if "recipe" in result.info else None


def _start(result: Result) -> tuple[int | None, int | None]:
    """The seed and the steps of a network."""
    return result.info.get("seed"), _steps(result)


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
        lines += [f"## {claim.question}", "", claim.answer, "", claim.measurement, ""]
        if claim.evidence:
            lines += [*table(claim.columns, claim.evidence), ""]
        lines += [*(f"    {line}" for line in claim.command.splitlines()), ""]
    facts = [(what, value.replace("\n", "<br>")) for what, value in provenance]
    lines += ["## Where these numbers come from", "", *table(("what", "value"), facts), ""]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")
