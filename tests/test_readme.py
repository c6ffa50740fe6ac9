"""What README and docs/quality.md say of the strong decoders: the numbers of their files."""

import re
from pathlib import Path

import pytest

from maxtunnel.zoo.names import list_shipped

ROOT = Path(__file__).parents[1]
FOUND = {entry.name: entry for entry in list_shipped()}
STRONG = {name: entry for name, entry in FOUND.items() if entry.decoder == "strong"}
ALL = "3,925 photographs of imagenette/val"
# The numbers of both documents are those of all of val: a network that was measured on less has none yet.
MEASURED = {name for name, entry in STRONG.items() if entry.measured_on.startswith(ALL)}


def rows(name, first):
    """The rows of every table of a document whose first cell is in `first`."""
    lines = (ROOT / name).read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in cells if row[0] in first]


def recorded(name):
    return f"{STRONG[name].rmse:.4f}" if name in MEASURED else "–"


def test_the_readme_has_both_decoders_of_the_same_switches_and_learned_ones():
    filters = {name.removesuffix("-strong").removesuffix("-learned") for name in FOUND}
    found = [row for row in rows("README.md", filters) if len(row) == 5]
    told = {f"{name}-strong" for name, _, _, strong, _ in found if strong}
    told |= {f"{name}-learned" for name, *_, learned in found if learned}
    assert told == set(STRONG)
    for name, bits, paper, strong, learned in found:
        assert bits == f"{FOUND[f'{name}-learned' if learned else name].bits_per_pixel:.4g}"
        assert paper == (f"{FOUND[name].rmse:.4f}" if paper else "")
        assert strong == (recorded(f"{name}-strong") if strong else "")
        assert learned == (recorded(f"{name}-learned") if learned else "")


def test_quality_md_has_the_strong_decoders_at_every_size():
    at_128, elsewhere = ([row for row in rows("docs/quality.md", FOUND) if len(row) == n] for n in (6, 4))
    assert {row[0] for row in at_128} == set(FOUND)
    pairs = [name for name in STRONG if name.endswith("-strong")]
    assert {row[0] for row in elsewhere} >= {*pairs, *(name.removesuffix("-strong") for name in pairs)}
    for name, _, rmse, interval, *_ in at_128:
        assert rmse == (recorded(name) if name in STRONG else f"{FOUND[name].rmse:.4f}")
        assert (interval == "–") == (rmse == "–")
    for name, rmse, *_ in elsewhere:
        assert rmse.split()[0] == (recorded(name) if name in STRONG else f"{FOUND[name].rmse:.4f}")


@pytest.mark.parametrize("name", ["README.md", "docs/quality.md", "docs/page.md"])
def test_no_document_calls_a_decoders_error_the_leak(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"(error|RMSE)[^.]{0,40}is the leak|the leak is", text)
