"""What many photographs cost: time a file of `encode`, and the memory of lists, names and manifests.

    python tools/measure_scale.py encode 1000 10000 100000
    python tools/measure_scale.py memory 1000000

The photographs are one tiny picture many times over, in two folders with the same names in both, so that what
is measured is all that is not the encoding itself. Memory is the most that a process of its own held.
"""

import io
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from maxtunnel.codec.dataset import SwitchPart, SwitchSet
from maxtunnel.codec.files import encode_files
from maxtunnel.codec.rows import Bunch, Encoder, SwitchRow, cut_bunches, name_all
from maxtunnel.data.finding import find_sources
from maxtunnel.data.manifest import Manifest, Shard
from maxtunnel.support.memory import held_memory
from maxtunnel.support.parts import Parts, here
from maxtunnel.support.records import from_json, to_json


def picture() -> bytes:
    """A picture of 8x8 pixels as PNG."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 100, 50)).save(file, "PNG")
    return file.getvalue()


def make_folder(folder: Path, count: int) -> Path:
    """So many links to one picture."""
    folder.mkdir()
    (folder.parent / "picture.png").write_bytes(picture())
    for name in ("a", "b"):
        (folder / name).mkdir()
    for number in range(count):
        os.symlink(folder.parent / "picture.png", folder / "ab"[number % 2] / f"{number // 2:07d}.png")
    return folder


def make_parquet(file: Path, count: int) -> Path:
    """So many rows with the same picture."""
    kind = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
    with pq.ParquetWriter(file, pa.schema([pa.field("image", kind)])) as writer:
        for start in range(0, count, 1000):
            rows = [
                {"bytes": picture(), "path": f"class{n % 1000}/{n:09d}.JPEG"}
                for n in range(start, min(start + 1000, count))
            ]
            writer.write_table(pa.table({"image": pa.array(rows, kind)}))
    return file


def instead(
    work: Encoder, parts: Parts[Bunch], whole_node: bool = False
) -> Iterator[tuple[int, list[SwitchRow]]]:
    """An engine that reads and encodes nothing: of each photograph the same few bytes."""
    for number in range(len(parts)):
        bunch = parts[number]
        keys = bunch.source.keys.to_pylist()
        yield (
            number,
            [SwitchRow(name, key, 8, 8, b"x" * 100, "") for name, key in zip(bunch.names, keys, strict=True)],
        )


def encode(count: int) -> None:
    """Print the time a file of `encode` for so many; with the encoding itself for a thousand at most."""
    for spread, words in ((here, "all"), (instead, "all but encoding")):
        if spread is here and count > 1000:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = make_folder(Path(temporary, "photographs"), count)
            began = time.process_time()
            written, _ = encode_files(folder, "8-8-8", Path(temporary, "out"), "packed", spread=spread)
            each = (time.process_time() - began) / count
            assert len({path for path, _ in written}) == count
            print(f"encode {count:,}, {words}: {1000 * each:.3f} ms of processor time a file", flush=True)


def list_all(source: Path, count: int) -> None:
    """List, name and cut so many photographs, and write and read the manifests that they get."""
    sources = find_sources([source])
    names = name_all(sources)
    bunches = cut_bunches(sources, names, 1000)
    assert sum(len(bunch.names) for bunch in (bunches[n] for n in range(len(bunches)))) == count
    skipped = tuple(
        (f"class{n}/{n:09d}.JPEG", "is cut short or damaged: get it again") for n in range(count // 100)
    )
    parts = tuple(
        SwitchPart(990, skipped[10 * n : 10 * n + 10], 5_000_000, "0" * 64) for n in range(count // 1000)
    )
    whole = SwitchSet.of("0" * 32, "packed", "0" * 64, (), parts)
    assert from_json(SwitchSet, json.loads(json.dumps(to_json(whole)))) == whole
    shards = tuple(Shard(4096, 201_000_000, "0" * 64) for _ in range(count // 4096))
    manifest = Manifest(
        128, "bilinear", None, False, None, "x", "", count, (), skipped, shards, "", count, (), 0
    )
    kept = manifest.save(source.parent / "manifest.json")
    assert Manifest.load(source.parent / "manifest.json") == kept


def memory(source: Path, count: int) -> None:
    """Print the most memory held by `list_all`."""
    before, began = held_memory() or 0, time.process_time()
    list_all(source, count)
    peak = (held_memory(peak=True) or 0) / 2**20
    print(
        f"memory {source.name} {count:,}: {peak:,.0f} MiB at most, {before / 2**20:,.0f} before; "
        f"{time.process_time() - began:.1f} s of processor time",
        flush=True,
    )


def main() -> None:
    """See the docstring of the file."""
    what, counts = sys.argv[1], [int(argument) for argument in sys.argv[2:]]
    context = multiprocessing.get_context("spawn")
    for count in counts:
        if what == "encode":
            encode(count)
            continue
        for make, name in ((make_parquet, "x.parquet"), (make_folder, "folder")):
            with tempfile.TemporaryDirectory() as temporary:
                source = make(Path(temporary, name), count)
                process = context.Process(target=memory, args=(source, count))
                process.start()
                process.join()


if __name__ == "__main__":
    main()
