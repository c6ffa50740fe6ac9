"""A model's own task, measured by a person's function; with an interval where it tells of each photograph."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from maxtunnel.auditing.targets import Target, evaluating
from maxtunnel.evaluation.intervals import Interval, bootstrap
from maxtunnel.support.files import with_kind

# A person's function, from a module that is called like the model to how well it does its task: a number, or
# a value for each photograph.
Metric = Callable[[nn.Module], Any]


@dataclass(frozen=True)
class Score:
    """What a metric says of a model.

    Attributes:
        value: the number, or the mean of the values of all photographs.
        ci95: 95 % bootstrap interval of that mean; None where the metric returned one number.
        change: the value less the original's, with its interval over the same photographs in `change_ci95`;
            None of the original.
        each: the value of each photograph; empty where the metric returned one number.
    """

    value: float
    ci95: Interval | None = None
    change: float | None = None
    change_ci95: Interval | None = None
    each: Float64[Tensor, " n"] = field(default_factory=lambda: torch.empty(0).double(), repr=False)

    def against(self, original: "Score") -> "Score":
        """The same with its change from the original."""
        paired = len(self.each) > 1 and self.each.shape == original.each.shape
        interval = bootstrap(self.each - original.each) if paired else None
        return Score(self.value, self.ci95, self.value - original.value, interval, self.each)


def score(target: Target, metric: Metric, model: nn.Module, name: str) -> Score:
    """What a person's metric says.

    Args:
        target: says in which settings its model runs.
        metric: takes a module that is called like the model, and gives a number, or a value for each of its
            photographs (a tensor, an array or a list).
        model: in eval mode meanwhile.
        name: of what is in place, for an error.

    Raises:
        ValueError: it fails, or gives neither.
    """
    try:
        with evaluating(model, target.settings), torch.no_grad():
            found = torch.as_tensor(metric(model)).detach().double().cpu().flatten()
    # A person's function may fail in any way, and a script may exit.
    except (Exception, SystemExit) as error:
        raise ValueError(f"`metric` fails with {name} ({with_kind(error)})") from error
    if not found.numel() or not bool(found.isfinite().all()):
        what = "a number that is not finite" if found.numel() else "no value"
        raise ValueError(f"`metric` gives {what} with {name}: return a number, or one for each photograph")
    if found.numel() == 1:
        return Score(float(found))
    return Score(float(found.mean()), bootstrap(found), each=found)
