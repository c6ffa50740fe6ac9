"""What switches say, drawn and printed by the command."""

import torch
from PIL import Image
from typer.testing import CliRunner

from maxtunnel.commands.app import app
from maxtunnel.data.images import write_png


def test_a_picture_and_a_row_for_every_channel(tmp_path):
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for number in range(2):
        write_png(photographs / f"{number}.png", torch.rand(3, 32, 32))
    out, table = tmp_path / "triggers.png", tmp_path / "table.csv"
    command = ["triggers", "8-8-8", "--data", str(photographs), "--size", "32", "--level", "2"]
    result = CliRunner().invoke(app, [*command, "--out", str(out), "--csv", str(table)])
    assert result.exit_code == 0, result.output
    assert len(table.read_text().splitlines()) == 1 + 8
    with Image.open(out) as picture:
        # Four patches of 16 pixels, six times as large, beside each other; eight rows of them.
        assert picture.width > 4 * 96
        assert picture.height > 8 * 96
        # Above each column stands where in the window the maximum lay.
        heads = [picture.convert("L").crop((24 + 104 * n, 24, 120 + 104 * n, 50)) for n in range(4)]
        assert all(head.getextrema()[0] < 128 for head in heads)
        assert len({head.tobytes() for head in heads}) == 4


def test_a_level_that_there_is_not(tmp_path):
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    write_png(photographs / "0.png", torch.rand(3, 32, 32))
    command = ["triggers", "8-8-8", "--data", str(photographs), "--size", "32", "--level", "4"]
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "triggers.png")])
    assert result.exit_code != 0
    assert not (tmp_path / "triggers.png").exists()
