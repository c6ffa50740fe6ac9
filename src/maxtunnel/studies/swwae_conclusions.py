"""What the rows of `study swwae` say: differences, what goes with the error, and a verdict."""

from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from maxtunnel.evaluation.intervals import Interval, above
from maxtunnel.models.layout import Layout
from maxtunnel.studies.published import Published, published_for
from maxtunnel.studies.seeds import Estimate, correlate, estimate, paired
from maxtunnel.studies.swwae import SwwaeStudy
from maxtunnel.studies.swwae_config import TERMS, UNPOOLINGS, Method
from maxtunnel.studies.swwae_reading import GIVEN
from maxtunnel.studies.swwae_run import NetworkRow
from maxtunnel.support.choices import Unpooling

# What the paper's guess comes to, that what all terms gain comes from the intermediate ones.
Answer = Literal[
    "supported", "supported in part", "supported at least in part", "contradicted", "no gain", "open"
]
NEAR = 0.005  # of a published error: half a point
# What is set against what; the first two are what the paper asks for.
_PAIRS: tuple[tuple[Method, Method], ...] = (
    ("intermediate", "supervised"),
    ("intermediate", "both"),
    ("both", "supervised"),
    ("image", "supervised"),
    ("both", "image"),
)
QUESTION = (
    "Further experimentation with the SWWAE architecture with L2 reconstruction loss for only the "
    "intermediate terms could clarify this."
)


@dataclass(frozen=True)
class Kind:
    """The networks of one kind, over seeds.

    Attributes:
        method, unpooling: which kind.
        error: share of the images that are taken for another class.
        rebuilt: mean RMSE of a fresh decoder, by what it is given.
        own: that of their own decoders; None where these are not trained to rebuild images.
    """

    method: Method
    unpooling: Unpooling | None
    error: Estimate
    rebuilt: dict[str, float]
    own: float | None

    @property
    def name(self) -> str:
        """In words."""
        return describe(self.method, self.unpooling)


@dataclass(frozen=True)
class Comparison:
    """The error of one kind of network less that of another, seed by seed.

    Attributes:
        labels: of both.
        unpooling: of those that have a decoder.
        first, second: the kinds.
        difference: in shares of images; below 0 the first one errs less.
    """

    labels: int
    unpooling: Unpooling
    first: Method
    second: Method
    difference: Estimate

    @property
    def less(self) -> bool | None:
        """Whether the first one errs less; None where these runs do not tell."""
        interval = self.difference.interval
        higher = None if interval is None else above(interval)
        return None if higher is None else not higher


@dataclass(frozen=True)
class Standing:
    """A published error and ours.

    Attributes:
        published: the paper's.
        unpooling: of our networks, which have all terms.
        ours: the error over seeds.
        differences: what is not as the paper has it, or could not be compared, in words.
    """

    published: Published
    unpooling: Unpooling
    ours: Estimate
    differences: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """How ours stands to it: within half a point or how far off, and whether the seeds tell which."""
        gap, interval = self.ours.mean - self.published.error, self.ours.interval
        off = f"{points(abs(gap))} {'higher' if gap > 0 else 'lower'}"
        if interval is None:
            return f"{off} (one seed)"
        low, high = (end - self.published.error for end in interval)
        if low >= -NEAR and high <= NEAR:
            return f"within {points(NEAR)}"
        if low > NEAR or high < -NEAR:
            return off
        return f"{off}; these seeds do not tell whether by over {points(NEAR)}"


def points(share: float, form: str = ".2f") -> str:
    """A difference of error rates: `0.50 points`."""
    return f"{100 * share:{form}} points"


def kinds(study: SwwaeStudy, labels: int) -> tuple[Kind, ...]:
    """Every kind of network with so many labels that there is one of, in the order of the grid."""
    found = []
    for method, unpooling in study.grid.kinds():
        rows = study.of(labels, method, unpooling)
        if rows:
            own = [row.own for row in rows if row.own is not None]
            rebuilt = {given: fmean(row.rebuilt[given] for row in rows) for given in GIVEN}
            found.append(Kind(method, unpooling, _error(rows), rebuilt, fmean(own) if own else None))
    return tuple(found)


