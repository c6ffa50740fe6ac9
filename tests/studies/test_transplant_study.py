"""`maxtunnel study transplant` at toy size."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch
from small_faces import LIGHTS, write_faces
from torch.nn import functional as F

from maxtunnel.data.images import to_float
from maxtunnel.data.survey import survey
from maxtunnel.models.swwae import Swwae
from maxtunnel.studies import transplant
from maxtunnel.studies.transplant_config import Run, preset
from maxtunnel.studies.transplant_data import Pairs, draw_pairs, light_of, read_parts
from maxtunnel.studies.transplant_edits import OWN, PIXELS, REBUILT, UNEDITED, Scene, edits, scenes
from maxtunnel.studies.transplant_page import report_of
from maxtunnel.studies.transplant_reading import (
    HALF,
    along,
    draw,
    level_runs,
    level_sets,
    measure_pairs,
    rebuild,
    see,
    shares,
    transplants,
)
from maxtunnel.studies.transplant_run import NetworkRow
from maxtunnel.support.files import FormatError
from maxtunnel.support.progress import Stopped
from tools.command_line import call, refuse

NAMES = ["average-0", "fixed-0", "switches-0"]
TOY = preset("toy")[0]


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return write_faces(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def parts(faces):
    return read_parts(faces, TOY)


@pytest.fixture(scope="module")
def done(tmp_path_factory, faces):
    """The toy study of the command, and what it printed."""
    out = tmp_path_factory.mktemp("done") / "study"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    text = call("study", "transplant", "--data", faces, "--toy", "--out", out, "--csv", out.parent / "t.csv")
    torch.set_num_threads(threads)
    return out, text


def network_of(kind, seed=0):
    """A network that has learnt nothing, which is enough to see what reaches the image."""
    return TOY.network(Run(kind, seed), 1)


def test_the_command_trains_measures_and_reports(done):
    out, text = done
    runs = out / "runs"
    assert sorted(path.stem for path in runs.glob("*.json")) == NAMES
    assert sorted(path.stem for path in runs.glob("*.png")) == sorted(
        [*NAMES, *(f"{n}-edits" for n in NAMES)]
    )
    assert Swwae.load(runs / "switches-0.safetensors").unpooling == "switches"
    assert "Given the features of one image and all switches of another" in text
    assert "Left out: 80 of 96 pixels a side" in text
    row = json.loads((runs / "switches-0.json").read_text())
    assert list(row["pairs"]) == ["folder", "light", "nothing", "flip"]
    assert list(row["pairs"]["light"]) == ["none", "2", "1", "1,2", "half"]
    assert list(row["edits"]) == [
        "unedited", "rebuilt", "pixels", "own", "true", "first:none", "first:2", "first:1", "another:none",
        "another:2", "another:1", "target:none", "target:2", "target:1",
    ]  # fmt: skip
    assert len(row["edits"]["own"]["way"]) == 2
    # Without switches none can be exchanged.
    row = json.loads((runs / "fixed-0.json").read_text())
    assert (list(row["pairs"]["light"]), list(row["edits"])) == (
        ["none", "half"],
        ["unedited", "rebuilt", "pixels", "own"],
    )
    page = (out / "transplant.html").read_text()
    assert page.count("data:image/png") == 6
    assert "6 images whose names say no direction of light" in page
    assert "light by arithmetic, another person's in the new light" in (out.parent / "t.csv").read_text()
    assert json.loads((out / "verdict.json").read_text())["study"] == "transplant"


@pytest.mark.usefixtures("one_thread")
def test_it_goes_on_where_it_was_and_nothing_is_done_twice(done, faces, monkeypatch):
    out, _ = done
    kept = (out / "runs" / "switches-0.json").read_text()
    (out / "runs" / "switches-0.json").unlink()
    run, names = transplant.run_network, []
    monkeypatch.setattr(
        transplant,
        "run_network",
        lambda settings, one, *more: names.append(one.name) or run(settings, one, *more),
    )
    study = transplant.study_transplant(faces, out, size="toy")
    assert names == ["switches-0"]
    assert report_of(study).verdict.missing == ()
    again, before = json.loads((out / "runs" / "switches-0.json").read_text()), json.loads(kept)
    for row in (again, before):
        del row["seconds"]
    assert again == before


@pytest.mark.usefixtures("one_thread")
def test_a_stopped_study_keeps_what_is_done(tmp_path, faces, monkeypatch):
    def interrupted(settings, run, *more):
        if run.kind == "fixed":
            os.kill(os.getpid(), signal.SIGINT)
            return None
        return real(settings, run, *more)

    real = transplant.run_network
    monkeypatch.setattr(transplant, "run_network", interrupted)
    with pytest.raises(Stopped, match="1 of 3 networks are kept"):
        transplant.study_transplant(faces, tmp_path / "study", size="toy", pairs=2, steps=1)


def test_what_cannot_be_is_refused(done, faces, tmp_path):
    out, _ = done
    start = ("study", "transplant", "--toy", "--data")
    refuse("holds runs with --steps 3, not 4", *start, faces, "--steps", 4, "--out", out)
    refuse("has images in 0 folders", *start, faces / "yaleB01", "--out", tmp_path / "a")
    refuse("expected no fully connected layer", *start, faces, "--layout", "(4)3c-2p-10fc", "--out", out)
    refuse("too small for", *start, faces, "--layout", "(4)3c-9p-(4)3c-9p", "--out", tmp_path / "a")
    refuse("give one of them", *start, faces, "--full", "--out", tmp_path / "a")
    few = write_faces(tmp_path / "few", lit=False)
    for path in sorted((few / "yaleB01").glob("*.pgm"))[1:]:
        path.unlink()
    with pytest.raises(FormatError, match="yaleB01 has 1 image: expected at least 2"):
        read_parts(few, TOY)


def test_people_are_held_apart_and_lights_read_from_names(faces, parts):
    assert set(parts.trained.folders.tolist()) == {0, 1, 3, 4}
    assert set(parts.tested.folders.tolist()) == {2, 5}
    assert (len(parts.trained), len(parts.tested), parts.ignored) == (20, 10, 6)
    assert set(parts.tested.lights) == set(LIGHTS)
    assert parts.tested.pixels.shape[1:] == (1, 16, 16)
    # What is no image is passed over, and counted.
    assert survey(faces).ignored == ((".bad", 6), (".info", 6))
    assert light_of("yaleB01/yaleB01_P00A-005E-10.pgm") == "-005E-10"
    assert light_of("yaleB01_P00_Ambient.pgm") == light_of("1.pgm") == ""
    # However few are taken, those that are edited are among them.
    few = read_parts(faces, replace(TOY, each=4))
    assert set(few.tested.lights) == {"+000E+00", "+050E+00", "-050E+00", "+000E+45"}


def test_without_lights_there_are_pairs_but_no_edits(tmp_path):
    parts = read_parts(write_faces(tmp_path / "faces", lit=False), TOY)
    assert parts.tested.lights == ()
    assert list(scenes(parts)) == []
    assert len(draw_pairs(parts.tested, "folder", 5).what) == 5


def test_what_both_images_of_a_pair_have_in_common(parts):
    tested = parts.tested

    def about(pixels):
        same = [bool((pixels == other).all()) for other in tested.pixels]
        return int(tested.folders[same.index(True)]), tested.lights[same.index(True)]

    for common, folder, light in (("folder", True, False), ("light", False, True), ("nothing", False, False)):
        pairs = draw_pairs(tested, common, 12)
        found = [(about(a), about(b)) for a, b in zip(pairs.what, pairs.where, strict=True)]
        assert {(a[0] == b[0], a[1] == b[1]) for a, b in found} == {(folder, light)}
        # Both people in turn, and each of the ten images once: what is asked for beyond them is not there.
        assert (len(found), len({a for a, _ in found})) == (10, 10)
        assert [a[0] for a, _ in found[:4]] == [2, 5, 2, 5]
    flipped = draw_pairs(tested, "flip", 3)
    assert torch.equal(flipped.what.flip(-1), flipped.where)
    with pytest.raises(ValueError, match="has no partner: expected one of another folder in the"):
        draw_pairs(tested.part([0, 1, 2]), "light", 2)


def test_levels_are_replaced_from_either_end_and_alone():
    assert level_runs(3) == ((), (3,), (2, 3), (1,), (1, 2))
    assert level_sets(3) == ((), (3,), (2, 3), (1,), (1, 2), (1, 2, 3), (2,))


def test_switches_come_from_where_they_are_said_to(parts):
    network, pairs = network_of("switches"), draw_pairs(parts.tested, "nothing", 3)
    found = transplants(network, pairs)
    one, other = see(network, pairs.what), see(network, pairs.where)
    same = {"atol": 1e-5, "rtol": 0}
    torch.testing.assert_close(found["none"], rebuild(network, one), **same)
    torch.testing.assert_close(found["1"], draw(network, one.what, (other.where[0], one.where[1])), **same)
    torch.testing.assert_close(found["1,2"], draw(network, one.what, other.where), **same)
    # Features that were the other's would make the other's image of that.
    both = transplants(network, Pairs(pairs.where, pairs.where))
    torch.testing.assert_close(both["none"], rebuild(network, other), **same)
    assert not torch.allclose(found["1,2"], both["none"], atol=1e-3)
    taken = measure_pairs(network, pairs)
    assert taken["none"].way == pytest.approx((0, 0, 0), abs=1e-5)
    assert taken["1,2"].way != pytest.approx((0, 0, 0), abs=1e-2)
    image = to_float(pairs.where)
    error = (found["1"] - image).square().mean((1, 2, 3))
    assert taken["1"].to_where == pytest.approx(error.tolist(), abs=1e-4)
    # Of 4 x 8 x 8 and 6 x 4 x 4.
    assert shares(network) == (256 / 352, 96 / 352)


@pytest.mark.parametrize("kind", ["fixed", "average"])
def test_no_switch_reaches_the_image_of_a_control(parts, kind):
    network, pixels = network_of(kind), parts.tested.pixels[:2]
    assert set(transplants(network, Pairs(pixels, pixels))) == {"none", HALF}
    with network.measuring():
        seen = network.encoder(network.normalise(to_float(pixels)))
        own, bare = (network.decoder(seen.what, where, check=False).image for where in (seen.where, None))
    assert torch.equal(own, bare)


def test_the_network_without_switches_pools_averages(parts):
    network = network_of("average")
    images = network.normalise(to_float(parts.tested.pixels))
    with network.measuring():
        plane = network.encoder.layers[0](images)
        pooled = network.encoder(images).planes[0]
    torch.testing.assert_close(pooled, F.avg_pool2d(plane, 2), atol=1e-4, rtol=1e-4)


def test_how_far_on_the_way_and_how_far_aside():
    start, goal = torch.zeros(4, 1, 2, 2), torch.zeros(4, 1, 2, 2)
    goal[:, 0, 0, 0] = 2.0
    drawn = start.clone()
    drawn[1], drawn[2] = goal[1], 0.5 * goal[2]
    drawn[3, 0, 0, 0], drawn[3, 0, 1, 1] = -1.0, 3.0
    way, aside = along(drawn, start, goal)
    assert way.tolist() == [0, 1, 0.5, -0.5]
    assert aside.tolist() == [0, 0, 0, 1.5]


def test_light_is_moved_by_the_mean_difference_of_others(parts):
    network, scene = network_of("switches"), next(iter(scenes(parts)))
    found = edits(network, scene)
    before, after = see(network, scene.before), see(network, scene.after)
    ours, theirs = (see(network, pixels) for pixels in scene.others)
    edited = before.what + (theirs.what - ours.what).mean(0)
    same = {"atol": 1e-5, "rtol": 0}
    torch.testing.assert_close(found[OWN], draw(network, edited, before.where), **same)
    torch.testing.assert_close(found["target:none"], draw(network, edited, after.where), **same)
    mixed = (before.where[0], theirs.where[1][:2])
    torch.testing.assert_close(found["another:1"], draw(network, edited, mixed), **same)
    first = [torch.zeros_like(codes) for codes in before.where]
    torch.testing.assert_close(found["first:2"], draw(network, edited, (first[0], before.where[1])), **same)
    torch.testing.assert_close(found["true"], draw(network, after.what, before.where), **same)
    assert len(scene.others[0]) == 4
    # Nothing is moved between one light and itself.
    still = edits(network, Scene(scene.before, scene.before, (scene.others[0], scene.others[0])))
    torch.testing.assert_close(still[OWN], still[UNEDITED], **same)
    torch.testing.assert_close(still[PIXELS], to_float(scene.before), **same)
    torch.testing.assert_close(found[REBUILT], rebuild(network, after), **same)


def test_rows_are_kept_and_read(done):
    out, _ = done
    row = transplant.Rows(out, "transplant", kept_settings(out), NetworkRow).get("switches-0")
    assert row.shares == (256 / 352, 96 / 352)
    assert len(row.pairs["flip"]["1,2"].way) == TOY.pairs


def kept_settings(out):
    found = json.loads((out / "study.json").read_text())["settings"]
    return replace(TOY, data=found["data"])
