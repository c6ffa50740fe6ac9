"""What the rows of `study recon-dec` say: what features and switches each carry, and a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from maxtunnel.evaluation.intervals import Interval, above, bootstrap, ratio_of_means
from maxtunnel.studies.recon_dec import ReconDecStudy
from maxtunnel.studies.recon_dec_config import AUTOENCODERS, GIVEN, MODES, READERS, Given
from maxtunnel.studies.recon_dec_depths import COARSE, DepthRow
from maxtunnel.studies.recon_dec_networks import NetworkRow
from maxtunnel.studies.seeds import Estimate, estimate, paired
from maxtunnel.support.choices import DecoderKind

# What Zhang et al.'s sentence comes to at one depth.
Answer = Literal["supported", "supported in part", "contradicted", "open", "withheld"]
ALMOST_ALL = 0.9  # of the variance
QUOTE = (
    "the intermediate activations of pretrained large-scale classification networks preserve almost all the "
    "information of input images except a portion of local spatial details."
)


@dataclass(frozen=True)
class Share:
    """A share of the variance, with its 95 % interval over photographs."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class Depth:
    """What features and switches carry at one depth, as far as one reader reads.

    Attributes:
        level, reader: see `DepthRun`.
        explained: by what the reader is given, the share of the pixels' variance that came through: 1 - MSE /
            MSE of the mean photograph.
        coarse: the same of photographs averaged over squares of 8 pixels: all but local detail.
        switches: their share of what both explain: the mean of what they add to nothing, and to the features
            (the Shapley value); the rest is the features'. None where both explain next to nothing.
        more: explained by switches alone less by features alone, photograph by photograph.
    """

    level: int
    reader: DecoderKind
    explained: dict[Given, Share]
    coarse: dict[Given, Share]
    switches: Share | None
    more: Share

    @property
    def answer(self) -> Answer:
        """What the sentence comes to here, from the features alone.

        A reader that explains next to nothing may not have learnt to read: it says nothing of the features.
        """
        nearly = above(self.coarse["features"].interval, ALMOST_ALL)
        more = above(self.more.interval)
        if nearly:
            return "supported"
        if nearly is None or more is None:
            return "open"
        if not above(self.explained["features"].interval, _LITTLE):
            return "withheld"
        return "contradicted" if more else "supported in part"


_LITTLE = 0.02  # of the variance: below it a reader has read next to nothing, and nothing is shared out


def depths(study: ReconDecStudy, reader: DecoderKind) -> tuple[Depth, ...]:
    """Every depth of which all three rows of a reader are there, finest first."""
    rows: dict[int, dict[Given, DepthRow]] = {}
    for row in study.depths:
        if row.reader == reader:
            rows.setdefault(row.level, {})[row.given] = row
    return tuple(
        _depth(level, reader, found, study.of_mean)
        for level, found in sorted(rows.items())
        if len(found) == len(GIVEN)
    )


def _depth(
    level: int,
    reader: DecoderKind,
    rows: dict[Given, DepthRow],
    of_mean: dict[str, tuple[float, ...]],
) -> Depth:
    errors = {given: _tensor(row.mse) for given, row in rows.items()}
    nothing = _tensor(of_mean["mse"])
    more = torch.stack([errors["features"] - errors["switches"], nothing])
    return Depth(
        level=level,
        reader=reader,
        explained={given: explained(row.mse, of_mean["mse"]) for given, row in rows.items()},
        coarse={given: explained(row.coarse, of_mean["coarse"]) for given, row in rows.items()},
        switches=_switches(nothing, errors),
        more=Share(*ratio_of_means(*more)),
    )


def explained(errors: Sequence[float], of_mean: Sequence[float]) -> Share:
    """1 - mean of errors / mean of those of the mean photograph."""
    ratio, (low, high) = ratio_of_means(_tensor(errors), _tensor(of_mean))
    return Share(1 - ratio, (1 - high, 1 - low))


def rmse(errors: Sequence[float]) -> Share:
    """The root of the mean, with its interval over photographs."""
    values = _tensor(errors)
    return Share(float(values.mean().sqrt()), bootstrap(values, lambda mean: mean.sqrt()))


def _switches(nothing: Float64[Tensor, " n"], errors: dict[Given, Tensor]) -> Share | None:
    """The switches' share of what both explain."""
    if 1 - errors["both"].mean() / nothing.mean() < _LITTLE:
        return None
    gained = ((nothing - errors["switches"]) + (errors["features"] - errors["both"])) / 2
    return Share(*ratio_of_means(gained, nothing - errors["both"]))


def _tensor(values: Sequence[float]) -> Float64[Tensor, " n"]:
    return torch.tensor(values, dtype=torch.float64)


def verdict(study: ReconDecStudy) -> list[str]:
    """What both parts of the study come to, in sentences."""
    told = [sentence for reader in reversed(READERS) for sentence in _tell_depths(study, reader)]
    return [*told, *_tell_networks(study)] or ["Nothing is there yet to conclude from."]


def _tell_depths(study: ReconDecStudy, reader: DecoderKind) -> list[str]:
    """What one kind of reader says of Zhang et al.'s sentence."""
    found = depths(study, reader)
    if not found:
        return []
    shares = "; ".join(
        f"at pool {each.level} {_percent(each, 'features')} by features, {_percent(each, 'switches')} by "
        f"switches, {_percent(each, 'both')} by both"
        for each in found
    )
    head = f"Read by a {READERS[reader]}, the share of the variance that is explained is: {shares}."
    return [head, " ".join(_tell_answers(found))]


