"""A data set of switch files: what others read of it, and how it goes on."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from maxtunnel.codec import loads
from maxtunnel.codec.dataset import encode_dataset
from maxtunnel.codec.files import encode_files
from maxtunnel.codec.rows import name_all
from maxtunnel.data.finding import find_source
from maxtunnel.support.files import FormatError
from tools.command_line import call, refuse


@pytest.fixture
def made(photographs_folder, tmp_path):
    (photographs_folder / "class1" / "05.png").write_bytes(b"no picture")
    return encode_dataset(photographs_folder, "8-8-8", tmp_path / "set", "packed", part_size=5)


def test_rows_hold_the_files_that_encode_writes(made, photographs_folder, tmp_path):
    written, skipped = encode_files(photographs_folder, "8-8-8", tmp_path / "out", "packed")
    table = pq.read_table(tmp_path / "set")  # as pandas does
    rows = {row["name"]: row for row in table.to_pylist()}
    assert len(rows) == 12
    for path, bits in written:
        row = rows[path.stem]
        assert row["bytes"] == path.read_bytes()
        assert (row["bits_per_pixel"], row["error"]) == (bits, None)
        assert loads(row["bytes"]).image_size == (row["height"], row["width"])
    broken = rows["05"]
    assert (broken["bytes"], broken["bits_per_pixel"], broken["error"]) == (None, None, skipped[0][1])
    assert made.photographs == 11
    assert made.skipped == ((broken["source"], broken["error"]),)
    assert [part.rows for part in made.parts] == [5, 5, 2]
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == [
        "_manifest.json", "part-000000.parquet", "part-000001.parquet", "part-000002.parquet",
    ]  # fmt: skip


def test_what_is_there_is_not_made_again(made, photographs_folder, tmp_path):
    again = encode_dataset(photographs_folder, "8-8-8", tmp_path / "set", "packed", 5, spread=nothing)
    assert again == made
    for other in ({"coding": "entropy"}, {"part_size": 4}, {"model": "16-16-16"}):
        settings = {"model": "8-8-8", "coding": "packed", "part_size": 5} | other
        with pytest.raises(ValueError, match="of another network or of other photographs or settings"):
            encode_dataset(photographs_folder, out=tmp_path / "set", **settings)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "part-000000.parquet").write_bytes(b"mine")
    with pytest.raises(ValueError, match="name a new folder"):
        encode_dataset(photographs_folder, "8-8-8", tmp_path / "other")
    with pytest.raises(ValueError, match="`part_size` is 0"):
        encode_dataset(photographs_folder, "8-8-8", tmp_path / "other", part_size=0)


def nothing(work, parts, whole_node=False):
    """An engine that may not be needed."""
    pytest.fail("something was done again")


@pytest.mark.parametrize("damage", ["none", "part", "row"])
def test_one_that_was_stopped_goes_on(made, photographs_folder, tmp_path, damage):
    def stop(phase, done, total, note):
        if done == 10:
            raise KeyboardInterrupt

    arguments = photographs_folder, "8-8-8", tmp_path / "cut", "packed", 5
    with pytest.raises(KeyboardInterrupt):
        encode_dataset(*arguments, on_progress=stop)
    if damage == "part":
        os.truncate(tmp_path / "cut" / "part-000000.parquet", 100)
    if damage == "row":
        (tmp_path / "cut" / "_parts" / "000000.json").write_text('{"photographs":')
    told = []
    assert encode_dataset(*arguments, on_progress=lambda *words: told.append(words[1])) == made
    assert told == ([12] if damage == "none" else [10, 12])


def test_an_unfinished_set_of_other_settings_is_left_alone(photographs_folder, tmp_path):
    def stop(phase, done, total, note):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_dataset(photographs_folder, "8-8-8", tmp_path / "cut", "packed", 5, on_progress=stop)
    before = {path: path.read_bytes() for path in (tmp_path / "cut").rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="name a new folder, or delete it"):
        encode_dataset(photographs_folder, "8-8-8", tmp_path / "cut", "entropy", 5)
    assert {path: path.read_bytes() for path in (tmp_path / "cut").rglob("*") if path.is_file()} == before


def test_names_of_others_are_made_fit_for_files(tmp_path):
    paths = ["../../x.png", "..\\..\\x.png", "C:x.png", "a\x1b[2J\0.png", "y/", "", "/", "é" * 300, "é" * 301]
    rows = [{"bytes": b"1", "path": path} for path in paths]
    pq.write_table(pa.table({"image": rows}), tmp_path / "x.parquet")
    (names,) = name_all([find_source(tmp_path / "x.parquet")])
    assert names == [
        "x", ".._.._x", "C_x", "a_[2J_", "y", "000000005", "_", "é" * 100, "é" * 100 + "-2",
    ]  # fmt: skip


def test_an_address_takes_and_gives_the_same(made, photographs_folder, tmp_path):
    found = encode_dataset(
        f"file://{photographs_folder}", "8-8-8", f"memory://{tmp_path.name}/set", "packed", part_size=5
    )
    assert [part.rows for part in found.parts] == [part.rows for part in made.parts]
    assert found.skipped[0][0] == f"file://{made.skipped[0][0]}"
    with pytest.raises(FormatError, match=r"nosuch://x cannot be reached"):
        encode_dataset("nosuch://x", "8-8-8", tmp_path / "none")


def test_the_command_says_what_it_made(photographs_folder, tmp_path):
    arguments = "encode", photographs_folder, "-m", "8-8-8", "-o", tmp_path / "set"
    output = call(*arguments, "--format", "parquet")
    assert "12 switch files in 1 Parquet file, " in output
    assert "--part-size is of Parquet files" in refuse(*arguments, "--part-size", 3)
    assert "--force replaces .mxt files" in refuse(*arguments, "--format", "parquet", "--force")
    assert "--ray-address is x:1, and --engine is here" in refuse(*arguments, "--ray-address", "x:1")
