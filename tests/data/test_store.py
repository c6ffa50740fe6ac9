import hashlib
import os
import pickle
import random

import numpy as np
import pyarrow as pa
import pytest
import torch
from small_sources import SIZE, one_line

from maxtunnel.data import is_store, open_store, prepare, verify
from maxtunnel.data.folders import read_folder
from maxtunnel.support.files import FormatError


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_a_shard_is_an_arrow_file_of_raw_pixels(classes, tmp_path):
    prepare(classes, tmp_path / "out", size=SIZE)
    table = pa.ipc.open_file(pa.memory_map(str(tmp_path / "out" / "shard-00000.arrow"))).read_all()
    assert table.column_names == ["pixels", "label", "path"]
    pixels = table["pixels"].combine_chunks().to_numpy_ndarray()
    assert np.array_equal(pixels, read_folder(classes, SIZE).pixels.numpy())
    assert table["label"].to_pylist()[-1] == 2
    assert table["path"].to_pylist()[0] == "ant/000.png"
    # Raw: the pixels stand in the file as they are.
    assert pixels.tobytes() in (tmp_path / "out" / "shard-00000.arrow").read_bytes()


def test_a_whole_store_is_verified(prepared):
    seen = []
    verify(prepared, lambda *what: seen.append(what))
    assert seen == [("verify", done, 4, "") for done in range(1, 5)]
    manifest = open_store(prepared).manifest
    for number, shard in enumerate(manifest.shards):
        data = (prepared / f"shard-{number:05d}.arrow").read_bytes()
        assert (shard.bytes, shard.sha256) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("name", ["shard-00001.arrow", "manifest.json", "mean.npy"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "missing", "longer"])
def test_a_damaged_store_is_noticed_on_opening(prepared, name, damage):
    path = prepared / name
    if damage == "missing":
        path.unlink()
    elif damage == "longer":
        path.write_bytes(path.read_bytes() + b"x")
    else:
        os.truncate(path, path.stat().st_size // 2 if damage == "truncated" else 0)
    with pytest.raises(FormatError) as error:
        open_store(prepared)
    one_line(error, name)


def test_one_altered_pixel_is_found_by_verify(prepared):
    path = prepared / "shard-00002.arrow"
    pixels = open_store(prepared).pixels.load()
    flip(path, path.read_bytes().index(pixels[6].numpy().tobytes()))
    assert not torch.equal(open_store(prepared).pixels.load(), pixels)
    with pytest.raises(FormatError, match="altered") as error:
        verify(prepared)
    one_line(error, path)


def test_random_damage_never_opens_with_anything_but_a_format_error(prepared):
    path = prepared / "shard-00000.arrow"
    whole, values = path.read_bytes(), random.Random(0)
    refused, head = 0, whole.index(open_store(prepared).pixels.load()[0].numpy().tobytes())
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(3):
            place = values.choice([values.randrange(head), values.randrange(len(data) - 700, len(data))])
            data[place] = values.randrange(256)
        path.write_bytes(data)
        try:
            opened = open_store(prepared)
        except FormatError:
            refused += 1
        else:
            assert opened.pixels.load().shape == (11, 3, SIZE, SIZE)
            assert len(opened.paths[:]) == 11
    assert 0 < refused < 200


def test_what_is_no_store(classes, tmp_path, prepared):
    assert is_store(prepared)
    for path in (classes, tmp_path / "none", classes / "ant" / "000.png"):
        assert not is_store(path)
        with pytest.raises(FormatError, match="is no store"):
            open_store(path)


def test_mapped_pixels_are_indexed_as_a_tensor(prepared):
    pixels = open_store(prepared).pixels
    whole = pixels.load()
    assert (len(pixels), pixels.shape, pixels.dtype) == (11, whole.shape, torch.uint8)
    numbers = torch.tensor([10, 0, 3, 3, -1])
    for which in (
        numbers,
        slice(2, 9),
        slice(None, None, 4),
        slice(0, 0),
        torch.tensor([], dtype=torch.int64),
    ):
        assert torch.equal(pixels[which], whole[which])
    some = pixels.select(numbers)
    assert torch.equal(some.load(), whole[numbers])
    assert torch.equal(some[torch.tensor([4, 0])], whole[[10, 10]])
    with pytest.raises(IndexError):
        pixels[torch.tensor([11])]


def test_what_is_read_is_ones_own(prepared):
    pixels = open_store(prepared).pixels
    pixels[:].add_(1)
    pixels[:].zero_()
    verify(prepared)


def test_pickled_pixels_are_mapped_again_and_not_carried_along(prepared, monkeypatch):
    monkeypatch.chdir(prepared.parent)
    pixels = open_store(prepared.name).pixels
    some = pixels.select(torch.tensor([10, 0, 3, 3]))
    pickled, pickled_some = pickle.dumps(pixels), pickle.dumps(some)
    assert max(len(pickled), len(pickled_some)) < pixels.shape.numel() / 4
    # Another process may have another working directory.
    monkeypatch.chdir("/")
    assert torch.equal(pickle.loads(pickled).load(), pixels.load())
    assert torch.equal(pickle.loads(pickled_some).load(), some.load())
    assert torch.equal(pickle.loads(pickle.dumps(pickle.loads(pickled_some)))[1:3], some[1:3])


def test_a_pickled_store_opens_again(prepared):
    store = open_store(prepared)
    again = pickle.loads(pickle.dumps(store))
    assert again.manifest == store.manifest
    assert list(again.paths) == list(store.paths)
    assert torch.equal(again.pixels.load(), store.pixels.load())


def test_pixels_whose_store_is_damaged_do_not_unpickle(prepared):
    pickled = pickle.dumps(open_store(prepared).pixels)
    os.truncate(prepared / "shard-00002.arrow", 100)
    with pytest.raises(FormatError, match=r"shard-00002\.arrow has 100 bytes"):
        pickle.loads(pickled)
