"""The script for a GPU that is lent: its parts, each of which ends alone. It trains next to nothing here."""

import importlib.util
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.table import ROWS, select
from maxtunnel.zoo.names import WEIGHTS, load

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools" / "gpu.sh"


@pytest.fixture(scope="module")
def train_rows():
    spec = importlib.util.spec_from_file_location("train_rows", ROOT / "tools" / "train_rows.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(out, *parts, **settings):
    """With an interpreter that prints what it was given, and fails at benchmarks."""
    stand_in = out.parent / "python"
    stand_in.write_text('#!/bin/sh\necho "$PYTHONPATH $*"\ncase "$*" in *bench*) exit 3;; esac\n')
    stand_in.chmod(0o755)
    return subprocess.run(
        [SCRIPT, out, *parts], env=os.environ | {"PYTHON": str(stand_in)} | settings,
        capture_output=True, text=True, check=False, cwd=out.parent,
    )  # fmt: skip


def written(out):
    return (out / "parts.txt").read_text()


def test_every_part_runs_and_writes_though_another_fails(tmp_path):
    out = tmp_path / "out"
    done = run(out, PHOTOGRAPHS="some.tar", VAL="other.tar")
    assert done.returncode == 1
    names = ["tests", "bench", "prepare", "prepare-val", "rows", "strong"]
    found = [line.split(",")[0] for line in written(out).splitlines() if ": status" in line]
    assert found == [f"{name}: status {3 if name == 'bench' else 0}" for name in names]
    assert "src -m pytest -m gpu tests" in (out / "tests.txt").read_text()
    bench = (out / "bench.txt").read_text()
    assert f"--json {out / 'card.json'}" in bench
    assert "--batches 16,256" in bench
    _, _, rows, strong = (out / "training.txt").read_text().splitlines()
    assert "--steps 6000 --strong" in rows
    assert "--rows  --minutes 0.3 --width 112" in strong
    assert "/val" in rows
    # As many as come back, with card.json, mirrored.tar and two of strong decoders.
    assert len(list(out.iterdir())) + 4 == 8


def test_what_there_is_no_time_or_photograph_for_is_said_to_be_left_out(tmp_path):
    assert run(tmp_path / "out").returncode == 1
    assert "rows: left out, as PHOTOGRAPHS names none\nstrong: left out" in written(tmp_path / "out")
    assert run(tmp_path / "none", "tests", SECONDS_IN_ALL="4").returncode == 1
    assert written(tmp_path / "none").endswith("tests: left out, no time\n")


def test_a_part_can_be_asked_for_alone(tmp_path):
    done = run(tmp_path / "out", "tests")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "out" / "bench.txt").exists()
    assert run(tmp_path / "out", "sing").returncode == 2


def test_nothing_runs_without_a_folder():
    for arguments in ((), ("",)):
        done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False, timeout=10)
        assert done.returncode == 2
        assert "give a folder" in done.stderr


def test_every_row_has_an_encoder_and_all_weights_fit_the_files_that_come_back(train_rows):
    sizes = {row.name: (WEIGHTS / f"{row.name}.safetensors").stat().st_size for row in ROWS}
    assert len(sizes) == 14
    assert sum(sizes.values()) + 2048 * 14 < train_rows.MOST
    strong = [
        (WEIGHTS / f"{row.name}-strong.safetensors").stat().st_size for row in select(train_rows.STRONG)
    ]
    assert max(a + b for a, b in zip(strong[::2], strong[1::2], strict=True)) + 4096 < train_rows.MOST


def test_an_archive_takes_what_fits_and_the_next_one_the_rest(train_rows, tmp_path, monkeypatch):
    monkeypatch.setattr(train_rows, "MOST", 31_000)
    box = train_rows.Box(tmp_path, "box")
    for name, size in (("a", 12_000), ("b", 12_000), ("c", 12_000), ("d", 50_000)):
        (tmp_path / name).write_bytes(bytes(size))
        box.add(tmp_path / name)
    for name, files in (("box", ["a", "b"]), ("box-2", ["c"]), ("box-3", ["d"])):
        with tarfile.open(tmp_path / f"{name}.tar") as archive:
            assert archive.getnames() == files
    assert not (tmp_path / "box-4.tar").exists()


@pytest.mark.usefixtures("one_thread")
def test_rows_and_strong_decoders_are_trained_and_packed(train_rows, photographs_folder, tmp_path, capsys):
    from maxtunnel.data.preparation import prepare

    prepare(photographs_folder, tmp_path / "store", size=16)
    out = tmp_path / "out"
    asked = f"{tmp_path / 'store'} {out} --val {photographs_folder} --rows 8-8-8,6-12-24-pretrained --steps 2"
    train_rows.main([*asked.split(), "--strong", "8-8-8", "--minutes", "0.01", "--width", "4"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["8-8-8", "6-12-24-pretrained", "8-8-8-strong"]
    assert all("RMSE 0." in line and " steps, " in line for line in lines)
    assert "published 0.1397, 2 steps" in lines[0]
    for archive, names in (
        ("mirrored.tar", ["8-8-8", "6-12-24-pretrained"]),
        ("strong.tar", ["8-8-8-strong"]),
    ):
        with tarfile.open(out / archive) as file:
            file.extractall(tmp_path / "weights", filter="data")
            assert file.getnames() == [f"{name}.safetensors" for name in names]
        for name in names:
            network = TunnelNetwork.load(tmp_path / "weights" / f"{name}.safetensors")
            assert network.encoder_hash() == load(name.removesuffix("-strong")).encoder_hash()
