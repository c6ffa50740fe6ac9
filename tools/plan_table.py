"""The tables of docs/scale.md from the costs that ship.

    python tools/plan_table.py docs/scale.md

puts them in the place of those that are there, after the costs were measured anew.
"""

import sys
from pathlib import Path

from maxtunnel.benchmark.costs import SHIPPED, Costs
from maxtunnel.benchmark.plan import describe, make_plan

CORES = 32
# Photographs, and nodes of 32 cores.
SIZES = (("ImageNet-1k", 1.28e6, 1), ("100 million", 1e8, 10), ("a billion", 1e9, 100))
BEGIN, END = "<!-- of tools/plan_table.py -->\n", "<!-- end -->\n"


def tables() -> str:
    """Both tables and where they come from, as Markdown."""
    costs = Costs.load(SHIPPED)
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


def renewed(document: str) -> str:
    """The document with the tables of today."""
    before, rest = document.split(BEGIN)
    return before + BEGIN + tables() + END + rest.split(END)[1]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
