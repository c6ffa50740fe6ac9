"""The script for a GPU that is lent: its parts, each of which ends alone. It runs nothing of ours here."""

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "tools" / "gpu.sh"


def run(out, *parts):
    """With an interpreter that prints what it was given, and fails at benchmarks."""
    stand_in = out.parent / "python"
    stand_in.write_text('#!/bin/sh\necho "$PYTHONPATH $*"\ncase "$*" in *bench*) exit 3;; esac\n')
    stand_in.chmod(0o755)
    return subprocess.run(
        [SCRIPT, out, *parts], env=os.environ | {"PYTHON": str(stand_in)}, capture_output=True, text=True,
        check=False, cwd=out.parent,
    )  # fmt: skip


def test_every_part_runs_and_writes_though_another_fails(tmp_path):
    done = run(tmp_path / "out")
    assert done.returncode == 1
    parts = (tmp_path / "out" / "parts.txt").read_text().splitlines()
    assert parts[0].startswith("tests: status 0")
    assert parts[1].startswith("bench: status 3")
    assert "src -m pytest -m gpu tests" in (tmp_path / "out" / "tests.txt").read_text()
    bench = (tmp_path / "out" / "bench.txt").read_text()
    assert f"--json {tmp_path / 'out' / 'card.json'}" in bench
    assert "--batches 16,256" in bench
    assert parts[2] == "training: left out, as PHOTOGRAPHS names none"


def test_decoders_are_trained_on_the_photographs_that_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PHOTOGRAPHS", "some.tar")
    run(tmp_path / "out", "training")
    parts = (tmp_path / "out" / "parts.txt").read_text()
    assert parts.startswith("prepare: status 0")
    assert "train-64-64-64-strong: status 0" in parts
    assert "train-48-96-192: status 0" in parts
    command = (tmp_path / "out" / "train-8-8-8-strong.txt").read_text()
    assert "train 8-8-8 --encoder 8-8-8" in command
    assert "--decoder strong --width 112" in command


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
