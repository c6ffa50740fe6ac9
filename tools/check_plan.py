"""What works really take, beside what `maxtunnel plan` says.

    python tools/check_plan.py imagenette/train 10000 --scratch /tmp
    python tools/check_plan.py imagenette/train 10000 --works prepare,evaluate --document docs/scale.md

runs the works one after the other on so many photographs, which are links to those of a folder, the same ones
again and again. Each run has one thread, and what it wrote is deleted before the next begins. Times are
processor seconds, user and system, of the whole command. Rows are printed as they are found; the table of
`--document` gets them, too.
"""

import argparse
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from plan_table import RUNS, checks, renewed

from maxtunnel.benchmark.costs import SHIPPED, Costs
from maxtunnel.data.folders import evenly_spaced, list_images

WORKS = dict(zip(("prepare", "encode-packed", "encode-entropy", "evaluate"), RUNS, strict=True))


def make_links(source: Path, folder: Path, count: int) -> None:
    """So many links to the photographs of a folder, which are taken evenly, again where they are too few."""
    files = list_images(source)
    chosen = [files[number].resolve() for number in evenly_spaced(len(files), count)]
    folder.mkdir()
    for number in range(count):
        file = chosen[number % len(chosen)]
        (folder / f"{number:07d}{file.suffix}").symlink_to(file)


def seconds_of(*arguments: object) -> float:
    """Processor seconds of a command, with one thread."""
    before = _used()
    done = subprocess.run(
        [sys.executable, "-m", "maxtunnel", *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"maxtunnel {arguments[0]} failed: {done.stderr.strip()}")
    return _used() - before


def run_works(
    works: Collection[str], photographs: Path, scratch: Path, costs: Costs
) -> Iterator[tuple[str, float, int | None]]:
    """Each work, its seconds, and the bytes that it wrote."""
    if {"prepare", "evaluate"} & {*works}:
        with TemporaryDirectory(dir=scratch) as place:
            store, size = Path(place, "store"), ("--size", costs.size)
            took = seconds_of("prepare", photographs, store, "--workers", 1, *size)
            if "prepare" in works:
                yield "prepare", took, _bytes_in(store)
            if "evaluate" in works:
                yield "evaluate", seconds_of("evaluate", costs.model, "--data", store, *size), None
    for coding in ("packed", "entropy"):
        if f"encode-{coding}" in works:
            with TemporaryDirectory(dir=scratch) as place:
                how = ("--model", costs.model, "--coding", coding, "--out", place)
                took = seconds_of("encode", photographs, *how)
                yield f"encode-{coding}", took, _bytes_in(Path(place))


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _works(text: str) -> list[str]:
    works = text.split(",")
    if not {*works} <= {*WORKS}:
        raise argparse.ArgumentTypeError(f"{text}: expected some of {','.join(WORKS)}")
    return works


def main() -> None:
    """See the docstring of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photographs", type=Path, help="a folder of them")
    parser.add_argument("count", type=int, help="how many to make of them")
    parser.add_argument("--works", type=_works, default=[*WORKS], help=f"by default {','.join(WORKS)}")
    parser.add_argument("--scratch", type=Path, help="folder for links and results; by default the system's")
    parser.add_argument("--document", type=Path, help="whose table gets the rows")
    asked = parser.parse_args()
    costs = Costs.load(SHIPPED)
    with TemporaryDirectory(dir=asked.scratch) as place:
        links = Path(place, "photographs")
        make_links(asked.photographs, links, asked.count)
        for work, seconds, written in run_works(asked.works, links, Path(place), costs):
            size = "" if written is None else f"{written / 1e6:,.1f} MB"
            found = {(asked.count, WORKS[work]): (f"{seconds:,.1f} s", size)}
            print(checks(found, costs).splitlines()[-1], flush=True)
            if asked.document is not None:
                text = renewed(asked.document.read_text(encoding="utf-8"), found)
                asked.document.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    # What is stopped leaves nothing behind, either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
