"""What is concluded from an audit, and what is withheld."""

import json
from dataclasses import replace

import pytest
from specimens import convolutions, photographs, small_result

from maxtunnel.auditing import AuditConfig, Conclusions, audit, write_report
from maxtunnel.auditing.conclusions import readable_minutes
from maxtunnel.auditing.controls import too_short
from maxtunnel.auditing.ledger import EVERY_LEVEL, known_by

pytestmark = pytest.mark.usefixtures("one_thread")


def explaining(row, share):
    """The row, had it explained so much of the variance, give or take 0.01."""
    return replace(row, explained=share, explained_ci95=(share - 0.01, share + 0.01))


def changed(rows=None, steps=None, falling=(), **fields):
    """The small audit, had some rows explained other shares, or some decoders had other steps."""
    result = small_result()
    found = {key: explaining(row, (rows or {}).get(key, row.explained)) if key in (rows or {}) else row
             for key, row in result.rows.items()}  # fmt: skip
    decoders = tuple(
        replace(
            training,
            steps=(steps or {}).get(training.name, training.steps),
            still_falling=training.name in falling,
        )
        for training in result.decoders
    )
    return replace(result, rows=found, decoders=decoders, **fields)


def withheld(**changes):
    return Conclusions(changed(**changes)).withheld


def test_nothing_is_withheld_from_a_sound_audit():
    assert withheld() == {}
    assert "This is a lower bound of the leak" in Conclusions(changed()).verdict


def test_a_short_training_is_named_as_a_sentence_takes_it():
    for name, subject in (("levels", "levels"), ("known switches, strong", "known switches, strong,")):
        training = replace(small_result().decoders[0], name=name, steps=12)
        assert too_short([name], [training], 30)[0].startswith(f"the decoder of {subject} had 12 steps, and")


def test_decoders_that_hardly_began_conclude_nothing(tmp_path):
    result = changed(steps=dict.fromkeys((training.name for training in small_result().decoders), 12))
    conclusions = Conclusions(result)
    assert set(conclusions.withheld) == {"verdict", "shares", "levels"}
    assert "had 12 steps, and with fewer than 30" in conclusions.verdict
    assert "Give at least 240 steps" in conclusions.verdict
    page = write_report(result, tmp_path).read_text()
    content = json.loads((tmp_path / "audit.json").read_text())
    assert content["shares"] is None
    assert [level["alone"] for level in content["levels"]] == [None, None]
    assert content["withheld"]["shares"]
    assert "account for" not in page
    assert "The shares are withheld" in page
    assert "The levels are withheld" in page
    assert f"{result.levels[0].alone.rmse:.4f}" not in page


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("random switches", {"verdict"}),
        ("features only", {"shares"}),
        ("levels, one decoder for all", {"levels"}),
        ("switches of an untrained copy", set()),
    ],
)
def test_only_what_rests_on_a_decoder_is_withheld_with_it(name, parts):
    assert set(withheld(steps={name: 29})) == parts
    assert set(withheld(steps={name: 30})) == set()


def test_a_control_that_knows_too_much_withholds_all():
    assert set(withheld(rows={"random": 0.2})) == {"verdict", "shares", "levels"}
    # Less than that is noise.
    assert withheld(rows={"random": 0.02}) == {}


def bare():
    """Without levels' and mitigations' rows, which read the switches too."""
    return {"mitigations": (), "levels": ()}


@pytest.mark.parametrize("key", ["untrained", "what"])
def test_a_short_decoder_that_reads_more_withholds_the_verdict_of_one_that_is_not_done(key):
    rows = {"known": 0.3, "where": 0.2, key: 0.48}
    assert "verdict" in withheld(rows=rows, falling=(known_by("mirrored").name,), **bare())
    # An untrained model may give away more, where the decoder of the trained one's switches has learned.
    assert "verdict" not in withheld(rows=rows, **bare())
    # One that rebuilt nothing has not shown that there is nothing.
    reasons = withheld(rows=rows | {"known": 0.0, "where": 0.0}, **bare())["verdict"]
    assert any("explains 48%" in reason for reason in reasons)


