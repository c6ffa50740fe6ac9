"""What `study transplant` says of its numbers; each answer could have come out otherwise."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from maxtunnel.studies.transplant import TransplantStudy
from maxtunnel.studies.transplant_conclusions import (
    answers,
    arithmetic,
    came,
    gain,
    lead,
    moved,
    perfect,
    verdict,
)
from maxtunnel.studies.transplant_config import Grid, Settings, left_out, preset
from maxtunnel.studies.transplant_edits import FILLS, OWN, PIXELS, REBUILT, TRUE, UNEDITED, Edited
from maxtunnel.studies.transplant_page import report_of
from maxtunnel.studies.transplant_reading import HALF, Taken, level_runs, level_sets, name_of
from maxtunnel.studies.transplant_run import NetworkRow
from maxtunnel.studies.transplant_tables import tabulate
from maxtunnel.studies.verdicts import Verdict
from maxtunnel.support.records import from_json

SHIPPED = Path(__file__).parents[2] / "docs" / "studies" / "transplant-yale"
LEVELS = 2
SPREAD = (-0.01, 0.0, 0.0, 0.01)


def about(value):
    """Of four pairs, or people, that differ a little."""
    return tuple(value + each for each in SPREAD)


def taken(way, to_what=0.04, to_where=0.01):
    return Taken(about(way), (0.1,) * 4, (to_what,) * 4, (to_where,) * 4)


def edited(way, rmse):
    return Edited(about(way), (0.2,) * 4, tuple(value**2 for value in about(rmse)), (0.9,) * 4)


def row(kind, seed=0, way=0.8, half=0.3, own=0.2, rmse=0.2, lit=True):
    """A network whose pairs go so far with all switches, and whose edit arrives so far with its own."""
    known = kind == "switches"
    sets = level_sets(LEVELS) if known else ((),)
    names = {name_of(levels): taken(way * len(levels) / LEVELS) for levels in sets} | {HALF: taken(half)}
    commons = ("folder", "light", "nothing", "flip") if lit else ("folder", "nothing", "flip")
    edits = {UNEDITED: edited(0, 0.3), REBUILT: edited(1, 0.05), PIXELS: edited(0.8, 0.15)}
    edits[OWN] = edited(own, rmse)
    if known:
        edits[TRUE] = edited(0.3, 0.25)
        for fill in FILLS:
            edits |= {f"{fill}:{name_of(kept)}": edited(0.9, 0.1) for kept in level_runs(LEVELS)}
    return NetworkRow(
        kind, seed, 0.05, (0.75, 0.25) if known else (), dict.fromkeys(commons, names), edits if lit else {},
        (1.0, 2.0),
    )  # fmt: skip


def study(tmp_path, *rows, lit=True):
    settings, grid = preset("toy")
    return TransplantStudy(
        settings=settings,
        grid=replace(grid, seeds=2),
        rows=rows,
        missing=(),
        trained=20,
        tested=10,
        people=4,
        lit=lit,
        ignored=3,
        left_out=left_out(settings, grid),
        folder=tmp_path,
        facts={},
    )


@pytest.mark.parametrize(("way", "expected"), [(0.8, "supported"), (0.3, "contradicted"), (0.505, "open")])
def test_the_image_of_the_switches_comes_out_beyond_half_of_the_way(tmp_path, way, expected):
    found = answers(study(tmp_path, row("switches", way=way)))
    assert found["the image of the switches comes out: another person, another light"] == expected
    assert len(found) == 5


@pytest.mark.parametrize(("control", "expected"), [(0.6, "supported"), (0.1, "contradicted"), (0.2, "open")])
@pytest.mark.parametrize("lit", [True, False])
def test_an_edit_arrives_less_where_a_control_goes_further(tmp_path, control, expected, lit):
    known = row("switches", own=0.2, half=0.2, lit=lit)
    # Of people or pairs that differ otherwise than the network with switches has them.
    other = row("fixed", own=control, half=control, lit=lit)
    turned = replace(
        other,
        edits=other.edits and other.edits | {OWN: Edited(about(control)[::-1], *_rest(other.edits[OWN]))},
        pairs=other.pairs
        | {"folder": {HALF: Taken(about(control)[::-1], *_rest(other.pairs["folder"][HALF]))}},
    )
    found = answers(study(tmp_path, known, turned, lit=lit))
    assert found["an edit arrives less than with fixed switches"] == expected
    assert "an edit arrives less than with average pooling, no switches" not in found
    assert lead(study(tmp_path, known), "fixed") is None


def _rest(found):
    return [value for name, value in vars(found).items() if name != "way"]


@pytest.mark.parametrize(("rmse", "expected"), [(0.2, "contradicted"), (0.4, "supported")])
def test_an_edit_may_lead_away_from_its_goal(tmp_path, rmse, expected):
    found = answers(study(tmp_path, row("switches", rmse=rmse)))
    assert found["an edit through the original's switches is further from its goal than no edit"] == expected


def test_numbers_are_means_over_seeds_with_intervals_over_pairs(tmp_path):
    both = study(tmp_path, row("switches"), row("switches", seed=1, way=0.6))
    one = came(both, "switches", "nothing", "1,2")
    assert one.way.mean == pytest.approx(0.7)
    assert one.way.count == 4
    assert (one.to_what.mean, one.to_where.mean) == (pytest.approx(0.2), pytest.approx(0.1))
    # All four are nearer, and yet the next one may not be.
    assert (one.nearer.mean, one.nearer.deviation) == (1.0, 0.25)
    assert came(both, "fixed", "nothing", "none") is None
    assert moved(both, "switches", OWN).rmse.mean == pytest.approx(0.2)
    assert gain(both, "switches", OWN).mean == pytest.approx(0.1)
    assert moved(both, "average", OWN) is None


def test_notes_say_over_how_much_intervals_are(tmp_path):
    few = replace(study(tmp_path, row("switches")), tested=3)
    assert "of pairs over 3 pairs and of edits over 4 people, for these 2 networks" in report_of(few).notes[0]
    lone = replace(few, grid=replace(few.grid, seeds=1))
    assert "for this one network of each kind" in report_of(lone).notes[0]
    assert not any("No light was moved" in note for note in report_of(few).notes)
    unmoved = replace(few, rows=(replace(row("switches"), edits={}),))
    assert any("(+000E+00 to +050E+00, " in note for note in report_of(unmoved).notes)


def test_when_editing_is_safe(tmp_path):
    done = study(tmp_path, row("switches", way=0.4))
    found = list(perfect(done))
    assert [(kept.levels, kept.share) for kept in found] == [
        ("none", 0),
        ("2", 0.25),
        ("1", 0.75),
        ("all", 1),
    ]
    # What is left of the way to the original; it is nearer to the original all the same.
    assert [kept.way.mean for kept in found] == pytest.approx([1, 0.8, 0.8, 0.6])
    assert {kept.safe for kept in found} == {False}
    by_light = list(arithmetic(done, "another"))
    assert [kept.safe for kept in by_light] == [True, True, True, False]
    assert by_light[-1].way.mean == pytest.approx(0.2)
    half = study(tmp_path, row("switches", own=0.5))
    assert list(arithmetic(half, "first"))[-1].safe is None
    assert list(arithmetic(study(tmp_path, row("fixed")), "first")) == []
    assert list(perfect(study(tmp_path))) == []


def test_the_sentences_have_the_numbers(tmp_path):
    found = verdict(study(tmp_path, row("switches"), row("fixed", own=0.6), row("average", own=0.7)))
    assert found[0].startswith(
        "Given the features of one image and all switches of another, a network of known switches draws what "
        "lies so far on the way to the image of the switches: the same person, another light: 80% (79% to "
        "81%), 100% of the images nearer; another person"
    )
    assert "level 1, with 75% of the switches, 40% (39% to 41%)" in found[1]
    assert found[2].startswith(
        "The arithmetic of lights goes 20% (19% to 21%) of the way with the original's known switches and "
        "60% (59% to 61%) with fixed switches: further by 40% (40% to 40%) of the way"
    )
    assert found[3].endswith("arrives less through known switches is supported.")
    assert "known switches 0.200, unedited 0.300" in found[4]
    assert found[4].endswith("the same arithmetic on pixels 0.150.")
    assert "arrive by 20% (19% to 21%) through all" in found[5]


def test_nothing_is_answered_without_networks(tmp_path):
    assert answers(study(tmp_path)) == {}
    assert verdict(study(tmp_path)) == ["Nothing was measured: no network with known switches is done."]
    assert report_of(study(tmp_path)).verdict.answers == {}
    assert tabulate(study(tmp_path)) == []


def test_the_page_and_the_tables_have_it_all(tmp_path):
    rows = (row("switches"), row("fixed"), row("average"))
    report = report_of(study(tmp_path, *rows))
    for text in (
        "safe",
        "light by arithmetic, the first cell",
        "the mirror image: features half way",
        "[11]",
    ):
        assert text in report.page
    assert [len(table.rows) for table in report.tables] == [3, 4 * (3 + 3), 4 + 3 + 3 + 1, 4 + 3 * 4]
    unlit = report_of(study(tmp_path, row("switches", lit=False), row("fixed", lit=False), lit=False))
    assert "another image of the folder" in unlit.page
    assert "so there is no arithmetic of an attribute" in unlit.page


def test_the_rows_that_ship_say_what_their_verdict_says():
    settings = from_json(Settings, json.loads((SHIPPED / "study.json").read_text())["settings"])
    kept = from_json(Verdict, json.loads((SHIPPED / "verdict.json").read_text()))
    grid = Grid(seeds=2)
    paths = [SHIPPED / "runs" / f"{run.name}.json" for run in grid.runs()]
    done = TransplantStudy(
        settings=settings,
        grid=grid,
        rows=tuple(from_json(NetworkRow, json.loads(path.read_text())) for path in paths),
        missing=(),
        trained=1653,
        tested=761,
        people=12,
        lit=True,
        ignored=38,
        left_out=left_out(settings, grid),
        folder=SHIPPED,
        facts={},
    )
    found = report_of(done).verdict
    assert (found.answers, found.sentences) == (kept.answers, kept.sentences)
    assert found.left_out == kept.left_out


def test_what_is_left_out_follows_the_settings():
    whole, grid = preset("full")
    assert left_out(whole, grid) == ""
    assert left_out(replace(whole, side=48, each=20), Grid(("switches",), 1)) == (
        "48 of 96 pixels a side, images of a folder beyond 20, 2 of 3 seeds, fixed switches, average "
        "pooling, no switches"
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pairs", 1, "`pairs` is 1: expected at least 2"),
        ("each", 1, "expected at least 2 images of a folder"),
        ("learning_rate", 0.0, "`learning_rate` is 0.0: expected a number above 0"),
        ("layout", "(4)3c-2p-10fc", "no fully connected layer"),
    ],
)
def test_settings_out_of_range_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        replace(preset("toy")[0], **{name: value})
    assert isinstance(preset("full")[0], Settings)
