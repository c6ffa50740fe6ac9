import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from small_sources import PNG, SIZE, as_parquet, contents, interrupt_at, one_line, picture_classes

from maxtunnel.data import export, open_store, preparation, prepare
from maxtunnel.data.folders import read_folder
from maxtunnel.support.files import FormatError


def image_column(count, data=PNG):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": data, "path": f"{n}.png"} for n in range(count)], kind)


NAMED = {"huggingface": '{"info": {"features": {"label": {"names": ["a"]}}}}'}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"picture": [1]}), r"columns picture: int64: expected image: struct"),
        (pa.table({"image": [PNG]}), "expected image: struct"),
        (pa.table({"image": pa.array([{"path": "a"}])}), "expected image: struct"),
        (pa.table({"image": pa.array([{"bytes": 1}])}), "expected image: struct"),
        (pa.table({"image": image_column(1), "label": ["cat"]}), "labels of type string"),
        (pa.table({"image": image_column(2), "label": [0, None]}), "label None"),
        (pa.table({"image": image_column(2), "label": [0, -1]}), "label -1"),
        (pa.table({"image": image_column(1), "label": [1]}, metadata=NAMED), r"label 1 among .*0\.\.0"),
        (pa.table({"image": image_column(1), "label": [0]}, metadata={"huggingface": "{"}), "metadata"),
        (pa.table({"image": image_column(1), "label": [0]}, metadata={"huggingface": "[]"}), "metadata"),
        (pa.table({"image": image_column(0)}), "holds no image"),
    ],
)
def test_odd_parquet_is_named(tmp_path, table, message):
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(FormatError, match=message) as error:
        prepare(tmp_path / "x.parquet", tmp_path / "out")
    one_line(error, tmp_path / "x.parquet")


def test_parquet_as_others_write_it(tmp_path):
    """No paths, empty rows, labels of -1 (a test set), several row groups, one of them empty."""
    rows = [{"bytes": PNG, "path": None}, {"bytes": None, "path": None}, None, {"bytes": PNG, "path": None}]
    kind = pa.struct([("bytes", pa.large_binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(rows, kind), "label": [-1] * 4, "more": [1.0] * 4})
    with pq.ParquetWriter(tmp_path / "x.parquet", table.schema) as writer:
        for part in (table[:3], table[:0], table[3:]):
            writer.write_table(part)
    manifest = prepare(tmp_path / "x.parquet", tmp_path / "out", size=SIZE)
    assert [name for name, _ in manifest.skipped] == ["x.parquet/000000001", "x.parquet/000000002"]
    assert all(reason.startswith("is empty") for _, reason in manifest.skipped)
    assert list(open_store(tmp_path / "out").paths) == ["x.parquet/000000000", "x.parquet/000000003"]
    assert manifest.class_names == ()


def test_a_large_row_group_is_read_once_and_onward(tmp_path, monkeypatch):
    pictures = picture_classes(tmp_path / "classes", {"a": 150})
    path = as_parquet(pictures, tmp_path / "x.parquet", rows=1000)
    opened = []
    monkeypatch.setattr(preparation, "SHARD_IMAGES", 40)
    batches = pq.ParquetFile.iter_batches
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *a, **k: opened.append(1) or batches(*a, **k))
    prepare(path, tmp_path / "out", size=SIZE)
    assert len(opened) == 1
    assert torch.equal(open_store(tmp_path / "out").pixels.load(), read_folder(pictures, SIZE).pixels)


def test_an_export_is_read_by_others_and_prepared_again(prepared, tmp_path):
    seen = []
    export(prepared, tmp_path / "hf", on_progress=lambda *what: seen.append(what))
    assert seen[-1] == ("export", 11, 11, "")
    table = pq.read_table(tmp_path / "hf")
    original = open_store(prepared)
    assert table["label"].to_pylist() == original.labels.tolist()
    for row, image in zip(table["image"].to_pylist(), original.pixels.load(), strict=True):
        picture = Image.open(io.BytesIO(row["bytes"]))
        assert picture.format == "PNG"
        assert np.array_equal(np.asarray(picture), image.permute(1, 2, 0).numpy())
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"] == {"names": ["ant", "bee", "cat"], "_type": "ClassLabel"}

    prepare(tmp_path / "hf", tmp_path / "again", size=SIZE)
    again = open_store(tmp_path / "again")
    for name in ("manifest", "path"):
        assert getattr(again, name) != getattr(original, name)
    assert torch.equal(again.pixels.load(), original.pixels.load())
    assert torch.equal(again.labels, original.labels)
    assert list(again.paths) == list(original.paths)
    # The same content, wherever it came from.
    assert again.manifest.content_sha256 == original.manifest.content_sha256
    with pytest.raises(ValueError, match="is there already"):
        export(prepared, tmp_path / "hf")


def test_an_export_without_labels(classes, tmp_path):
    prepare(classes / "ant", tmp_path / "out", size=SIZE)
    export(tmp_path / "out", tmp_path / "hf")
    assert pq.read_table(tmp_path / "hf").column_names == ["image"]
    prepare(tmp_path / "hf", tmp_path / "again", size=SIZE)
    assert (
        contents(tmp_path / "again")["shard-00000.arrow"] == contents(tmp_path / "out")["shard-00000.arrow"]
    )


def test_an_export_cut_off_leaves_nothing(prepared, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        export(prepared, tmp_path / "hf", on_progress=interrupt_at(6))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes", "out"]


def paths_alone(folder, paths, kind=None):
    folder.mkdir(exist_ok=True)
    rows = [{"bytes": None, "path": path} for path in paths]
    pq.write_table(pa.table({"image": pa.array(rows, kind)}), folder / "x.parquet")
    return folder / "x.parquet"


TYPED = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.mark.parametrize("kind", [TYPED, None])
def test_a_row_with_a_path_alone_is_the_file_beside_it(tmp_path, kind):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.png", "c.png"):
        (folder / name).write_bytes(PNG)
    source = paths_alone(folder, ["a.png", "sub/b.png", "/home/someone/c.png", "d.png"], kind)
    manifest = prepare(source, tmp_path / "out", size=SIZE)
    assert list(open_store(tmp_path / "out").paths) == ["a.png", "sub/b.png", "/home/someone/c.png"]
    reason = f"is a path without an image, and no such file is in {folder}: put it there"
    assert manifest.skipped == (("d.png", reason),)
    with pytest.raises(FormatError, match=r"d\.png is a path without an image") as error:
        prepare(source, tmp_path / "strict", size=SIZE, strict=True)
    one_line(error)


def test_a_path_in_a_row_leads_out_of_no_folder(tmp_path):
    (tmp_path / "secret.png").write_bytes(PNG)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "a.png").write_bytes(PNG)
    wrong = ["../secret.png", str(tmp_path / "secret.png"), "link.png", "a\0.png", "x" * 5000, ".."]
    manifest = prepare(paths_alone(folder, [*wrong, "a.png"]), tmp_path / "out", size=SIZE)
    assert [name for name, _ in manifest.skipped] == wrong
    assert manifest.images == 1
