"""The tables of docs/scale.md from the costs that ship.

    python tools/plan_table.py docs/scale.md

puts them in the place of those that are there, after the costs were measured anew. What runs took beside
that (`tools/check_plan.py`) stays, with what is planned now.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from maxtunnel.benchmark.costs import SHIPPED, Costs
from maxtunnel.benchmark.plan import HOUR, describe, make_plan

CORES = 32
# Photographs, and nodes of 32 cores.
SIZES = (("ImageNet-1k", 1.28e6, 1), ("100 million", 1e8, 10), ("a billion", 1e9, 100))
BEGIN, END = "<!-- of tools/plan_table.py -->\n", "<!-- end -->\n"
CHECKED = "<!-- of tools/check_plan.py -->\n"
# The works that were run, in the document's words and in the plan's.
RUNS = {
    "`prepare`": "prepare",
    "`encode --coding packed`": "encode, packed",
    "`encode --coding entropy`": "encode, entropy",
    "`evaluate` of the store": "evaluate a store",
}
# By photographs and work: what a run took, and what it wrote.
Runs = Mapping[tuple[int, str], tuple[str, str]]


def tables(costs: Costs) -> str:
    """Both tables and where they come from, as Markdown."""
    plans = [make_plan(costs, images, nodes, CORES) for _, images, nodes in SIZES]
    heads = [f"{name}, {nodes} node{'s' * (nodes > 1)}" for name, _, nodes in SIZES]
    lines = [
        next(iter(describe(plans[0]))),
        "",
        f"Nodes of {CORES} such cores:",
        "",
        f"| work | CPU ms each | {' | '.join(f'{head}: hours' for head in heads)} "
        f"| {SIZES[-1][0]} in a day: nodes | storage, MB/s a node |",
        "|---|---|" + "---|" * (len(SIZES) + 2),
    ]
    for works in zip(*(plan.works for plan in plans), strict=True):
        hours = " | ".join(f"{work.hours:,.3g}" for work in works)
        last = works[-1]
        lines.append(
            f"| {last.name} | {last.milliseconds:.2f} | {hours} | {last.nodes_a_day:,} "
            f"| {last.bytes_a_second / 1e6:.3g} |"
        )
    lines += ["", f"| kept as | bytes each | {' | '.join(f'{name}, GB' for name, *_ in SIZES)} |"]
    lines.append("|---|---|" + "---|" * len(SIZES))
    for kind, each in plans[0].bytes.items():
        sizes = " | ".join(f"{each * images / 1e9:,.4g}" for _, images, _ in SIZES)
        lines.append(f"| {kind} | {each:,.0f} | {sizes} |")
    return "\n".join(lines) + "\n"


def checks(runs: Runs, costs: Costs) -> str:
    """What runs took beside what is planned, as Markdown."""
    lines = [
        "| work | photographs | it took | planned | bytes written | planned |",
        "|---|---|---|---|---|---|",
    ]
    for count, work in sorted(runs, key=lambda run: (run[0], [*RUNS].index(run[1]))):
        took, written = runs[count, work]
        (planned,) = (one for one in make_plan(costs, float(count), 1, 1).works if one.name == RUNS[work])
        seconds = f"{planned.hours * HOUR:,.1f} s"
        size = f"{planned.written / 1e6:,.1f} MB" if written else ""
        lines.append(f"| {work} | {count:,} | {took} | {seconds} | {written} | {size} |")
    return "\n".join(lines) + "\n"


def read_checks(table: str) -> Iterator[tuple[tuple[int, str], tuple[str, str]]]:
    """The runs of a table that `checks` gave."""
    for line in table.splitlines():
        work, count, took, _, written, _ = (cell.strip() for cell in line.strip("|").split("|"))
        if work in RUNS:
            yield (int(count.replace(",", "")), work), (took, written)


def renewed(document: str, runs: Runs | None = None) -> str:
    """The document with the tables of today, and with these runs beside those that it has."""
    costs = Costs.load(SHIPPED)
    there = dict(read_checks(_between(document, CHECKED)))
    document = _replaced(document, CHECKED, checks({**there, **(runs or {})}, costs))
    return _replaced(document, BEGIN, tables(costs))


def _between(document: str, begin: str) -> str:
    return document.split(begin)[1].split(END)[0]


def _replaced(document: str, begin: str, text: str) -> str:
    before, rest = document.split(begin)
    return before + begin + text + END + rest.split(END, 1)[1]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
