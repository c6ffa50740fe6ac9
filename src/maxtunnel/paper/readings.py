"""What each reader of the switches says to a claim, and what both together say of the switches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maxtunnel.support.choices import DecoderKind

READERS: tuple[DecoderKind, ...] = ("mirrored", "strong")
# What people are told of each kind.
DECODERS: Mapping[DecoderKind, str] = {"mirrored": "the paper's decoder", "strong": "the strong decoder"}
SHORT: Mapping[DecoderKind, str] = {"mirrored": "paper's", "strong": "strong"}  # in a table
NO_STRONG = "There is no strong decoder here that it could be asked of."


@dataclass(frozen=True)
class Item:
    """What a reader says to a claim about one network, or one comparison of networks.

    Attributes:
        holds: None where its numbers do not decide.
        over_draws: whether it holds over draws of the encoder, or for the one that was drawn.
        effect: how large the effect is that the claim is about; None where no single number says it.
        switches: which ones were read. Where it does not hold over draws, two readers can be compared only
            if they read the same ones.
    """

    holds: bool | None
    over_draws: bool = False
    effect: float | None = None
    switches: str = ""


@dataclass(frozen=True)
class Reading:
    """What a reader says to a claim.

    Attributes:
        reader: the kind of decoder; None where a question is about both together.
        verdict: the answer in a word or a few.
        answer: sentences with the decisive numbers, or why there are none.
        items: by the name of what was asked; empty where the claim could not be put to the reader.
    """

    reader: DecoderKind | None
    verdict: str
    answer: str
    items: Mapping[str, Item]


@dataclass(frozen=True)
class Outcome:
    """Whether a claim is about the switches, or about the decoder that the paper read them with.

    Attributes:
        verdict: in a few words.
        reason: what it rests on, or why it is undecided.
    """

    verdict: str
    reason: str


BOTH = "Holds for both readers"
PAPERS = "Only for the paper's decoder"
STRONGS = "Only for the strong decoder"
NEITHER = "Holds for neither reader"
UNDECIDED = "Undecided"
# By what the paper's decoder and the strong one say.
_OUTCOMES: Mapping[tuple[bool | None, bool | None], str] = {
    (True, True): BOTH,
    (True, False): PAPERS,
    (False, True): STRONGS,
    (False, False): NEITHER,
}


def judge(readings: Sequence[Reading]) -> Outcome:
    """The outcome for a claim that was put to the paper's decoder and to the strong one.

    Only what both were asked counts, and of that only what both decide; comparisons over draws of the
    encoder come before those of one draw. Where networks disagree, the claim is undecided.
    """
    mirrored, strong = readings
    shared = _asked_of_both(mirrored, strong)
    if not shared:
        silent = next((reading for reading in readings if not reading.items), None)
        if silent is None:
            return Outcome(
                UNDECIDED, "Nothing was put to both readers in the same way and of the same switches."
            )
        return Outcome(UNDECIDED, silent.answer)
    said = {name: (mirrored.items[name].holds, strong.items[name].holds) for name in shared}
    decided = {name: pair for name, pair in said.items() if None not in pair}
    over_draws = mirrored.items[shared[0]].over_draws
    draws = "Over draws of the encoder" if over_draws else "For the one encoder that was drawn of each"
    if not decided:
        return Outcome(UNDECIDED, f"{draws}, no number decides for both readers: {', '.join(shared)}.")
    verdicts = {_OUTCOMES[pair] for pair in decided.values()}
    if len(verdicts) > 1:
        each = "; ".join(f"{name}: {_OUTCOMES[pair].lower()}" for name, pair in decided.items())
        return Outcome(UNDECIDED, f"{draws}, networks differ. {each}.")
    open_ones = f" ({len(shared) - len(decided)} more undecided)" if len(decided) < len(shared) else ""
    left = _what_is_left(mirrored, strong, list(decided))
    return Outcome(verdicts.pop(), f"{draws}: {', '.join(decided)}{open_ones}.{left}")


def _alike(one: Item, other: Item) -> bool:
    if one.over_draws or other.over_draws:
        return one.over_draws and other.over_draws
    return one.switches == other.switches


def _what_is_left(mirrored: Reading, strong: Reading, names: Sequence[str]) -> str:
    """How large the effect is for each reader: what holds for both may hold for one much less."""
    effects = [(name, mirrored.items[name].effect, strong.items[name].effect) for name in names]
    said = [
        f"{name}: {one:.4f} and {other:.4f}"
        for name, one, other in effects
        if one is not None and other is not None
    ]
    return f" How large, for the paper's decoder and for the strong one: {'; '.join(said)}." if said else ""


def _asked_of_both(mirrored: Reading, strong: Reading) -> list[str]:
    """What both were asked in the same way; over draws of the encoder, if anything was."""
    shared = [
        name
        for name, item in mirrored.items.items()
        if name in strong.items and _alike(item, strong.items[name])
    ]
    over_draws = [name for name in shared if mirrored.items[name].over_draws]
    return over_draws or shared


SUMMARY = (
    "Each claim was put to the paper's decoder and to a strong one, which read the same switches. What holds "
    "for both is a fact about the switches, as far as two readers can tell; what holds only for the paper's "
    "decoder is a fact about that decoder. What counts is what both were asked of the same switches, or "
    "over draws of the encoder, and what both decide. What a reader explains is a lower bound of what "
    "switches give away."
)


def summarise(
    claims: Sequence[tuple[str, Sequence[Reading]]],
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and rows of the table of outcomes.

    Args:
        claims: the statement and the readings of each; those without a statement are left out.
    """
    rows = []
    for statement, readings in claims:
        if statement:
            outcome = judge(readings)
            said = (_counted(reading) for reading in readings)
            rows.append((statement, *said, outcome.verdict, outcome.reason))
    return ("conclusion", *DECODERS.values(), "outcome", "because"), rows


def _counted(reading: Reading) -> str:
    """In how many of the cases that were put to a reader the claim holds."""
    if not reading.items:
        return reading.verdict
    held = sum(item.holds is True for item in reading.items.values())
    return f"holds in {held} of {len(reading.items)}"
