"""What the rows of `study adaptive` say: what max pooling gains, what the switches carry, and a verdict."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from maxtunnel.evaluation.intervals import above
from maxtunnel.models.adaptive_deconv import Pooling
from maxtunnel.studies.adaptive import AdaptiveStudy
from maxtunnel.studies.adaptive_reading import Given, Reading
from maxtunnel.studies.seeds import Estimate, estimate, paired

# What the sentence comes to, that max pooling is crucial to sharp reconstructions.
Answer = Literal["supported", "supported in part", "contradicted", "open"]
PUBLISHED, SPREAD = 0.71, 0.01
SOURCE = "Zeiler, Taylor, Fergus 2011, as quoted by others; its tables could not be read"
QUOTE = (
    "After each convolutional layer, a deconvolutional layer uses its output along with the max switches to "
    "reconstruct the image."
)
_CRUCIAL = 0.5  # of the sharpness is left, at most, where averages are crucially worse
# What knows switches and nothing of the features.
ALONE: tuple[Given, ...] = ("constant", "read")


@dataclass(frozen=True)
class Came:
    """What images became at a layer, over images; of each the mean over seeds.

    Attributes:
        left: squared error by the image's energy.
        sharpness: energy of its gradients by the image's.
        explained: share of the image's energy that the best multiple of it explains.
        other: that of the image whose switches were taken; None where these are its own or random.
    """

    left: Estimate
    sharpness: Estimate
    explained: Estimate
    other: Estimate | None


@dataclass(frozen=True)
class Compared:
    """A layer with max pooling less the same with average pooling, image by image.

    Attributes:
        layer: which.
        sharpness, left: the differences.
        ratio: sharpness with averages by that with max pooling.
    """

    layer: int
    sharpness: Estimate
    left: Estimate
    ratio: float

    @property
    def better(self) -> bool | None:
        """Whether max pooling is sharper and leaves less; None where images do not tell."""
        sharper, worse = (_told(each) for each in (self.sharpness, self.left))
        if sharper and worse is False:
            return True
        return False if sharper is False or worse else None


def _told(difference: Estimate) -> bool | None:
    return None if difference.interval is None else above(difference.interval)


def came(study: AdaptiveStudy, pooling: Pooling, layer: int, given: Given) -> Came | None:
    """What images became at a layer of one kind of network; None where nothing is known of it."""
    found = _readings(study, pooling, layer, given)
    if not found:
        return None
    other = _over_seeds([_squares(each.other) for each in found])
    return Came(
        left=estimate(_over_seeds([each.left for each in found])),
        sharpness=estimate(_over_seeds([each.sharpness for each in found])),
        explained=estimate(_over_seeds([_squares(each.likeness) for each in found])),
        other=estimate(other) if other else None,
    )


def _readings(study: AdaptiveStudy, pooling: Pooling, layer: int, given: Given) -> list[Reading]:
    rows = (row.layers[layer - 1].readings for row in study.of(pooling))
    return [readings[given] for readings in rows if given in readings]


def _squares(cosines: Sequence[float]) -> list[float]:
    """What the best multiple explains; nothing where it would have to be negative."""
    return [max(value, 0.0) ** 2 for value in cosines]


def _over_seeds(values: Sequence[Sequence[float]]) -> list[float]:
    """The mean over networks of each image's values."""
    return [fmean(of_one) for of_one in zip(*values, strict=True)]


def comparisons(study: AdaptiveStudy) -> tuple[Compared, ...]:
    """Max pooling against averages, layer by layer, on the seeds that both have."""
    found = []
    for layer in range(1, len(study.settings.maps) + 1):
        kinds: tuple[Pooling, Pooling] = ("max", "average")
        one, other = (_readings(study, pooling, layer, "both") for pooling in kinds)
        if one and other:
            sharp, blurred = ([*_over_seeds([each.sharpness for each in part])] for part in (one, other))
            left, more = ([*_over_seeds([each.left for each in part])] for part in (one, other))
            ratio = fmean(blurred) / max(fmean(sharp), 1e-12)
            found.append(Compared(layer, paired(sharp, blurred), paired(left, more), ratio))
    return tuple(found)


