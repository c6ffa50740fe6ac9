"""What is measured of every model: what its switches tell, what it lost, how well it does its task."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from maxtunnel.auditing.attacker import Attacker, CutShort
from maxtunnel.auditing.experiments import SHOWN
from maxtunnel.auditing.ledger import DecoderInput
from maxtunnel.auditing.mitigations import MitigatedModel, Mitigation
from maxtunnel.auditing.rows import Row
from maxtunnel.auditing.samples import Samples
from maxtunnel.auditing.scores import Metric, Score, score
from maxtunnel.data.images import to_float, to_uint8
from maxtunnel.evaluation.intervals import Interval, bootstrap
from maxtunnel.protection.outcome import Line
from maxtunnel.protection.outputs import Distillation
from maxtunnel.protection.student import Student
from maxtunnel.switches.window import Window
from maxtunnel.training.loop import TrainingDiverged


@dataclass(frozen=True, eq=False)
class Measures:
    """Measures the model as it is at the moment, on held-out photographs.

    Attributes:
        student: the model.
        held: the photographs.
        distillation: measures what is lost of the original's outputs.
        metric: of the model's own task; None for none.
        left_out: takes in what could not be measured, in sentences.
        pictures: takes in what readers rebuilt, by the names of lines.
    """

    student: Student
    held: UInt8[Tensor, "n 3 h w"]
    distillation: Distillation
    metric: Metric | None
    left_out: list[str] = field(default_factory=list)
    pictures: dict[str, UInt8[Tensor, "n 3 h w"]] = field(default_factory=dict)

    def leak(self, attacker: Attacker, given: DecoderInput, steps: int) -> Row | None:
        """What a reader that is trained from nothing rebuilds; None where that was cut short or failed."""
        try:
            reader = attacker.train(given, steps)
        except CutShort as error:
            self.left_out.append(f"left out: what the switches tell of {given.name} (cut short: {error})")
            return None
        except TrainingDiverged as error:
            self.left_out.append(f"failed: the reader of {given.name} ({error})")
            return None
        shown = torch.arange(min(SHOWN, len(attacker.held)))
        self.pictures[given.name] = to_uint8(attacker.rebuild(reader, given, shown))
        return attacker.measure(reader, given)[0]

    def lost(self, model: nn.Module | None = None) -> tuple[float, Interval]:
        """The share of the outputs' variance that is lost, with its 95 % interval over photographs.

        Args:
            model: a mitigation around the student's; by default the student's itself.
        """
        size = self.student.target.batch or 32
        found = []
        for piece in self.held.split(size):
            # A program that takes only so many photographs leaves the last few out.
            if self.student.target.batch in (None, len(piece)):
                images = to_float(piece)
                pair = self.student.outputs(images, model), self.student.original(images)
                found.append(self.distillation.lost_each(*pair, len(piece)))
        each = torch.cat(found)
        return float(each.mean()), bootstrap(each)

    def score(self, mitigation: Mitigation, name: str) -> Score | None:
        """The model's own task with a mitigation in place; None without a metric."""
        if self.metric is None:
            return None
        target = self.student.target
        return score(target, self.metric, MitigatedModel(target, mitigation.swap), name)


def bits_of(samples: Samples, bits: Callable[[Window, int], float]) -> float:
    """Bits of all switches of a photograph, where one of a window, on a level of a number, says so many."""
    levels = samples.by_number.items()
    return sum(level.codes.numel() * bits(level.window, number) for number, level in levels)


def mitigated(measures: Measures, attacker: Attacker, mitigation: Mitigation, steps: int) -> Line:
    """The line of the original with a mitigation; where it leaves no bits, nothing is to be read.

    Args:
        measures: of the original.
        attacker: has its switches.
        mitigation: is put in place.
        steps: of the reader; 0 trains none.
    """
    bits = bits_of(attacker.seen, mitigation.bits)
    given = DecoderInput(mitigation.name, (mitigation.change,))
    leak = measures.leak(attacker, given, steps) if steps and bits else None
    lost, interval = measures.lost(MitigatedModel(measures.student.target, mitigation.swap))
    return Line(
        mitigation.name, None, bits, leak, lost, interval, measures.score(mitigation, mitigation.name)
    )
