"""What protecting a model is asked for."""

import math
from dataclasses import dataclass
from typing import get_args

from maxtunnel.support.choices import BatchNorm, Trained


@dataclass(frozen=True)
class ProtectionConfig:
    """How a model is fine-tuned so that its switches tell less, and how that is measured.

    Attributes:
        minutes: for everything, from reading to the report.
        weights: of the penalty on the reader, one fine-tuned model each: 1 gives up a share of the outputs'
            variance for as large a share of the pixels' variance. 0 is the control, without a reader.
        steps: of every fine-tuning and of every reader, instead of `minutes`; repeatable on one machine.
        levels: numbers of the poolings that an observer sees, in call order from 1; None for all.
        trained: `all` weights that require a gradient, or only those `before-pooling`, on which these levels
            depend.
        batch_norm: `frozen`: the running statistics stay the model's own; `updated`: they follow the
            photographs, and while training batches are normalised by their own.
        learning_rate: of AdamW on the model, at its highest; it falls to 0 along half a cosine.
        reader_steps: of the reader for each step of the model.
        temperature: of the softmax through which the gradient passes the switches (`models.surrogate`).
        batch: photographs a step.
        alone: leave out what can be done without training, which is measured beside where time allows.
        images: held-out photographs that each row is measured on.
        width: channels of the readers; None for an audit's own.
        least_steps: of a fine-tuning and of a reader: with fewer nothing can be said.
        seed: draws the split of the photographs, the readers' weights and the order of training.
    """

    minutes: float = 30.0
    weights: tuple[float, ...] = (0.0, 0.1, 1.0)
    steps: int | None = None
    levels: tuple[int, ...] | None = None
    trained: Trained = "all"
    batch_norm: BatchNorm = "frozen"
    learning_rate: float = 1e-3
    reader_steps: int = 1
    temperature: float = 0.5
    batch: int = 8
    alone: bool = False
    images: int = 256
    width: int | None = None
    least_steps: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.weights or not all(0 <= weight < math.inf for weight in self.weights):
            raise ValueError(f"`weights` is {_listed(self.weights)}: expected finite numbers of at least 0")
        if len({*self.weights}) < len(self.weights):
            raise ValueError(f"`weights` is {_listed(self.weights)}: give each only once")
        for name in ("minutes", "learning_rate", "temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"`{name}` is {getattr(self, name)}: expected a finite number above 0")
        for name, kind in (("trained", Trained), ("batch_norm", BatchNorm)):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(
                    f"`{name}` is {getattr(self, name)!r}: expected {' or '.join(get_args(kind))}"
                )
        for name in ("steps", "reader_steps", "batch", "images", "width", "least_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` is {value}: expected at least 1")


DEFAULTS = ProtectionConfig()


def parse_weights(text: str) -> tuple[float, ...]:
    """Weights of the penalty from words like `0,0.1,1`.

    Raises:
        ValueError: they are no numbers.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"`weights` is {text!r}: expected numbers with commas between, as 0,0.1,1") from None


def _listed(weights: tuple[float, ...]) -> str:
    return ", ".join(f"{weight:g}" for weight in weights) or "empty"
