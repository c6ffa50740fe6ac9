"""Whatever is in a source is used, skipped or ignored, and the three add up."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from small_sources import PNG, SIZE, as_parquet, as_tar, make_tar, one_line, picture_classes

from maxtunnel.data import Manifest, open_store, preparation, prepare
from maxtunnel.support.files import FormatError

FACE = io.BytesIO()
Image.new("RGB", (20, 20), "blue").save(FACE, "JPEG")
JPEG = FACE.getvalue()


def img2dataset(folder, shards=2, rows=5, failed=1):
    """What img2dataset writes as WebDataset: tar files, and beside each a list and its figures."""
    folder.mkdir()
    for shard in range(shards):
        keys = [f"{shard:05d}{row:04d}" for row in range(rows)]
        members = [
            (f"{key}.{suffix}", data)
            for key in keys[failed:]
            for suffix, data in (("jpg", JPEG), ("txt", b"a caption"), ("json", b"{}"))
        ]
        make_tar(folder / f"{shard:05d}.tar", members)
        table = {"key": keys, "url": ["http://x"] * rows, "status": ["success"] * rows, "width": [20] * rows}
        pq.write_table(pa.table(table), folder / f"{shard:05d}.parquet")
        (folder / f"{shard:05d}_stats.json").write_text(json.dumps({"count": rows}))
    return folder


def test_the_output_of_img2dataset_is_read(tmp_path):
    manifest = prepare(img2dataset(tmp_path / "laion"), tmp_path / "out", size=SIZE)
    assert list(open_store(tmp_path / "out").paths) == [
        f"{s:05d}{r:04d}.jpg" for s in (0, 1) for r in (1, 2, 3, 4)
    ]
    assert manifest.ignored == ((".json", 10), (".parquet", 2), (".txt", 8))
    assert (manifest.found, manifest.images, manifest.skipped) == (28, 8, ())


def test_the_lists_of_img2dataset_alone_are_named(tmp_path):
    img2dataset(tmp_path / "laion")
    with pytest.raises(FormatError, match="lists addresses, so give the tar files") as error:
        prepare(tmp_path / "laion" / "00000.parquet", tmp_path / "out")
    one_line(error, tmp_path / "laion" / "00000.parquet")


def odd_folder(root):
    picture_classes(root, {"ant": 3, "bee": 2})
    (root / "ant" / "000.png").write_bytes(b"no image")
    (root / "bee" / "notes.txt").touch()
    (root / "bee" / "gone").symlink_to(root / "nowhere")
    return root, 7, 4, 2, ((".txt", 1),)


def odd_tar(root):
    root.mkdir()
    members = [
        ("a.png", PNG),
        ("a.cls", b"0"),
        ("a.txt", b""),
        ("b.png", b""),
        ("b.cls", b"1"),
        ("lone.cls", b"9"),
    ]
    make_tar(root / "x.tar", members)
    (root / "README").touch()
    return root, 5, 1, 1, ((".cls", 1), (".txt", 1), ("without suffix", 1))


def odd_parquet(root):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    root.mkdir()
    rows = [{"bytes": PNG, "path": "a.png"}, {"bytes": None, "path": "b.png"}, {"bytes": b"x", "path": None}]
    pq.write_table(pa.table({"image": pa.array(rows, kind)}), root / "x.parquet")
    (root / "README.md").touch()
    (root / "more").mkdir()
    return root, 5, 1, 2, ((".md", 1), ("folder", 1))


@pytest.mark.parametrize("make", [odd_folder, odd_tar, odd_parquet])
@pytest.mark.parametrize("per_shard", [1, 100])
def test_every_source_adds_up(tmp_path, monkeypatch, make, per_shard):
    monkeypatch.setattr(preparation, "SHARD_IMAGES", per_shard)
    root, found, images, skipped, ignored = make(tmp_path / "in")
    manifest = prepare(root, tmp_path / "out", size=SIZE)
    assert (manifest.found, manifest.images, len(manifest.skipped)) == (found, images, skipped)
    assert manifest.ignored == ignored
    assert manifest.adds_up
    assert Manifest.load(tmp_path / "out" / "manifest.json") == manifest
    assert manifest.account().startswith(
        f"{found} found: {images} image{'s' * (images > 1)}, {skipped} skipped, "
    )


@pytest.mark.parametrize("kind", ["folder", "tar", "parquet"])
@pytest.mark.parametrize("distinct", [False, True])
def test_a_draw_adds_up(classes, tmp_path, kind, distinct):
    (classes / "ant" / "001.png").write_bytes(b"no image")
    source = classes
    if kind != "folder":
        source = {"tar": as_tar, "parquet": as_parquet}[kind](classes, tmp_path / f"x.{kind}")
    manifest = prepare(source, tmp_path / "out", size=SIZE, select="2x4", distinct=distinct)
    assert manifest.images + len(manifest.skipped) == 8
    assert manifest.adds_up
    undrawn = dict(manifest.ignored)["not drawn"]
    assert undrawn - manifest.repeated == 11 - 8
    assert (manifest.repeated == 0) == distinct
    assert ("drawn again" in manifest.account()) != distinct


def test_strict_stops_at_what_cannot_be_entered(classes, tmp_path):
    (classes / "bee" / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FormatError, match=r"bee/gone is a link .*`strict`") as error:
        prepare(classes, tmp_path / "out", size=SIZE, strict=True)
    one_line(error)


def test_tars_and_parquet_with_images_still_must_not_mix(classes, tmp_path):
    as_parquet(classes, tmp_path / "in" / "x.parquet")
    as_tar(classes, tmp_path / "in" / "x.tar")
    with pytest.raises(FormatError, match="folder of one kind"):
        prepare(tmp_path / "in", tmp_path / "out")