def test_nothing_found_is_a_lower_bound():
    rows = {"known": 0.0, "where": 0.0, "what": 0.0, "untrained": 0.0}
    text = Conclusions(changed(rows=rows, **bare())).verdict
    assert text.startswith("Nothing recognisable was rebuilt")
    assert "lower bound of the leak" in text


def test_the_verdict_takes_the_best_reader_of_the_switches():
    result = changed(rows={"known": 0.14, "where": 0.33, "what": 0.9, "both": 0.95}, **bare())
    best = Conclusions(result).best
    assert best.name == "switches only"
    assert "33% of the pixels' variance" in Conclusions(result).verdict
    rows_only = replace(
        small_result().mitigations[2], leak=explaining(small_result().mitigations[2].leak, 0.38)
    )
    result = replace(result, mitigations=(rows_only,))
    assert Conclusions(result).best.name == "rows only"
    # A decoder with too few steps is no reader.
    short = tuple(
        replace(training, steps=5) if training.name == "rows only" else training
        for training in result.decoders
    )
    assert Conclusions(replace(result, decoders=short)).best.name == "switches only"


def test_shares_need_a_decoder_of_both_that_reads_as_much_as_one():
    assert "shares" in withheld(rows={"both": 0.2, "where": 0.3, "what": 0.1})
    assert "shares" not in withheld(rows={"both": 0.3, "where": 0.3, "what": 0.1})


def test_levels_that_hide_one_another_are_withheld():
    first, second = small_result().levels
    hidden = (
        replace(first, from_deepest=explaining(first.from_deepest, 0.1)),
        replace(second, alone=explaining(second.alone, 0.5)),
    )
    assert "all levels together 10%" in withheld(levels=hidden)["levels"][0]


def test_a_row_of_more_switches_that_says_less_than_one_of_fewer_is_withheld(tmp_path):
    first, second = small_result().levels
    result = changed(levels=(replace(first, surpassed_by="5 alone"), second))
    conclusions = Conclusions(result)
    assert conclusions.withheld == {}
    (warning,) = [text for text in conclusions.warnings() if text.startswith("not enough steps to say")]
    assert "what 2 gives away with all coarser levels: less was read of them than of 5 alone" in warning
    write_report(result, tmp_path)
    levels = json.loads((tmp_path / "audit.json").read_text())["levels"]
    assert [level["from_deepest"] is None for level in levels] == [True, False]
    assert [level["surpassed_by"] for level in levels] == ["5 alone", ""]


def test_a_single_level_needs_no_decoder_of_levels():
    config = AuditConfig(steps=8, images=8, width=4, least_steps=2, decoder="strong")
    found = audit(convolutions(2), photographs(16), holdout=photographs(8), config=config)
    assert EVERY_LEVEL not in [training.name for training in found.decoders]
    (level,) = found.levels
    assert level.alone.rmse == level.from_deepest.rmse == found.rows["known"].rmse
    assert level.alone.decoder == known_by("strong").name
    assert not any(EVERY_LEVEL in reason for reason in Conclusions(found).withheld.get("levels", ()))


def test_levels_that_were_withheld_from_the_observer_are_told(tmp_path):
    config = AuditConfig(steps=8, images=8, width=4, least_steps=2, levels=(2,), decoder="mirrored")
    found = audit(convolutions(2, 2, 2), photographs(16), holdout=photographs(8), config=config)
    assert found.record.observed == (2,)
    assert found.record.withheld == ("1 (2)", "3 (8)")
    text = Conclusions(found).verdict
    assert text.startswith("The observer was given level 2 only, not 1 (2), 3 (8)")
    page = write_report(found, tmp_path).read_text()
    assert "a part of the levels only" in page
    content = json.loads((tmp_path / "audit.json").read_text())
    assert content["config"]["levels"] == [2]
    assert content["record"]["withheld"] == ["1 (2)", "3 (8)"]


def test_minutes_are_rounded_up():
    assert [readable_minutes(m) for m in (0.05, 0.9, 3.1, 119.5, 121.0)] == [
        "10 seconds", "60 seconds", "4 minutes", "120 minutes", "2.5 hours"
    ]  # fmt: skip