def _percent(depth: Depth, given: Given) -> str:
    return f"{depth.explained[given].value:z.0%}"


_MEANING: dict[Answer, str] = {
    "supported": (
        f"features alone hold at least {ALMOST_ALL:.0%} of all but local detail (photographs averaged over "
        f"{COARSE}x{COARSE} pixels), as Zhang et al. say"
    ),
    "supported in part": (
        "features alone hold less than that as far as this reader reads, but more than the switches alone"
    ),
    "contradicted": (
        "features alone hold less than that as far as this reader reads, and the switches alone explain "
        "more: there a reconstruction with known switches does not show what the activations preserve, as "
        "the paper under reproduction objects"
    ),
    "open": "these photographs leave it open",
    "withheld": (
        "the reader of features explains next to nothing, and may not have learnt to read them, so the "
        "sentence is not judged"
    ),
}


def _tell_answers(found: Sequence[Depth]) -> list[str]:
    told = []
    for answer, meaning in _MEANING.items():
        levels = [str(each.level) for each in found if each.answer == answer]
        if levels:
            told.append(f"At pool {', '.join(levels)} {meaning}.")
    shared = [each for each in found if each.switches is not None]
    if shared:
        parts = ", ".join(
            f"{each.switches.value:.0%} at pool {each.level}" for each in shared if each.switches is not None
        )
        told.append(f"Of what both explain the switches account for {parts}.")
    return told


def kinds(study: ReconDecStudy) -> dict[str, tuple[NetworkRow, ...]]:
    """The networks that are there by kind, `classes` first."""
    found: dict[str, list[NetworkRow]] = {}
    for row in study.networks:
        found.setdefault(row.run.kind, []).append(row)
    return {kind: tuple(rows) for kind, rows in found.items()}


def against_classes(study: ReconDecStudy) -> dict[str, Estimate]:
    """The error of each kind of network less that of training on classes alone, paired by seed."""
    found = kinds(study)
    pairs = ((kind, rows, found.get("classes", ())) for kind, rows in found.items() if kind != "classes")
    return {kind: less for kind, first, second in pairs if (less := _difference(first, second)) is not None}


def known_against_fixed(study: ReconDecStudy) -> dict[str, Estimate]:
    """The error with a decoder of known switches less that with fixed ones, by mode, paired by seed."""
    found = kinds(study)
    known, fixed = AUTOENCODERS["switches"], AUTOENCODERS["fixed"]
    pairs = ((mode, found.get(f"{known} {mode}", ()), found.get(f"{fixed} {mode}", ())) for mode in MODES)
    return {mode: less for mode, first, second in pairs if (less := _difference(first, second)) is not None}


def _difference(first: Sequence[NetworkRow], second: Sequence[NetworkRow]) -> Estimate | None:
    """The error of the first kind less that of the second; None where they have no seed in common."""
    before = {row.seed: row.error for row in second}
    after = {row.seed: row.error for row in first if row.seed in before}
    if not after:
        return None
    return paired(list(after.values()), [before[seed] for seed in after], step=1 / first[0].images)


def top1(rows: Sequence[NetworkRow]) -> Estimate:
    """The share of right first answers of one kind of network, over seeds."""
    return estimate([1 - row.error for row in rows], step=1 / rows[0].images)


def less(difference: Estimate) -> bool | None:
    """Whether the first one errs less; None where these runs do not tell."""
    higher = None if difference.interval is None else above(difference.interval)
    return None if higher is None else not higher


def _tell_networks(study: ReconDecStudy) -> list[str]:
    """Which decoders beside a classifier change its error, and whether known switches do."""
    modes = {f"known ones, {mode}": found for mode, found in known_against_fixed(study).items()}
    return [
        *_tell_differences("training on classes alone", against_classes(study)),
        *_tell_differences("fixed switches", modes),
    ]


def _tell_differences(control: str, found: dict[str, Estimate]) -> list[str]:
    """Which errors are told from those of a control, and what could have been told of the others."""
    words = {True: "less", False: "more"}
    told = [
        f"{name}, {100 * abs(each.mean):.2f} points {words[answer]}"
        for name, each in found.items()
        if (answer := less(each)) is not None
    ]
    untold = {name: each for name, each in found.items() if less(each) is None}
    sentences = [f"By error told from {control}: {'; '.join(told)}."] if told else []
    if untold:
        names = "; ".join(untold)
        sentences.append(f"By error not told from {control}: {names}{_could(list(untold.values()))}.")
    return sentences


def _could(untold: Sequence[Estimate]) -> str:
    """What true differences would have been told."""
    known = sorted(each.detectable for each in untold if each.detectable is not None)
    if not known:
        return ": with one seed there is no interval"
    head = f": with this spread, over {untold[0].count} seeds,"
    # Errors cannot differ by more than 100 points.
    possible = [value for value in known if value < 1]
    if not possible:
        return f"{head} no difference would have been seen"
    ends = list(dict.fromkeys(f"{100 * value:.2f}" for value in (possible[0], possible[-1])))
    rest = ", and of some of them none" if len(possible) < len(known) else ""
    return (
        f"{head} true differences of {' to '.join(ends)} points would have been seen in four studies of "
        f"five{rest}"
    )
