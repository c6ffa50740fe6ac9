"""What the rows of `study contours` say: measures with intervals, differences, and a verdict."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from maxtunnel.evaluation.contour_intervals import DRAWS, Resampled, resample
from maxtunnel.evaluation.intervals import Interval
from maxtunnel.studies import dense_verdicts
from maxtunnel.studies.contours import STUDY, ContourStudy
from maxtunnel.studies.contours_reading import BRIGHTNESS, DRAWN, DRAWN_UNTRAINED, ELSEWHERE, RANDOM, WAYS
from maxtunnel.studies.seeds import Value, estimate
from maxtunnel.studies.verdicts import Verdict

KNOWN, FIXED, BILINEAR, ALONE = "switches-known", "fixed-known", "bilinear-known", "alone-constant"
UNTRAINED, READ_FIXED, READ_OTHER = "untrained-constant", "switches-fixed", "switches-other"
READ_MEAN = "switches-constant"
UNTRAINED_WAYS = (DRAWN, DRAWN_UNTRAINED, BRIGHTNESS, ELSEWHERE)
# CEDN fine-tuned on BSDS500, on its 200 test photographs.
PUBLISHED = {"ODS": 0.788, "OIS": 0.804}
SOURCE = "Yang, Price, Cohen, Lee, Yang 2016, arXiv 1603.04530: fine-tuned on BSDS500"
PEOPLE_ODS = 0.80  # of people against each other (Arbelaez et al. 2011)
Answer = Literal[dense_verdicts.Answer, "withheld"]
QUOTE = (
    "It explains why reconstruction of the image with max unpooling for semantic segmentation works so well: "
    "The spatial information can be extracted completely from the max switch locations."
)
QUESTION = (
    "CEDN draws the contours of objects with a decoder that unpools by switches. What do its contours owe to "
    "them? Networks of its layers are trained with the switches of the photograph, with fixed ones, and with "
    "interpolation in unpooling’s place; a decoder is trained on switches alone; and the first network is "
    "read with other switches, or without features."
)


@dataclass(frozen=True)
class Measured:
    """One way of drawing contours.

    Attributes:
        way: its key in `WAYS`.
        seeds: networks, whose measures are averaged.
        ods, ois, average_precision: the measures.
        intervals: of these three.
        less: how much less its ODS is than that of known switches.
    """

    way: str
    seeds: int
    ods: float
    ois: float
    average_precision: float
    intervals: tuple[Interval, Interval, Interval]
    less: Value | None


class Findings:
    """What the rows come to.

    Args:
        study: whose rows count.
    """

    def __init__(self, study: ContourStudy) -> None:
        self.study = study
        rows = {way: [row for row in study.rows if way in row.counts] for way in WAYS}
        self._rows = {way: some for way, some in rows.items() if some}
        self._places = {way: place for place, way in enumerate(self._rows)}

    @cached_property
    def _drawn(self) -> Resampled:
        """All ways, the same photographs drawn for all."""
        return resample([[row.of(way) for row in some] for way, some in self._rows.items()], DRAWS)

    @cached_property
    def ways(self) -> tuple[Measured, ...]:
        """Every way that there is a row of, in the order of tables."""
        return tuple(self._measured(way) for way in self._rows)

    def _measured(self, way: str) -> Measured:
        place = self._places[way]
        ods, ois, average_precision = self._drawn.values[place].tolist()
        ends = [self._drawn.interval(place, measure) for measure in range(3)]
        less = None if way == KNOWN else self.difference(KNOWN, way)
        return Measured(
            way, len(self._rows[way]), ods, ois, average_precision, (ends[0], ends[1], ends[2]), less
        )

    def of(self, way: str) -> Measured | None:
        """A way; None where there is no row of it."""
        return self._measured(way) if way in self._rows else None

    def seeds_of(self, way: str) -> dict[int, float]:
        """The ODS of each network, by its seed."""
        return dict(self._each.get(way, {}))

    @cached_property
    def _each(self) -> dict[str, dict[int, float]]:
        return {
            way: {row.seed: float(resample([[row.of(way)]], draws=1).values[0, 0]) for row in some}
            for way, some in self._rows.items()
        }

    def _by_seed(self, *ways: str) -> list[tuple[float, ...]]:
        """The ODS of several ways with the networks of a seed; what takes no network is the same for all."""
        found = [self._each[way] for way in ways]
        trained = [each for way, each in zip(ways, found, strict=True) if way != BRIGHTNESS]
        seeds = sorted(set.intersection(*map(set, trained)))
        return [tuple(each.get(seed, next(iter(each.values()))) for each in found) for seed in seeds]

    def difference(self, first: str, second: str) -> Value | None:
        """ODS of the first way less that of the second, on the same photographs; None without both.

        Trainings are compared seed by seed.
        """
        if not {first, second} <= self._rows.keys():
            return None
        value, images = self._drawn.difference(self._places[first], self._places[second])
        return Value(value, images, estimate([one - other for one, other in self._by_seed(first, second)]))

    @property
    def learnt(self) -> bool:
        """Whether known switches are surely better than brightness alone, as far as that was measured."""
        more = self.difference(KNOWN, BRIGHTNESS)
        return more is None or more.more is True

    @cached_property
    def without(self) -> str | None:
        """The better one, by ODS, of those trained without switches; None where one is missing."""
        ways = [self.of(FIXED), self.of(BILINEAR)]
        there = [each for each in ways if each is not None]
        return None if len(there) < len(ways) else max(there, key=lambda each: each.ods).way

    def share(self, way: str) -> Value | None:
        """How far a way comes from another photograph's contours, 0, to known switches, 1; by ODS.

        None without these ways, or where known switches are no better than another photograph's contours, or
        than brightness alone.
        """
        gain = self.difference(KNOWN, ELSEWHERE)
        if gain is None or way not in self._rows or not (self.learnt and gain.more):
            return None
        places = self._places
        value, images = self._drawn.share(places[way], places[ELSEWHERE], places[KNOWN])
        each = self._by_seed(way, ELSEWHERE, KNOWN)
        return Value(value, images, estimate([(way - none) / (whole - none) for way, none, whole in each]))


def because(found: Findings) -> Answer:
    """Whether contours are drawn so well because of the switches (`dense_verdicts`).

    Withheld where known switches are not surely better than the photograph's brightness, which takes no
    network: what has not learnt to draw contours says nothing of what they owe to switches.
    """
    if not found.learnt:
        return "withheld"
    gains = [found.difference(KNOWN, way) for way in (FIXED, BILINEAR)]
    told = [None if each is None else each.more for each in gains]
    return dense_verdicts.because(told, None if found.without is None else found.share(found.without))


def completely(found: Findings) -> Answer:
    """Whether all that is spatial can be had from the switches; withheld as `because` is."""
    return dense_verdicts.completely(found.share(ALONE)) if found.learnt else "withheld"


_MEANING: dict[Answer, str] = {
    "supported": "Contours are drawn so well because of the switches",
    "supported in part": (
        "Switches help, but more than half of that is reached without any: they are not why contours are "
        "drawn so well"
    ),
    "contradicted": "Contours are drawn as well, or nearly so, without switches",
    "open": "These runs leave open whether contours are drawn so well because of the switches",
    "withheld": (
        "These networks are not seen to draw contours better than the gradient of the brightness does, which "
        "takes no network, so what they owe to switches is not judged"
    ),
}
_ALONE: dict[Answer, str] = {
    "supported": ": nearly all that is needed can be had from them",
    "supported in part": ": a part of what is needed can be had from them, not all",
    "contradicted": ": nothing of it can be had from them",
    "open": ": how much can be had from them is left open",
    "withheld": "",
}


def verdict_of(study: ContourStudy, found: Findings) -> Verdict:
    """What the study comes to."""
    return Verdict(
        study=STUDY,
        title="Contours through unpooling: what comes through the switches?",
        question=QUESTION,
        quote=QUOTE,
        answers=_answers(found),
        sentences=tuple(_sentences(found)),
        left_out=study.left_out,
        missing=study.missing,
        facts=study.facts,
    )


def _answers(found: Findings) -> dict[str, str]:
    words = {True: "help", False: "do harm", None: "not told apart"}
    told: dict[str, str] = {
        "works so well because of the switches": because(found),
        "all that is spatial is in the switches": completely(found),
    }
    for case, way in (("known switches, against fixed ones", FIXED), ("against interpolation", BILINEAR)):
        difference = found.difference(KNOWN, way)
        if difference is not None:
            told[case] = words[difference.more]
    share = found.share(ALONE)
    if share is not None:
        told["switches alone"] = f"{share.mean:.0%} of the way"
    return told


def _sentences(found: Findings) -> list[str]:
    known = found.of(KNOWN)
    if known is None:
        return ["Nothing was compared: the network with known switches is needed."]
    told = [f"{_MEANING[because(found)]}: {_against(found, known)}."]
    told += _without_features(found) + _misread(found) + _without_training(found)
    return told


def _against(found: Findings, known: Measured) -> str:
    parts = [f"with known switches the ODS is {known.ods:.3f}"]
    for way, name in ((FIXED, "fixed ones"), (BILINEAR, "interpolation in unpooling’s place")):
        other, less = found.of(way), found.difference(KNOWN, way)
        if other is not None and less is not None:
            parts.append(f"with {name} {other.ods:.3f} (difference {_span(less)})")
    share = None if found.without is None else found.share(found.without)
    if share is not None:
        parts.append(f"so that the better of these comes {_way(share)}")
    return ", ".join(parts)


def _without_features(found: Findings) -> list[str]:
    told = []
    for way, name in ((ALONE, "that encoder’s switches alone"), (UNTRAINED, "an untrained encoder’s alone")):
        measured, share = found.of(way), found.share(way)
        if measured is not None:
            part = "" if share is None else f", {_way(share)}"
            meaning = _ALONE[completely(found)] if way == ALONE else ""
            told.append(f"A decoder trained on {name} has {measured.ods:.3f}{part}{meaning}.")
    return told


def _misread(found: Findings) -> list[str]:
    names = {
        READ_FIXED: "fixed switches", READ_OTHER: "another photograph’s switches",
        RANDOM: "random switches", READ_MEAN: "its own switches and mean features",
    }  # fmt: skip
    parts = [f"{name} {measured.ods:.3f}" for way, name in names.items() if (measured := found.of(way))]
    elsewhere = found.of(ELSEWHERE)
    if not parts:
        return []
    chance = "" if elsewhere is None else (
        f" Another photograph’s contours, held against this one’s, have {elsewhere.ods:.3f}: what contours "
        "of the right kind at wrong places come to."
    )  # fmt: skip
    return [f"The network that was trained with known switches, given {', '.join(parts)}.{chance}"]


def _without_training(found: Findings) -> list[str]:
    drawn, blank, bright = (found.of(way) for way in (DRAWN, DRAWN_UNTRAINED, BRIGHTNESS))
    if drawn is None or blank is None or bright is None:
        return []
    return [
        f"Without any training, from where switches begin to differ: {drawn.ods:.3f} of the trained encoder, "
        f"{blank.ods:.3f} of an untrained one; from the photograph’s brightness alone {bright.ods:.3f}."
    ]


def _way(share: Value) -> str:
    low, high = share.span
    return (
        f"{share.mean:.0%} ({low:.0%} to {high:.0%}) of the way from another photograph’s contours to those "
        "of known switches"
    )


def _span(difference: Value) -> str:
    low, high = difference.span
    return f"{difference.mean:+.3f}, {low:+.3f} to {high:+.3f}"
