"""What a model puts out, and how much of it another model puts out too."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

Outputs = dict[str, Tensor]
_LEAST = 1e-20  # of the variance of an output: below it the output says nothing about the photograph


def outputs_in(returned: object) -> Outputs:
    """Every floating-point tensor in what a model returned, by the place where it stands.

    Looked into are lists, tuples, dicts and dataclasses, and what is one of them (named tuples, ordered
    dicts). Whole numbers, such as indices, have no gradient and are left out.
    """
    return dict(_walk(returned, "the output"))


def _walk(part: object, place: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(part, Tensor):
        if part.is_floating_point() and part.numel():
            yield place, part
    elif isinstance(part, Mapping):
        for key, value in part.items():
            yield from _walk(value, f"{place}[{key!r}]")
    elif isinstance(part, list | tuple):
        for number, value in enumerate(part):
            yield from _walk(value, f"{place}[{number}]")
    elif dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            yield from _walk(getattr(part, field.name, None), f"{place}.{field.name}")


@dataclass(frozen=True)
class Distillation:
    """How much of the original's outputs is lost: their squared error, as a share of their variance.

    Attributes:
        variances: of each output over photographs: mean squared distance from its mean over them.
    """

    variances: Mapping[str, float]

    @classmethod
    def of(cls, pieces: Sequence[Outputs]) -> "Distillation":
        """Of the outputs that the original gives for some batches of photographs.

        Raises:
            ValueError: there is none that could be kept.
        """
        if not pieces[0]:
            raise ValueError(
                "it returns no floating-point tensor (in a list, tuple, dict or dataclass), so there is no "
                "output to keep by distillation: give a build() whose model returns scores, not decisions"
            )
        found: dict[str, float] = {}
        for place, first in pieces[0].items():
            same = [piece[place] for piece in pieces if place in piece]
            if len(same) < len(pieces) or any(each.shape[1:] != first.shape[1:] for each in same):
                raise ValueError(
                    f"{place} differs in shape from photograph to photograph, so it cannot be kept by "
                    "distillation: give a build() whose model returns what stands before that"
                )
            values = torch.cat([each.detach().double().cpu().reshape((*each.shape[:1], -1)) for each in same])
            if not bool(values.isfinite().all()):
                raise ValueError(f"{place} is not finite everywhere, so it cannot be kept by distillation")
            variance = float((values - values.mean(0)).square().mean())
            if variance > _LEAST:
                found[place] = variance
        if not found:
            raise ValueError("its outputs are the same for all photographs: there is nothing to keep")
        return cls(found)

    def lost(self, student: Outputs, teacher: Outputs) -> Tensor:
        """The share that is lost, a mean over the outputs; 0 where both are alike, about 1 for constants.

        Args:
            student: outputs of the fine-tuned model.
            teacher: those of the original for the same photographs.
        """
        shares = [
            (student[place] - teacher[place]).float().square().mean() / variance
            for place, variance in self.variances.items()
        ]
        return torch.stack(shares).mean()

    def lost_each(self, student: Outputs, teacher: Outputs, count: int) -> Float64[Tensor, " n"]:
        """The same of each of `count` photographs; outputs that are not one a photograph count as a whole."""
        total = torch.zeros(count, dtype=torch.float64)
        for place, variance in self.variances.items():
            squares = (student[place] - teacher[place]).detach().double().square().cpu()
            each = squares.reshape(len(squares), -1).mean(1) if len(squares) == count else squares.mean()
            total += each / variance
        return total / len(self.variances)
