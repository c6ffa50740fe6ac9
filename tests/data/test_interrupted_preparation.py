"""Cut off at any moment, a preparation goes on where it stopped and ends the same."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from small_sources import SIZE, contents, interrupt_at, one_line

from maxtunnel.data import open_store, preparation, prepare, reading, shards, store
from maxtunnel.data.folders import read_folder


@pytest.mark.usefixtures("small_shards")
def test_interrupted_anywhere_it_ends_the_same(classes, tmp_path):
    (classes / "bee" / "001.png").write_bytes(b"no image")
    prepare(classes, tmp_path / "whole", size=SIZE)
    for count in range(1, 12):
        out = tmp_path / f"out{count}"
        with pytest.raises(KeyboardInterrupt):
            prepare(classes, out, size=SIZE, on_progress=interrupt_at(count))
        assert not out.exists()
        done = []
        prepare(classes, out, size=SIZE, on_progress=lambda _, n, total, note: done.append(n))  # noqa: B023
        assert done == list(range((count - 1) // 3 * 3 + 1, 12))
        assert contents(out) == contents(tmp_path / "whole")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize(
    "step",
    ["shards._write_row", "preparation.write_mean", "preparation.os.rename", "preparation.Manifest.save"],
)
def test_interrupted_between_two_files_it_ends_the_same(classes, tmp_path, monkeypatch, step):
    prepare(classes, tmp_path / "whole", size=SIZE)

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"maxtunnel.data.{step}", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(classes, tmp_path / "out", size=SIZE)
    assert not (tmp_path / "out").exists()
    prepare(classes, tmp_path / "out", size=SIZE)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("moment", ["decoding", "writing"])
def test_killed_it_goes_on(classes, tmp_path, monkeypatch, moment):
    count = random.Random(moment).randrange(4, 12)
    code = f"""
import os, signal, sys
from maxtunnel.data import preparation, store
preparation.SHARD_IMAGES = 3
hash_file = store.hash_file
def kill_decoding(phase, done, total, note):
    if done == {count} and {moment == "decoding"}:
        os.kill(os.getpid(), signal.SIGKILL)
def kill_writing(path):
    # The shard is written but not yet under its name.
    if "shard-0000{(count - 1) // 3}" in path.name and {moment == "writing"}:
        os.kill(os.getpid(), signal.SIGKILL)
    return hash_file(path)
store.hash_file = kill_writing
preparation.prepare(sys.argv[1], sys.argv[2], size={SIZE}, on_progress=kill_decoding)
"""
    run = subprocess.run([sys.executable, "-c", code, classes, tmp_path / "out"], check=False)
    assert run.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    left = [path.name for path in (tmp_path / ".out.partial" / "store").glob(".shard*")]
    assert len(left) == (moment == "writing")
    monkeypatch.setattr(preparation, "SHARD_IMAGES", 3)
    done = []
    prepare(classes, tmp_path / "out", size=SIZE, on_progress=lambda _, n, total, note: done.append(n))
    prepare(classes, tmp_path / "whole", size=SIZE)
    assert done[0] == (count - 1) // 3 * 3 + 1
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("change", ["settings", "file", "shard", "progress", "row"])
def test_other_work_is_not_gone_on_with(classes, tmp_path, change):
    with pytest.raises(KeyboardInterrupt):
        prepare(classes, tmp_path / "out", size=SIZE, on_progress=interrupt_at(8))
    partial = tmp_path / ".out.partial"
    if change == "file":
        shutil.copy(classes / "ant" / "001.png", classes / "ant" / "002.png")
    elif change != "settings":
        name = {"shard": "store/shard-00000.arrow", "progress": "progress.json", "row": "rows/00000.npz"}
        os.truncate(partial / name[change], 100)
    size = SIZE + 1 if change == "settings" else SIZE
    done = []
    prepare(classes, tmp_path / "out", size=size, on_progress=lambda _, n, total, note: done.append(n))
    # Of the two shards that were whole, one may still be.
    assert done == list(range(4 if change in ("shard", "row") else 1, 12))
    assert torch.equal(open_store(tmp_path / "out").pixels.load(), read_folder(classes, size).pixels)
    assert not partial.exists()


def test_a_second_run_at_the_same_time_is_refused(classes, tmp_path):
    def again(*_):
        prepare(classes, tmp_path / "out", size=SIZE)

    with pytest.raises(ValueError, match="written by another run") as error:
        prepare(classes, tmp_path / "out", size=SIZE, on_progress=again)
    one_line(error, tmp_path / ".out.partial")


def test_where_files_cannot_be_locked_it_says_so_and_goes_on(classes, tmp_path, monkeypatch, caplog):
    prepare(classes, tmp_path / "whole", size=SIZE)

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("maxtunnel.support.locks.lock", refuse)
    prepare(classes, tmp_path / "out", size=SIZE)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert f"{tmp_path / '.out.partial' / 'lock'} cannot be locked here" in caplog.text


def test_what_is_there_is_not_made_again(classes, tmp_path, monkeypatch):
    first = prepare(classes, tmp_path / "out", size=SIZE)
    monkeypatch.setattr(reading, "read_image", None)
    (tmp_path / ".out.partial").mkdir()
    seen = []
    assert prepare(classes, tmp_path / "out", size=SIZE, on_progress=lambda *w: seen.append(w)) == first
    assert seen == [("prepare", 11, 11, "already there")]
    assert not (tmp_path / ".out.partial").exists()
    before = contents(tmp_path / "out")
    for other in ({"size": 8}, {"size": SIZE, "resize": "antialias"}, {"size": SIZE, "select": "1x2"}):
        with pytest.raises(ValueError, match="other settings") as error:
            prepare(classes, tmp_path / "out", **other)
        one_line(error, tmp_path / "out")
    (classes / "ant" / "000.png").unlink()
    with pytest.raises(ValueError, match="other files"):
        prepare(classes, tmp_path / "out", size=SIZE)
    assert contents(tmp_path / "out") == before


@pytest.mark.usefixtures("small_shards")
def test_a_full_disk_is_explained_and_gone_on_from(classes, tmp_path, monkeypatch):
    write, written = store.write_shard, []

    def full(path, *rest):
        written.append(path)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(shards, "write_shard", full)
        with pytest.raises(OSError, match="make room") as error:
            prepare(classes, tmp_path / "out", size=SIZE)
    one_line(error, tmp_path / "out", tmp_path / ".out.partial", "No space left")
    assert not (tmp_path / "out").exists()

    with monkeypatch.context() as patch:
        usage = shutil.disk_usage(tmp_path)
        patch.setattr(preparation.shutil, "disk_usage", lambda path: usage._replace(free=1000))
        with pytest.raises(OSError, match=r"0\.0 GB are needed and 0\.0 GB free"):
            prepare(classes, tmp_path / "out", size=SIZE)
    done = []
    prepare(classes, tmp_path / "out", size=SIZE, on_progress=lambda _, n, total, note: done.append(n))
    assert done[0] == 7
    assert open_store(tmp_path / "out").manifest.images == 11


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_arrow_tells_of_a_full_disk_by_number():
    with pytest.raises(OSError, match="space") as error, pa.OSFile("/dev/full", "wb") as file:
        file.write(b"x" * 100_000)
    assert error.value.errno == errno.ENOSPC
