"""What the rows of `study segmentation` say: what known switches gain and carry alone, and a verdict."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from maxtunnel.evaluation.intervals import above
from maxtunnel.evaluation.segmentation import class_accuracy, class_iou, global_accuracy, mean_iou
from maxtunnel.studies.dense_conditions import CONDITIONS, Condition
from maxtunnel.studies.dense_verdicts import Answer, because, completely
from maxtunnel.studies.seeds import Value, estimate
from maxtunnel.studies.segmentation import SegmentationStudy
from maxtunnel.studies.segmentation_run import Found

Measure = Literal["mean_iou", "class_accuracy", "global_accuracy", "near_borders"]
MEASURES: dict[Measure, str] = {
    "mean_iou": "mean IoU",
    "class_accuracy": "class accuracy",
    "global_accuracy": "global accuracy",
    "near_borders": "accuracy near borders",
}
QUOTE = (
    "It explains why reconstruction of the image with max unpooling for semantic segmentation works so well: "
    "The spatial information can be extracted completely from the max switch locations."
)
KNOWN, FIXED, BILINEAR, ALONE, UNTRAINED, *READ = CONDITIONS
_DRAWS = 2000


class Numbers:
    """All numbers of a study, every image being drawn alike for each.

    Args:
        study: whose rows they are of.
    """

    def __init__(self, study: SegmentationStudy) -> None:
        self._found = {condition.key: found for condition in CONDITIONS if (found := study.of(condition))}
        self._usual = study.usual
        count = len(study.usual.hits)
        drawn = torch.randint(count, (_DRAWS, count), generator=torch.Generator().manual_seed(0))
        # How often every draw has each image, and as the last one all images once.
        times = torch.zeros(_DRAWS + 1, count, dtype=torch.float64)
        times[:-1].scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
        times[-1] = 1
        self._times = times

    def has(self, *conditions: Condition) -> bool:
        """Whether there are networks for all of these."""
        return all(condition.key in self._found for condition in conditions)

    def value(self, condition: Condition | None, measure: Measure) -> Value:
        """A measure under a condition; None for the class that each place has most often."""
        return self._value({0: self._usual} if condition is None else self._found[condition.key], measure)

    def difference(self, first: Condition, second: Condition, measure: Measure) -> Value:
        """The first condition's measure less the second's, seed by seed where there are networks for both."""
        one, other = self._found[first.key], self._found[second.key]
        seeds = sorted(one.keys() & other.keys())
        return self._as_value(
            [self._measured(one[seed], measure) - self._measured(other[seed], measure) for seed in seeds]
        )

    def share(self, condition: Condition, measure: Measure = "mean_iou") -> Value | None:
        """How far a condition comes on the way from the usual classes, 0, to known switches, 1.

        None where known switches are not seen to be better than the usual classes.
        """
        known, usual = self._found[KNOWN.key], self._measured(self._usual, measure)
        way = self._as_value([self._measured(found, measure) - usual for found in known.values()])
        if above(way.images) is not True:
            return None
        found = self._found[condition.key]
        seeds = sorted(found.keys() & known.keys())
        return self._as_value(
            [
                (self._measured(found[seed], measure) - usual)
                / (self._measured(known[seed], measure) - usual)
                for seed in seeds
            ]
        )

    def class_iou(self, condition: Condition | None) -> list[float]:
        """IoU of each class over all images, mean over seeds."""
        found = [self._usual] if condition is None else list(self._found[condition.key].values())
        each = torch.stack([class_iou(_rows(one).sum(-1, keepdim=True))[:, 0] for one in found])
        return [float(value) for value in each.nanmean(0)]

    def _value(self, found: Mapping[int, Found], measure: Measure) -> Value:
        return self._as_value([self._measured(each, measure) for each in found.values()])

    def _measured(self, found: Found, measure: Measure) -> Float64[Tensor, " draws"]:
        """A measure of one network for every draw, that of the images themselves last."""
        if measure == "near_borders":
            both = torch.tensor([found.near_hits, found.near_there], dtype=torch.float64)
            hits, there = both @ self._times.T
            return hits / there.clamp(min=1)
        return _MEASURED[measure](_rows(found) @ self._times.T).nan_to_num(0.0)

    def _as_value(self, drawn: list[Float64[Tensor, " draws"]]) -> Value:
        whole = torch.stack(drawn).mean(0)
        low, high = torch.quantile(whole[:-1], torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
        return Value(float(whole[-1]), (low, high), estimate([float(each[-1]) for each in drawn]))


_MEASURED: dict[Measure, Callable[[Tensor], Tensor]] = {
    "mean_iou": mean_iou,
    "class_accuracy": class_accuracy,
    "global_accuracy": global_accuracy,
}


def _rows(found: Found) -> Float64[Tensor, "3 classes n"]:
    counts = found.counts
    return torch.stack([counts.hits, counts.there, counts.found]).double().permute(0, 2, 1)


@dataclass(frozen=True)
class Conclusions:
    """What a study comes to.

    Attributes:
        study: whose.
        numbers: of it.
    """

    study: SegmentationStudy
    numbers: Numbers

    @cached_property
    def without(self) -> Condition | None:
        """The better one, by mean IoU, of those trained without switches; None where one is missing."""
        if not self.numbers.has(KNOWN, FIXED, BILINEAR):
            return None
        return max((FIXED, BILINEAR), key=lambda each: self.numbers.value(each, "mean_iou").mean)

    @cached_property
    def because(self) -> Answer:
        """Whether segmentation works so well because of the switches."""
        if self.without is None:
            return "open"
        gains = [self.numbers.difference(KNOWN, each, "mean_iou").more for each in (FIXED, BILINEAR)]
        return because(gains, self.numbers.share(self.without))

    @cached_property
    def completely(self) -> Answer:
        """Whether all that is spatial can be had from the switches."""
        return completely(self.numbers.share(ALONE) if self.numbers.has(KNOWN, ALONE) else None)


def conclude(study: SegmentationStudy) -> Conclusions:
    """What a study comes to."""
    return Conclusions(study, Numbers(study))


def verdict(found: Conclusions) -> list[str]:
    """What a study comes to, in sentences."""
    numbers = found.numbers
    if not numbers.has(KNOWN, FIXED, BILINEAR):
        return [
            "Nothing was compared: networks with known switches, with fixed ones and with none are needed."
        ]
    return [_tell_gain(found), *_tell_alone(found), *_tell_read(found)]


_BECAUSE: dict[Answer, str] = {
    "supported": "without them more than half of that is lost: segmentation works so well because of them",
    "supported in part": "they help, and are not why segmentation works",
    "contradicted": "it does not need them to work so well",
    "open": "these images and trainings leave open whether it works so well because of them",
}


def _tell_gain(found: Conclusions) -> str:
    """What known switches gain over none."""
    numbers = found.numbers
    reached = "; ".join(
        f"{name} {_percent(numbers.value(condition, 'mean_iou'))}"
        for name, condition in (
            ("with known switches", KNOWN),
            ("trained with fixed ones", FIXED),
            ("with bilinear upsampling in unpooling's place", BILINEAR),
            ("the class that each place has most often, no image looked at", None),
        )
    )
    gains = " and ".join(
        f"{_points(numbers.difference(KNOWN, each, 'mean_iou'))} over {name}"
        for each, name in ((FIXED, "fixed switches"), (BILINEAR, "bilinear upsampling"))
    )
    near = " and ".join(
        _points(numbers.difference(KNOWN, each, "near_borders")) for each in (FIXED, BILINEAR)
    )
    share = None if found.without is None else numbers.share(found.without)
    lost = " Known switches are not seen to reach more than the usual classes:"
    if share is not None:
        lost = (
            f" Of what known switches reach beyond the usual classes, {_share(share)} is reached without any:"
        )
    head = "One training of each kind. Mean IoU" if found.study.grid.seeds == 1 else "Mean IoU"
    return (
        f"{head}: {reached}. Known switches gain {gains}; near borders between classes, in accuracy, "
        f"{near}.{lost} {_BECAUSE[found.because]}."
    )


_COMPLETELY: dict[Answer, str] = {
    "supported": "nearly all that is needed can be had from them",
    "supported in part": "a part of what is needed can be had from them, not all",
    "contradicted": "nothing of it can be had from them",
    "open": "these images and trainings leave open how much can be had from them",
}


def _tell_alone(found: Conclusions) -> list[str]:
    """What switches reach without any feature."""
    numbers = found.numbers
    if not numbers.has(ALONE):
        return []
    told = f"A decoder of switches alone reaches {_percent(numbers.value(ALONE, 'mean_iou'))}"
    share = numbers.share(ALONE)
    if share is not None:
        told += f", {_share(share)} of the way from the usual classes to known switches"
    if numbers.has(UNTRAINED):
        untrained = _percent(numbers.value(UNTRAINED, "mean_iou"))
        told += f"; of the switches of an encoder with random weights, {untrained}"
    return [f"{told}: {_COMPLETELY[found.completely]}."]


def _tell_read(found: Conclusions) -> list[str]:
    """What the network with known switches makes of something else; it never learnt to."""
    numbers = found.numbers
    told = "; ".join(
        f"{name} {_percent(numbers.value(condition, 'mean_iou'))}"
        for name, condition in zip(
            ("fixed switches", "another image's", "its own with the mean of its features"), READ, strict=True
        )
        if numbers.has(condition)
    )
    return [
        f"The network with known switches, given something else without having learnt it: {told}. That is "
        "what it relies on, not what could be done without."
    ]


def _percent(value: Value) -> str:
    return f"{value.mean:.1%} ({value.images[0]:.1%} to {value.images[1]:.1%})"


def _share(value: Value) -> str:
    return f"{value.mean:.0%} ({value.span[0]:.0%} to {value.span[1]:.0%})"


def _points(value: Value) -> str:
    low, high = value.images
    return f"{100 * value.mean:+.1f} ({100 * low:+.1f} to {100 * high:+.1f}) points"