def _error(rows: tuple[NetworkRow, ...]) -> Estimate:
    """The error over seeds, which is counted in images."""
    return estimate([row.error for row in rows], 1 / rows[0].images)


def comparisons(study: SwwaeStudy, labels: int, unpooling: Unpooling) -> tuple[Comparison, ...]:
    """All that can be set against each other with so many labels."""
    found = []
    for first, second in _PAIRS:
        one, other = (
            {row.seed: row for row in study.of(labels, method, unpooling if method != "supervised" else None)}
            for method in (first, second)
        )
        seeds = sorted(one.keys() & other.keys())
        if seeds:
            errors, others = ([rows[seed].error for seed in seeds] for rows in (one, other))
            difference = paired(errors, others, 1 / one[seeds[0]].images)
            found.append(Comparison(labels, unpooling, first, second, difference))
    return tuple(found)


def answer(study: SwwaeStudy, labels: int, unpooling: Unpooling) -> Answer:
    """Whether what the terms gain together comes from the intermediate ones.

    A gain, or a part of one, that is not seen is taken for small only where its interval says so: where even
    at its largest it would be the smaller part of what all terms gain.
    """
    by_pair = {(each.first, each.second): each for each in comparisons(study, labels, unpooling)}
    alone, beside, whole = (by_pair.get(pair) for pair in _PAIRS[:3])
    if alone is None:
        return "open"
    if alone.less:
        return _how_much(alone, beside)
    if whole is not None and whole.less is False:
        return "no gain"
    if alone.less is False:
        return "contradicted"
    if whole is not None and whole.less and -_ends(alone)[0] < -whole.difference.mean / 2:
        return "contradicted"
    return "open"


def _how_much(alone: Comparison, beside: Comparison | None) -> Answer:
    """How much of it the intermediate terms do, where they help."""
    if beside is None or beside.difference.interval is None:
        return "supported at least in part"
    if beside.less is False:
        return "supported in part"
    adds = _ends(beside)[1]
    return "supported" if adds < -alone.difference.mean else "supported at least in part"


def _ends(compared: Comparison) -> Interval:
    """The interval of a comparison that has one."""
    assert compared.difference.interval is not None
    return compared.difference.interval


def verdict(study: SwwaeStudy) -> list[str]:
    """The answer to the paper's question: a sentence for each number of labels and each unpooling."""
    found = []
    for labels in study.grid.labels:
        for unpooling in study.grid.unpoolings:
            by_pair = {(each.first, each.second): each for each in comparisons(study, labels, unpooling)}
            told = [_tell(by_pair[pair]) for pair in _PAIRS[:3] if pair in by_pair]
            if _PAIRS[0] in by_pair:
                head = f"With {labels:,} labels and {UNPOOLINGS[unpooling]}"
                found.append(f"{head}, {'; '.join(told)}: {_MEANING[answer(study, labels, unpooling)]}.")
    return found or ["Nothing was compared: the intermediate terms alone and supervised training are needed."]


_MEANING: dict[Answer, str] = {
    "supported": "the intermediate terms alone do it, and these runs see nothing that the image term adds",
    "supported in part": "the intermediate terms alone do a part of it",
    "supported at least in part": (
        "the intermediate terms alone help, and whether they do all of it these runs cannot tell"
    ),
    "contradicted": "it is not the intermediate terms alone that help",
    "no gain": "the terms together do harm here, so there is no gain whose origin could be told",
    "open": "these runs leave the question open",
}
_SUBJECTS: dict[tuple[Method, Method], str] = dict(
    zip(_PAIRS, ("the intermediate terms alone", "they", "all terms"), strict=False)
)


