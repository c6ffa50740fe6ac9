"""Refined pictures: the same from a photograph and from its switch file; measured; not too large."""

import json

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import maxtunnel
from maxtunnel.codec import load
from maxtunnel.codec.files import decode_files, encode_files, reconstruct_files
from maxtunnel.commands.app import app
from maxtunnel.data.images import read_image, resize, to_float, to_uint8
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.models import refine as module
from maxtunnel.paper.frontier import measure_frontier
from maxtunnel.paper.frontier_figure import LOOKS, draw_frontier
from maxtunnel.support.files import FormatError
from maxtunnel.web import frontier as plot


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "photographs"
    place.mkdir()
    for name in ("chelsea", "rocket"):
        pixels = resize(demo_photographs()[name], (40, 56)).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(place / f"{name}.png")
    return place


def call(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return result.output


def test_a_photograph_and_its_switch_file_give_the_same_refined_picture(folder, tmp_path):
    photograph, out = folder / "rocket.png", tmp_path / "out"
    call("reconstruct", photograph, "-m", "8-8-8", "--refine", 6, "-o", out)
    call("encode", photograph, "-m", "8-8-8", "-o", out)
    call("decode", out / "rocket.mxt", "--refine", 6, "-o", out)
    assert {path.name for path in out.glob("*.png")} == {"rocket-8-8-8-refined.png", "rocket-refined.png"}
    network, image = maxtunnel.load("8-8-8"), to_float(read_image(photograph))[None]
    code = network.encode(image)
    expected = maxtunnel.refine(network, code, network.decode(code), rounds=6)
    for path in out.glob("*.png"):
        assert torch.equal(read_image(path), to_uint8(expected)[0])
    ((_, moved),), _ = reconstruct_files(photograph, "8-8-8", tmp_path / "moved", refine=6)
    ((_, plain),), _ = reconstruct_files(photograph, "8-8-8", tmp_path / "plain")
    assert moved < plain
    # Levels that are not made use of ask for nothing either.
    (part,) = decode_files(out / "rocket.mxt", levels=[3], out=tmp_path / "part", refine=6)
    code = load(out / "rocket.mxt", [3])
    expected = maxtunnel.refine(network, code, network.decode(code, [3]), levels=[3], rounds=6)
    assert torch.equal(read_image(part), to_uint8(expected)[0])


def test_pictures_that_are_too_large_are_told_before_anything_is_written(folder, tmp_path, monkeypatch):
    encode_files(folder, "8-8-8", tmp_path)
    pixels = resize(demo_photographs()["rocket"], (24, 24)).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(folder / "small.png")
    monkeypatch.setattr(module, "MOST_PIXELS", 1000)
    with pytest.raises(FormatError, match=r"rocket\.mxt is of 40x56 pixels"):
        decode_files(tmp_path / "rocket.mxt", out=tmp_path / "none", refine=1)
    assert not (tmp_path / "none").exists()
    written, skipped = reconstruct_files(folder, "8-8-8", tmp_path / "out", refine=1)
    assert [path.name for path, _ in written] == ["small-8-8-8-refined.png"]
    assert [path.name for path, _ in skipped] == ["chelsea.png", "rocket.png"]
    assert "at most 1,000 pixels" in skipped[0][1]
    assert len(reconstruct_files(folder, "8-8-8", tmp_path / "out")[0]) == 3


def test_what_was_refined_is_measured_and_says_so(folder, tmp_path):
    command = ["evaluate", "8-8-8", "--data", folder, "--size", 32, "--json", tmp_path / "result.json"]
    output = call(*command, "--refine", 5, "--csv", tmp_path / "result.csv")
    assert "8-8-8 (shipped),5," in (tmp_path / "result.csv").read_text()
    assert "at 32x32, bilinear, refined in 5 rounds" in output
    found = json.loads((tmp_path / "result.json").read_text())
    assert found["refine"] == 5
    assert ", refined in" not in call(*command)
    plain = json.loads((tmp_path / "result.json").read_text())
    assert plain["refine"] == 0
    assert found["rmse"] < plain["rmse"]
    assert found["bits_per_pixel"] == plain["bits_per_pixel"]
    rows = tmp_path / "rows"
    call(*command, "--refine", 5, "--rows", rows)
    assert json.loads((tmp_path / "result.json").read_text())["rmse"] == pytest.approx(found["rmse"])
    result = CliRunner().invoke(app, list(map(str, [*command, "--rows", rows])))
    assert "name a new folder, or delete it" in str(result.exception)


def test_the_frontier_has_both(folder):
    found = measure_frontier(folder, ["8-8-8-strong", "8-8-8"], size=32, refine=4)
    networks = {point.series: point for point in found.points if point.nominal}
    assert set(networks) == {f"random, {d}{r}" for d in ("mirrored", "strong") for r in ("", ", refined")}
    plain, moved = networks["random, strong"], networks["random, strong, refined"]
    assert moved.rmse < plain.rmse
    assert (moved.stored, moved.stored_ci95, moved.nominal) == (
        plain.stored,
        plain.stored_ci95,
        plain.nominal,
    )
    assert set(networks) <= set(LOOKS)
    labels = {line.get_label() for line in draw_frontier(found).axes[0].lines}
    assert labels >= set(networks)
    assert found.bits_images == 2 or plain.stored is None


def test_the_page_tells_refined_pictures_from_others(folder, monkeypatch):
    found = measure_frontier(folder, ["8-8-8"], size=32, refine=1)
    monkeypatch.setattr(plot, "measured", lambda: found)
    if any(point.stored is None for point in found.points):
        pytest.skip("without a compiler there are no stored bits")
    drawn = plot.show()
    assert drawn.count("mt-hollow") == 1
    assert "8-8-8 (shipped), refined: " in drawn
    assert "8-8-8 (shipped): " in drawn
