"""What networks are called says where they came from, and tells them apart."""

import pytest

from maxtunnel.zoo.labels import label, labels, shorten
from maxtunnel.zoo.names import load


@pytest.fixture
def models(tmp_path):
    """A run, a file and a snapshot, all of 8-8-8, and another run of the same name."""
    for folder in ("runs", "others"):
        load("8-8-8").save(tmp_path / folder / "8-8-8" / "model.safetensors")
    load("8-8-8").save(tmp_path / "8-8-8.safetensors")
    (tmp_path / "net8_8_8_iter_50000.caffemodel").touch()
    names = ("runs/8-8-8", "8-8-8.safetensors", "net8_8_8_iter_50000.caffemodel", "others/8-8-8")
    return [str(tmp_path / name) for name in names]


def test_what_ships_a_run_a_file_and_a_snapshot_are_told_apart(models):
    assert labels(["8-8-8", *models[:3]]) == [
        "8-8-8 (shipped)",
        "8-8-8 (run)",
        "8-8-8 (file)",
        "net8_8_8_iter_50000 (snapshot)",
    ]


def test_a_run_given_as_here_has_its_folders_name(models, monkeypatch):
    monkeypatch.chdir(models[0])
    assert label(".") == "8-8-8 (run)"


def test_runs_of_one_name_have_their_folders_too(models):
    assert labels([models[0], models[3]]) == ["runs/8-8-8 (run)", "others/8-8-8 (run)"]
    # The same run twice has nothing to tell apart.
    assert len(set(labels([models[0], models[0]]))) == 1


def test_given_labels_come_first_in_order(models):
    assert labels(["8-8-8", models[0]], ["ours"]) == ["ours", "8-8-8 (run)"]
    assert labels(["8-8-8", models[0]], ["a", "b"]) == ["a", "b"]
    with pytest.raises(ValueError, match="`labels` has 2 for 1 models"):
        labels(["8-8-8"], ["a", "b"])
    with pytest.raises(ValueError, match="'a' twice"):
        labels(["8-8-8", models[0]], ["a", "a"])


def test_long_names_lose_their_middle():
    assert shorten("short") == "short"
    found = shorten("a" * 30 + "b" * 30)
    assert len(found) == 40
    assert found.startswith("aaaa")
    assert found.endswith("bbbb")
    assert "…" in found
