"""What the rows of `study all-conv` say: errors, what is read behind each place, and a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from maxtunnel.auditing.config import DEFAULTS
from maxtunnel.auditing.rows import LITTLE
from maxtunnel.evaluation.intervals import Interval, above, ratio_of_means, span
from maxtunnel.models.all_conv import TITLES, Base, Variant
from maxtunnel.studies.all_conv import AllConvStudy
from maxtunnel.studies.all_conv_config import GIVEN, TWINS, Given
from maxtunnel.studies.all_conv_run import NetworkRow, ReadingRow
from maxtunnel.studies.published import Published
from maxtunnel.studies.recon_dec_conclusions import Share, explained
from maxtunnel.studies.seeds import Estimate, estimate, paired
from maxtunnel.studies.swwae_conclusions import points

# Whether a network without pooling is the cure, at one place.
Answer = Literal["a cure", "a cure at least in part", "a cure in part", "no cure", "open", "withheld"]
QUOTE = (
    "Springenberg et al. compared several CNN architectures and concluded that pooling and fully connected "
    "layers could be replaced with convolution, without incurring any loss of performance."
)
_SOURCE = "Springenberg et al. 2015, arXiv 1412.6806, CIFAR-10 without augmentation, as quoted by others"
# By base and variant, and whether images are augmented. What could not be read is not there.
PUBLISHED: dict[tuple[Base, Variant, bool], Published] = {
    ("A", "base", False): Published("cifar10", None, 0.1247, "Model A", _SOURCE),
    ("C", "base", False): Published("cifar10", None, 0.0974, "Model C", _SOURCE),
    ("C", "strided", False): Published("cifar10", None, 0.1019, "Strided-CNN-C", _SOURCE),
    ("C", "convpool", False): Published("cifar10", None, 0.0931, "ConvPool-CNN-C", _SOURCE),
    ("C", "all", False): Published("cifar10", None, 0.0908, "All-CNN-C", _SOURCE),
    ("C", "all", True): Published(
        "cifar10", None, 0.0725, "All-CNN-C, augmented", _SOURCE.replace("without", "with")
    ),
}
# What is set against what: the pooling alone differs between the first two; a stride in its place.
PAIRS: tuple[tuple[Variant, Variant], ...] = (("all", "convpool"), ("strided", "base"))


@dataclass(frozen=True)
class Kind:
    """The networks of one kind.

    Attributes:
        base, variant: of the network.
        error: over seeds.
        rows: by seed.
    """

    base: Base
    variant: Variant
    error: Estimate
    rows: tuple[NetworkRow, ...]

    @property
    def name(self) -> str:
        """As the paper has it: `All-CNN-C`."""
        return title_of(self.base, self.variant)


@dataclass(frozen=True)
class Difference:
    """The error of one kind of network less that of another, paired by seed.

    Attributes:
        base: of both.
        first, second: their variants.
        error: the difference, in shares of the images.
    """

    base: Base
    first: Variant
    second: Variant
    error: Estimate

    @property
    def less(self) -> bool | None:
        """Whether the first errs less; None where these seeds cannot tell."""
        interval = self.error.interval
        higher = None if interval is None else above(interval)
        return None if higher is None else not higher


@dataclass(frozen=True)
class Lead(Share):
    """How much more one reader explains than another, with its 95 % interval over images.

    Attributes:
        seeds: the same over seeds.
    """

    seeds: Estimate

    @property
    def told(self) -> bool | None:
        """Whether it lies above 0; None where images, or seeds where there are several, do not tell."""
        told = above(self.interval)
        if self.seeds.interval is None:
            return told
        return told if told == above(self.seeds.interval) else None


@dataclass(frozen=True)
class Place:
    """What is read behind one place of twins, as shares of the variance that are explained.

    Attributes:
        base: of both networks.
        place: where.
        pooled: of ConvPool-CNN, by what the reader is given.
        strided: of All-CNN, from its features, which are all that there is.
        more: explained by the switches of ConvPool-CNN less by the features of All-CNN.
        moved: explained by the features of All-CNN less by those of ConvPool-CNN.
        whole: explained by features and switches of ConvPool-CNN less by the features of All-CNN.
        trusted: whether readers had as many steps as an audit asks for, and controls are in order.
    """

    base: Base
    place: int
    pooled: dict[Given, Share]
    strided: Share
    more: Lead
    moved: Lead
    whole: Lead
    trusted: bool

    @property
    def answer(self) -> Answer:
        """Whether what the switches told is no longer told.

        The features of both are there for the classes, and tell something in any case. It is no cure where
        those of All-CNN tell more than the switches did; one in part, where less, but more than those behind
        pooling.
        """
        more, moved = self.more.told, self.moved.told
        if not self.trusted:
            return "withheld"
        if more is None:
            return "open"
        if not more:
            return "no cure"
        if moved is None:
            return "a cure at least in part"
        return "a cure in part" if moved else "a cure"


_MEANING: dict[Answer, str] = {
    "a cure": "what the switches told is gone, and did not move into the features",
    "a cure at least in part": (
        "All-CNN tells less than the switches did; whether some of it moved into its features these readers "
        "cannot tell"
    ),
    "a cure in part": "All-CNN tells less than the switches did, but more than features behind pooling",
    "no cure": "without any switch the features of All-CNN tell more than the switches did",
    "withheld": "readers of so few steps, or controls that rebuild what they cannot know, decide nothing",
    "open": "these readers and seeds do not tell the switches from the features of All-CNN",
}


def title_of(base: Base, variant: Variant) -> str:
    """A kind of network as the paper has it: `All-CNN-C`, `Model C`."""
    return f"{TITLES[variant]}{' ' if variant == 'base' else '-'}{base}"


def kinds(study: AllConvStudy) -> tuple[Kind, ...]:
    """Every kind of network that there is one of, in the order of the grid."""
    found = []
    for base in study.grid.bases:
        for variant in study.grid.variants:
            rows = tuple(row for row in study.networks if (row.base, row.variant) == (base, variant))
            if rows:
                error = estimate([row.error for row in rows], 1 / rows[0].images)
                found.append(Kind(base, variant, error, rows))
    return tuple(found)


def differences(study: AllConvStudy) -> tuple[Difference, ...]:
    """All that can be set against each other."""
    rows = {(row.base, row.variant, row.seed): row for row in study.networks}
    found = []
    for base in study.grid.bases:
        for first, second in PAIRS:
            seeds = [
                seed
                for seed in range(study.grid.seeds)
                if (base, first, seed) in rows and (base, second, seed) in rows
            ]
            if seeds:
                errors, others = (
                    [rows[base, variant, seed].error for seed in seeds] for variant in (first, second)
                )
                step = 1 / rows[base, first, seeds[0]].images
                found.append(Difference(base, first, second, paired(errors, others, step)))
    return tuple(found)


def readings(
    study: AllConvStudy, base: Base, variant: Variant, place: int, given: Given, trained: bool = True
) -> tuple[ReadingRow, ...]:
    """The readers of one kind, by seed."""
    wanted = (base, variant, place, given, trained)
    return tuple(
        row for row in study.readings if (row.base, row.variant, row.place, row.given, row.trained) == wanted
    )


def errors_of(rows: Sequence[ReadingRow], swapped: str = "") -> Float64[Tensor, " n"]:
    """Squared error of each image, the mean over seeds; with `swapped`, of what is so named in the rows."""
    values = [row.swapped[swapped] if swapped else row.mse for row in rows]
    return torch.tensor(values, dtype=torch.float64).mean(0)


def _squares(rows: Sequence[ReadingRow]) -> Float64[Tensor, "seeds n"]:
    return torch.tensor([row.mse for row in rows], dtype=torch.float64)


def share_of(study: AllConvStudy, rows: Sequence[ReadingRow]) -> Share:
    """What is explained: 1 - MSE / MSE of the mean image, over seeds and images."""
    return explained(errors_of(rows).tolist(), study.of_mean)


def places(study: AllConvStudy) -> tuple[Place, ...]:
    """Every place of twins of which all readers of as many seeds are there, finest first."""
    found = (_place(study, base, place) for base in study.grid.bases for place in sorted(study.grid.places))
    return tuple(each for each in found if each is not None)


def _place(study: AllConvStudy, base: Base, place: int) -> Place | None:
    given: tuple[Given, ...] = ("switches", "features", "both")
    rows = {each: readings(study, base, TWINS[0], place, each) for each in given}
    strided = readings(study, base, TWINS[1], place, "features")
    # Of the same seeds, or an average of other networks would be set against each other.
    if not strided or any(len(each) != len(strided) for each in rows.values()):
        return None
    of_mean = torch.tensor(study.of_mean, dtype=torch.float64)

    def lead(first: Sequence[ReadingRow], second: Sequence[ReadingRow]) -> Lead:
        """Explained by the first readers less by the second."""
        less = _squares(second) - _squares(first)
        seeds = estimate((less.mean(1) / of_mean.mean()).tolist())
        return Lead(*ratio_of_means(less.mean(0), of_mean), seeds)

    return Place(
        base=base,
        place=place,
        pooled={each: share_of(study, found) for each, found in rows.items()},
        strided=share_of(study, strided),
        more=lead(rows["switches"], strided),
        moved=lead(strided, rows["features"]),
        whole=lead(rows["both"], strided),
        trusted=study.settings.reader_steps >= DEFAULTS.least_steps and not out_of_order(study),
    )


def verdict(study: AllConvStudy) -> list[str]:
    """What the study comes to, in sentences."""
    told = [*map(_tell_place, places(study)), *map(_tell_difference, differences(study))]
    told += _tell_untrained(study)
    return told or ["Nothing is there yet to conclude from."]


def _tell_place(found: Place) -> str:
    pooled, strided = title_of(found.base, TWINS[0]), title_of(found.base, TWINS[1])
    told = ", ".join(f"from its {GIVEN[given]} {_percent(share)}" for given, share in found.pooled.items())
    return (
        f"Behind place {found.place} of {pooled}, of the variance of images a reader rebuilds {told}. "
        f"{strided} has no switches that could be handed on; from its features {_percent(found.strided)} is "
        f"rebuilt, {_points(found.moved)} against features behind pooling, and {_points(found.more, -1)} "
        f"against the switches: {found.answer}, as {_MEANING[found.answer]}."
    )


def _percent(share: Share) -> str:
    low, high = share.interval
    return f"{share.value:.1%} ({low:.1%} to {high:.1%})"


def _points(lead: Lead, sign: int = 1) -> str:
    """A difference of shares with its intervals: `+1.2 points (+0.8 to +1.6 over images)`."""

    def ends(interval: Interval) -> str:
        low, high = sorted(100 * sign * end for end in interval)
        return span((low, high), "+.1f")

    seeds = "" if lead.seeds.interval is None else f", {ends(lead.seeds.interval)} over seeds"
    return f"{100 * sign * lead.value:+.1f} points ({ends(lead.interval)} over images{seeds})"


def _tell_difference(found: Difference) -> str:
    first, second = title_of(found.base, found.first), title_of(found.base, found.second)
    error, words = found.error, {True: "less", False: "more"}
    if error.interval is None:
        return f"{first} errs by {points(error.mean, '+.2f')} against {second} (one seed, so no interval)."
    interval = span((100 * error.interval[0], 100 * error.interval[1]), "+.2f")
    if found.less is None:
        return (
            f"At equal steps the errors of {first} and {second} are not told apart (difference {interval} "
            f"points; {error.count} seeds with this spread would have shown "
            f"{points(error.detectable or 0.0)} in four studies of five)."
        )
    return (
        f"At equal steps {first} errs by {points(abs(error.mean))} {words[found.less]} than {second} "
        f"(difference {interval})."
    )


def _tell_untrained(study: AllConvStudy) -> list[str]:
    """What is read of networks that have learnt nothing."""
    place, told = max(study.grid.places), []
    kinds_of: tuple[tuple[Variant, Given], ...] = (
        (TWINS[0], "switches"), (TWINS[0], "features"), (TWINS[1], "features")
    )  # fmt: skip
    for base in study.grid.bases:
        shares = [
            f"{GIVEN[given]} of {title_of(base, variant)} {_percent(share_of(study, rows))}"
            for variant, given in kinds_of
            if (rows := readings(study, base, variant, place, given, trained=False))
        ]
        if shares:
            told.append(f"Where nothing was trained, behind place {place}: {', '.join(shares)}.")
    return told


def out_of_order(study: AllConvStudy) -> list[str]:
    """Sentences about controls that know nothing and yet rebuild more than the mean image."""
    found = []
    for row in study.readings:
        share = explained(row.mse, study.of_mean)
        if row.given in ("random", "fixed") and share.interval[0] > LITTLE:
            found.append(
                f"A control that knows nothing ({GIVEN[row.given]}, {title_of(row.base, row.variant)}) "
                f"explains {share.value:.0%} of the variance: trust nothing here"
            )
    return found


def standing(study: AllConvStudy, kind: Kind) -> tuple[Published, tuple[str, ...], str] | None:
    """A published error, what is not as the paper has it, and how ours stands to it; None without one.

    A number that was published with augmentation stands beside augmented networks only.
    """
    published = PUBLISHED.get((kind.base, kind.variant, study.settings.augment))
    if published is None:
        return None
    gap, interval = kind.error.mean - published.error, kind.error.interval
    off = f"{points(abs(gap))} {'higher' if gap > 0 else 'lower'}"
    if interval is None:
        return published, _unlike(study), f"{off} (one seed)"
    told = above(interval, published.error) is not None
    return published, _unlike(study), off if told else f"{off}; these seeds do not tell them apart"


def _unlike(study: AllConvStudy) -> tuple[str, ...]:
    settings = study.settings
    found = ["each channel's mean and deviation taken out, in the place of whitening"]
    if settings.width != 96:
        found.insert(0, f"{settings.width} filters in block 1, not 96")
    images = settings.steps * settings.batch
    if settings.recipe != "paper" or images < 350 * study.trained:
        name = "AdamW with a cosine" if settings.recipe == "fast" else "the paper's recipe"
        found.append(f"{name}, {images / study.trained:,.1f} passes over the images, not 350")
    if not settings.dropout:
        found.append("no dropout")
    if settings.validate:
        found.append("measured on images held out of the training images")
    elif settings.images is not None and settings.images < study.measured:
        found.append(f"{settings.images:,} of the {study.measured:,} test images")
    return tuple(found)
