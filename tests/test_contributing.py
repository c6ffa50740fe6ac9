"""The table of where a change goes names files that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Stands for what whoever makes the change calls it.
_TO_COME = re.compile(r"NAME|PAPER")


def test_every_file_that_the_table_names_is_there():
    lines = (ROOT / "CONTRIBUTING.md").read_text().splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][1:]
    assert {len(row) for row in rows} == {3}
    missing, found = [], 0
    for _, code, tests in rows:
        for cell, folder in ((code, "src/maxtunnel"), (tests, "tests")):
            for name in re.findall(r"`([\w/]+\.(?:py|cpp|css|md|toml))`", cell):
                found += 1
                # Words come last: help and documents have their whole path, or that of the code.
                places = [ROOT / folder / name, ROOT / name, ROOT / "src/maxtunnel" / name]
                if not _TO_COME.search(name) and not any(place.is_file() for place in places):
                    missing.append(name)
    assert found > 80
    assert not missing
