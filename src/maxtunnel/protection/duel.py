"""The fine-tuning: a model that keeps its outputs, and a reader of its switches, trained in turns."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from maxtunnel.data.batches import Order, Pixels
from maxtunnel.data.images import to_float
from maxtunnel.protection.adversary import Adversary
from maxtunnel.protection.config import ProtectionConfig
from maxtunnel.protection.levels import shares_of
from maxtunnel.protection.outputs import Distillation
from maxtunnel.protection.student import Student
from maxtunnel.support.progress import OnProgress, silent

_POINTS = 60  # most points of a curve
_ROW = 10  # steps between two reports of the progress
_WARMUP = 0.05  # share of the steps over which the model's rate rises
_MOST = 1.0  # norm of the model's gradient


@dataclass(frozen=True)
class FineTuning:
    """How a fine-tuning went.

    Attributes:
        steps: of the model.
        seconds: that they took.
        curve: points of (step, share of the outputs' variance that is lost, share of the pixels' variance
            that the reader trained against it explains): means over the steps since the point before. The
            last is 0 without a reader.
        complete: whether it had all of its steps.
    """

    steps: int
    seconds: float
    curve: tuple[tuple[int, float, float], ...]
    complete: bool


@dataclass(frozen=True, eq=False)
class Duel:
    """What every fine-tuning has in common.

    Attributes:
        student: is trained.
        pixels: photographs to train on.
        distillation: measures what is lost of the outputs.
        config: the settings.
        stop: asked after each step whether to end.
        on_progress: told how far each is, in steps.
    """

    student: Student
    pixels: Pixels
    distillation: Distillation
    config: ProtectionConfig
    stop: Callable[[], bool] = lambda: False
    on_progress: OnProgress = silent

    def run(self, weight: float, adversary: Adversary | None, steps: int, name: str) -> FineTuning:
        """Fine-tune the model from where it is.

        Args:
            weight: of the penalty.
            adversary: the reader; None where the weight is 0.
            steps: of the model.
            name: for the progress.

        Raises:
            ValueError: the loss became NaN or infinite.
        """
        config, student = self.config, self.student
        optimizer = torch.optim.AdamW(student.parameters, 0.0, weight_decay=0.0)
        order = Order(len(self.pixels), self.batch, config.seed, reshuffle=True, flips=False)
        began = time.monotonic()
        done: list[tuple[float, float]] = []
        while len(done) < steps:
            for group in optimizer.param_groups:
                group["lr"] = rate(config.learning_rate, len(done), steps)
            images = to_float(self.pixels[order.at(len(done))[0]])
            done.append(self.step(weight, adversary, images, optimizer))
            if not math.isfinite(sum(done[-1])):
                raise ValueError(
                    f"the loss of {name} became infinite in step {len(done)}: give a lower `learning_rate`"
                )
            stop = self.stop()
            if len(done) % _ROW == 0 or len(done) == steps or stop:
                lost, explained = (sum(part) / len(part) for part in zip(*done[-_ROW:], strict=True))
                told = f", the reader explains {explained:.1%}" if adversary is not None else ""
                self.on_progress(name, len(done), steps, f"outputs lost {lost:.2%}{told}")
            if stop:
                break
        return FineTuning(len(done), time.monotonic() - began, _curve(done), len(done) == steps)

    def step(
        self,
        weight: float,
        adversary: Adversary | None,
        images: torch.Tensor,
        optimizer: torch.optim.Optimizer,
    ) -> tuple[float, float]:
        """One step of the reader, or several, and one of the model; what is lost, and what is read."""
        found = self.student(images)
        loss = lost = self.distillation.lost(found.outputs, self.student.original(images))
        explained = torch.zeros(())
        if adversary is not None:
            codes = [level.switches.codes for level in found.levels]
            for _ in range(self.config.reader_steps):
                adversary.learn(codes, images)
            explained = adversary.explained(shares_of(found.levels, self.student.temperature), images)
            loss = lost + weight * explained
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters, _MOST)
        optimizer.step()
        return float(lost.detach()), float(explained.detach())

    @property
    def batch(self) -> int:
        """Photographs a step: an exported program may take only so many."""
        return self.student.target.batch or self.config.batch


def rate(highest: float, step: int, steps: int) -> float:
    """The model's learning rate in step `step`, counted from 0."""
    rise = max(1, round(_WARMUP * steps))
    if step < rise:
        return highest * (step + 1) / rise
    return highest * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _curve(done: list[tuple[float, float]]) -> tuple[tuple[int, float, float], ...]:
    """The values over the steps, thinned to a few points."""
    each, points = -(-len(done) // _POINTS) or 1, []
    for start in range(0, len(done), each):
        part = done[start : start + each]
        lost, explained = (sum(values) / len(part) for values in zip(*part, strict=True))
        points.append((start + len(part), lost, explained))
    return tuple(points)
