"""Trains decoders for the encoders that ship, in one process: Table II's rows, then strong decoders.

    python tools/train_rows.py STORE OUT --val STORE

Each row of Table II, with the paper's decoder, goes to OUT/mirrored.tar as it ends, each strong decoder to
OUT/strong.tar or strong-2.tar, weights in half precision. What each reached is printed. A file has at most
16 MiB, unless one network alone has more.
"""

import argparse
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from maxtunnel import train
from maxtunnel.data import open_store
from maxtunnel.paper.table import Row, select

MOST = 16 * 2**20  # bytes of a file
STRONG = "8-8-8,16-16-16,24-48-96,64-64-64"


class Box:
    """Files in as few archives as hold them, each archive complete after every file.

    Args:
        folder: of the archives.
        name: of the first; of the others with their numbers.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name, self.number, self.files = folder, name, 1, list[Path]()

    def add(self, file: Path) -> None:
        """Put a file into the archive, or into the next one where it has no room for it."""
        self.files.append(file)
        if self._write().stat().st_size > MOST and len(self.files) > 1:
            self.files.pop()
            self._write()
            self.number, self.files = self.number + 1, [file]
            self._write()

    def _write(self) -> Path:
        path = self.folder / (f"{self.name}-{self.number}.tar" if self.number > 1 else f"{self.name}.tar")
        with tarfile.open(path, "w") as archive:
            for file in self.files:
                archive.add(file, file.name)
        return path


def main(arguments: list[str] | None = None) -> None:
    """Train all that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path, help="photographs to train on")
    parser.add_argument("out", type=Path, help="folder of the archives")
    parser.add_argument("--val", type=Path, help="photographs to measure on")
    parser.add_argument("--rows", help="of Table II; by default all", default=None)
    parser.add_argument("--steps", type=int, default=6000, help="of each row")
    parser.add_argument(
        "--strong", default=STRONG, help="rows that strong decoders are trained for; '' for none"
    )
    parser.add_argument("--minutes", type=float, default=0.3, help="of each strong decoder")
    parser.add_argument("--width", type=int, default=112, help="of strong decoders")
    asked = parser.parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        box = Box(asked.out, "mirrored")
        for row in () if asked.rows == "" else select(asked.rows):
            box.add(_do(row, Path(work), asked, steps=asked.steps))
        box = Box(asked.out, "strong")
        for row in select(asked.strong) if asked.strong else ():
            box.add(_do(row, Path(work), asked, decoder="strong", width=asked.width, minutes=asked.minutes))


def _do(row: Row, work: Path, asked: argparse.Namespace, **options: Any) -> Path:
    """Train one; its file."""
    began, name = time.monotonic(), row.network(options.get("decoder", "mirrored"))
    size = open_store(asked.store).manifest.size
    options |= {"val": asked.val, "encoder": row.name, "size": size}
    network = train(row.architecture, asked.store, work / name, **options)
    training = network.provenance.training
    assert training is not None
    reached = "not measured" if training.rmse is None else f"{training.rmse:.4f}"
    published = "" if row.published is None else f", published {row.published.rmse:.4f}"
    steps = training.recipe["steps"]
    print(f"{name}: RMSE {reached}{published}, {steps} steps, {time.monotonic() - began:.1f} s", flush=True)
    file = work / f"{name}.safetensors"
    network.save(file, half=True)
    return file


if __name__ == "__main__":
    main()