def _tell(compared: Comparison) -> str:
    """What one comparison says, as a part of a sentence."""
    found, names = compared.difference, {"supervised": "supervised training", "both": "all terms"}
    against, subject = names[compared.second], _SUBJECTS[compared.first, compared.second]
    if found.interval is None:
        return f"{subject} err by {points(found.mean, '+.2f')} against {against} (one seed, so no interval)"
    low, high = (100 * end for end in found.interval)
    size = f"{points(abs(found.mean))} (difference {low:+.2f} to {high:+.2f})"
    if compared.less is None:
        return (
            f"{subject} cannot be told from {against} (difference {low:+.2f} to {high:+.2f} points; "
            f"{found.count} seeds with this spread would have shown {points(found.detectable or 0.0)} in "
            "four studies of five)"
        )
    return f"{subject} err by {size} {'less' if compared.less else 'more'} than {against}"


def correlation_of(study: SwwaeStudy, labels: int) -> tuple[float, Interval, int] | None:
    """How error and RMSE go together over the kinds of trained networks, and how many kinds there are.

    Above 0 what is rebuilt better errs less. Each kind counts once, by its means over seeds: more seeds of
    the same few kinds say no more of others.
    """
    found = [kind for kind in kinds(study, labels) if kind.method != "untrained"]
    related = correlate([kind.rebuilt["both"] for kind in found], [kind.error.mean for kind in found])
    return None if related is None else (*related, len(found))


def learnt(study: SwwaeStudy, labels: int) -> list[str]:
    """Whether a good reconstruction means that anything was learnt, in sentences."""
    rows = [row for row in study.rows if row.labels == labels]
    blank = study.of(labels, "untrained", None)
    found, told = correlation_of(study, labels), []
    if found is not None:
        value, interval, count = found
        rises = above(interval)
        meaning = {
            True: "what is rebuilt better errs less",
            False: "what is rebuilt better errs more",
            None: "how well an image is rebuilt says nothing of the error that these runs could see",
        }[rises]
        told.append(
            f"Over the {count} kinds of networks trained with {labels:,} labels, error and RMSE from "
            f"features and switches correlate by {value:+.2f} ({interval[0]:+.2f} to {interval[1]:+.2f}): "
            f"{meaning}."
        )
    if rows and blank:
        trained = sorted(row.rebuilt["both"] for row in rows)
        rmse = fmean(row.rebuilt["both"] for row in blank)
        error = fmean(row.error for row in blank)
        better = sum(rmse < value for value in trained)
        told.append(
            f"Encoders that have learnt nothing (error {error:.1%}) are rebuilt at RMSE {rmse:.4f}, better "
            f"than {better} of these {len(trained)} networks ({trained[0]:.4f} to {trained[-1]:.4f})."
        )
    return told


def standings(study: SwwaeStudy) -> tuple[Standing, ...]:
    """The paper's numbers beside ours, of networks with all terms."""
    found = []
    for labels in study.grid.labels:
        for published in published_for(study.settings.set, labels, study.trained):
            for unpooling in study.grid.unpoolings:
                rows = study.of(labels, "both", unpooling)
                if rows:
                    differences = _differences(study, published, unpooling)
                    found.append(Standing(published, unpooling, _error(rows), differences))
    return tuple(found)


def _differences(study: SwwaeStudy, published: Published, unpooling: Unpooling) -> tuple[str, ...]:
    settings = study.settings
    found = ["our optimiser, weights of the terms and number of steps"]
    if published.layout is None or Layout.parse(published.layout) != Layout.parse(settings.layout):
        found.insert(0, f"layout {settings.layout}")
    if bool(published.dropout) is not (settings.dropout > 0):
        found.append(f"dropout of {settings.dropout:.0%} before fully connected layers")
    if unpooling != "switches":
        found.append(UNPOOLINGS[unpooling])
    if settings.validate:
        found.append("measured on images held out of the training images")
    elif settings.images is not None and settings.images < study.measured:
        found.append(f"{settings.images:,} of the {study.measured:,} test images")
    return tuple(found)


def describe(method: Method, unpooling: Unpooling | None) -> str:
    """A kind of network in words."""
    return TERMS[method] if unpooling is None else f"{TERMS[method]}, {UNPOOLINGS[unpooling]}"
