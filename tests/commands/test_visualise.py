import csv

import pytest
import torch

from maxtunnel.data.images import write_png
from tools.command_line import here, refuse

MODEL = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))

def plain():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
"""


def photographs(folder):
    generator = torch.Generator().manual_seed(0)
    for number in range(3):
        write_png(folder / f"{number}.png", torch.rand(3, 24, 24, generator=generator))


def test_pictures_and_numbers_of_a_model(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    photographs(tmp_path / "photographs")
    output, _ = here(
        "visualise", f"{tmp_path}/model.py:build", tmp_path / "photographs", "--layer", "2", "--layer", "0",
        "--units", "0,2", "--size", 16, "--out", tmp_path / "out", "--csv", tmp_path / "table.csv",
    )  # fmt: skip
    assert f"Pictures: {tmp_path}/out/visualise.html" in output
    assert {"2.png", "0.png", "2-controls.png"} <= {path.name for path in (tmp_path / "out").iterdir()}
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["layer"], row["of"], row["poolings"]) for row in rows] == [
        ("2", "unit", "1"), ("2", "layer", "1"), ("0", "unit", "0"), ("0", "layer", "0"),
    ]  # fmt: skip
    assert 0 <= float(rows[0]["lost_random"]) <= 1
    # Before the first pooling there are no switches that could draw.
    assert rows[2]["lost_random"] == ""
    assert "No pooling lies below 0: there no switch draws, so nothing is compared." in output
    assert "No pooling lies below 0:" in (tmp_path / "out" / "visualise.html").read_text()


def test_errors_are_one_line(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    photographs(tmp_path)
    target, image = f"{tmp_path}/model.py:build", tmp_path / "0.png"
    out = ("--out", tmp_path / "out")
    assert "there is no layer '3'" in refuse("visualise", target, image, "--layer", "3", *out)
    error = refuse("visualise", target, image, "--layer", "2", "--units", "4", *out)
    assert "--units names 4, but 2 has 4, numbered from 0 to 3" in error
    assert "--units is 'best'" in refuse("visualise", target, image, "--layer", "2", "--units", "best", *out)
    error = refuse("visualise", f"{tmp_path}/model.py:plain", image, "--layer", "1", *out)
    assert "the --method deconvnet unpools by switches" in error
    assert "--layer" in refuse("visualise", target, image, *out)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("one_thread")
def test_units_over_the_steps_of_a_run(tmp_path, photographs_folder):
    run = tmp_path / "run"
    here(
        "pretrain", "4-4", "--data", photographs_folder, "--size", 16, "--steps", 3, "--history", "--out", run
    )
    output, _ = here(
        "visualise", run, photographs_folder, "--layer", "pool2", "--evolution", "--size", 16,
        "--out", tmp_path / "out", "--csv", tmp_path / "table.csv",
    )  # fmt: skip
    assert f"Pictures: {tmp_path}/out/evolution.html" in output
    assert {"pool2-evolution.png", "pool2-parts.png"} <= {path.name for path in (tmp_path / "out").iterdir()}
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [0, 1, 2, 3]
    assert [float(rows[-1][part]) for part in ("own", "switches", "filters")] == pytest.approx([1, 1, 1])
    assert float(rows[-1]["same_photograph"]) == 1


def test_an_evolution_needs_the_history_of_a_run(tmp_path):
    photographs(tmp_path)
    asked = ("visualise", "8-8-8", tmp_path / "0.png", "--layer", "pool1", "--evolution")
    assert "8-8-8 holds 0 networks of a run's steps: give the folder of a run that" in refuse(*asked)
    error = refuse(*asked, "--preprocess", "imagenet")
    assert "--preprocess does not go with --evolution: a run preprocesses by itself" in error
