"""What two readers say becomes one outcome: of like with like, and of what both decide."""

import pytest

from maxtunnel.paper.readings import Item, Reading, judge, summarise


def reading(reader, **items):
    """A reading whose items hold, do not or are undecided; those in tuples are over draws of the encoder."""
    found = {name: Item(*value) if isinstance(value, tuple) else Item(value) for name, value in items.items()}
    return Reading(reader, "Yes", "An answer.", found)


@pytest.mark.parametrize(
    ("mirrored", "strong", "verdict"),
    [
        ({"a": True, "b": True}, {"a": True, "b": True}, "Holds for both readers"),
        ({"a": True, "b": True}, {"a": False, "b": False}, "Only for the paper's decoder"),
        ({"a": False}, {"a": False}, "Holds for neither reader"),
        ({"a": False}, {"a": True}, "Only for the strong decoder"),
        ({"a": True, "b": True}, {"a": True, "b": False}, "Undecided"),
        ({"a": True}, {"a": None}, "Undecided"),
        ({"a": None}, {"a": True}, "Undecided"),
        # What was asked of one reader alone, or decided by one alone, counts for nothing.
        ({"a": True, "b": False}, {"a": True}, "Holds for both readers"),
        ({"a": True, "b": None}, {"a": False, "b": True}, "Only for the paper's decoder"),
        ({"a": True}, {"b": True}, "Undecided"),
        # Draws of the encoder come before single ones, and are not held against single ones.
        ({"a": (True, True), "b": True}, {"a": (False, True), "b": True}, "Only for the paper's decoder"),
        ({"a": (True, True)}, {"a": True}, "Undecided"),
    ],
)
def test_outcomes(mirrored, strong, verdict):
    outcome = judge([reading("mirrored", **mirrored), reading("strong", **strong)])
    assert outcome.verdict == verdict
    assert outcome.reason.endswith(".")


def test_the_reason_names_what_it_rests_on():
    both = reading("mirrored", a=True, b=True, c=True), reading("strong", a=True, b=None, c=True)
    assert judge(both).reason == "For the one encoder that was drawn of each: a, c (1 more undecided)."
    silent = Reading("strong", "Not measured here", "There is none.", {})
    assert judge([reading("mirrored", a=True), silent]).reason == "There is none."


def test_an_outcome_says_how_much_is_left_of_what_holds_for_both():
    mirrored, strong = (
        Reading(reader, "Yes", "", {"a": Item(True, False, effect), "b": Item(None, False, 0.5)})
        for reader, effect in (("mirrored", 0.33), ("strong", 0.012))
    )
    reason = judge([mirrored, strong]).reason
    assert ": a (1 more undecided). How large, for the paper's decoder and for the strong one" in reason
    assert reason.endswith(": a: 0.3300 and 0.0120.")


def test_a_summary_has_claims_alone():
    readings = [reading("mirrored", a=True), reading("strong", a=True)]
    heads, rows = summarise([("It is so", readings), ("", [reading(None)])])
    assert [row[0] for row in rows] == ["It is so"]
    assert len(heads) == len(rows[0])
    assert rows[0][1:4] == ("holds in 1 of 1", "holds in 1 of 1", "Holds for both readers")