def answer(study: AdaptiveStudy) -> Answer:
    """Whether max pooling is crucial to sharp reconstructions, by all layers."""
    found = comparisons(study)
    if found and all(each.better for each in found):
        return "supported" if found[-1].ratio <= _CRUCIAL else "supported in part"
    if found and any(each.better is False for each in found):
        return "contradicted"
    return "open"


def accuracies(study: AdaptiveStudy, pooling: Pooling) -> dict[str, Estimate]:
    """Of the linear classifier on each layer's features, and on all, over seeds."""
    rows = study.of(pooling)
    names = rows[0].accuracy if rows else ()
    # Counted in images: the spread of two seeds may be 0 by chance.
    return {name: estimate([row.accuracy[name] for row in rows], 1 / study.tested) for name in names}


def verdict(study: AdaptiveStudy) -> list[str]:
    """The answers in sentences with their numbers."""
    return [*_on_sharpness(study), *_on_switches(study)] or ["Nothing was compared: no network is done."]


_MEANING: dict[Answer, str] = {
    "supported": "max pooling is crucial to sharp reconstructions",
    "supported in part": "max pooling is sharper, but averages keep more than half of the sharpness",
    "contradicted": "max pooling is not what makes reconstructions sharp",
    "open": "these images leave open whether max pooling is what makes reconstructions sharp",
}


def _on_sharpness(study: AdaptiveStudy) -> list[str]:
    parts = []
    for each in comparisons(study):
        ours, averaged = (came(study, kind, each.layer, "both") for kind in ("max", "average"))
        assert ours is not None
        assert averaged is not None
        parts.append(
            f"layer {each.layer} keeps {ours.sharpness.mean:.0%} of the gradients' energy and leaves "
            f"{ours.left.mean:.1%} of the image's, with averages {averaged.sharpness.mean:.0%} and "
            f"{averaged.left.mean:.1%}"
        )
    return [f"{_sentence('; '.join(parts))}: {_MEANING[answer(study)]}."] if parts else []


def _on_switches(study: AdaptiveStudy) -> list[str]:
    found = []
    for layer in range(1, len(study.settings.maps) + 1):
        whole, signs = (came(study, "max", layer, given) for given in ("both", "signs"))
        if whole is None or signs is None:
            continue
        even, swapped = (came(study, "max", layer, given) for given in ("features", "swapped"))
        best = max(_explained(study, layer, given) for given in ALONE)
        assert even is not None
        assert swapped is not None
        assert swapped.other is not None
        found.append(
            f"Layer {layer}: features and switches explain {whole.explained.mean:.1%} of an image; the "
            f"switches with no more than each feature's sign {signs.explained.mean:.1%}, without it "
            f"{best:.1%}; the features shared evenly {even.explained.mean:.1%}, and with another image's "
            f"switches {swapped.explained.mean:.1%} of their own image and {swapped.other.mean:.1%} of the "
            "other."
        )
    return found


def _explained(study: AdaptiveStudy, layer: int, given: Given) -> float:
    one = came(study, "max", layer, given)
    return 0.0 if one is None else one.explained.mean


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def standing(study: AdaptiveStudy) -> tuple[Estimate, tuple[str, ...], str] | None:
    """Our accuracy beside the published one: ours, what is not the same, and a word on it; None without."""
    ours = accuracies(study, "max").get("all")
    if ours is None:
        return None
    settings = study.settings
    unlike: list[tuple[bool, Callable[[], str]]] = [
        (study.classes < 101, lambda: f"{study.classes} classes, not 101"),
        (settings.labelled != 30, lambda: f"{settings.labelled} labelled images a class, not 30"),
        (settings.side != 150, lambda: f"{settings.side} pixels a side, not 150"),
        (settings.maps != (15, 50, 100, 150), lambda: f"{'-'.join(map(str, settings.maps))} maps"),
    ]
    words = [say() for differs, say in unlike if differs]
    words.append("our pyramid, linear machine, and numbers of images and passes to learn filters on")
    gap = ours.mean - PUBLISHED
    if study.classes < 101:
        told = "fewer classes are easier to tell apart: not to be compared"
    elif abs(gap) <= SPREAD:
        told = "within its spread"
    else:
        told = f"{100 * abs(gap):.1f} points {'higher' if gap > 0 else 'lower'}"
    return ours, tuple(words), told
