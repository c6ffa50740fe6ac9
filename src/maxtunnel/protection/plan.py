"""How the time is shared out: as many steps for every fine-tuning and every reader as fit into it."""

from dataclasses import dataclass

from maxtunnel.auditing.conclusions import readable_minutes
from maxtunnel.protection.config import ProtectionConfig

_USED = 0.85  # share of what is left that is planned for: a shared machine becomes slower
LATE = 1.12  # times the time: later, what runs is cut short


@dataclass(frozen=True)
class Pace:
    """How long the parts take here, in seconds.

    Attributes:
        reader: a step of training a reader.
        duel: a step of a fine-tuning against a reader, with the reader's own.
        control: a step of a fine-tuning without a reader.
        row: measuring a reader and an output on all held-out photographs.
        capture: of the photographs that a step of a reader takes.
        metric: of the model's own task.
    """

    reader: float
    duel: float
    control: float
    row: float
    capture: float
    metric: float


@dataclass(frozen=True)
class Plan:
    """What the time is used for.

    Attributes:
        steps: of every fine-tuning and of every reader.
        readings: mitigations against which a reader is trained.
    """

    steps: int
    readings: int


def share_out(config: ProtectionConfig, pace: Pace, seconds: float, readings: int) -> Plan:
    """The most steps with as many mitigations as allow each training `least_steps`.

    Args:
        config: the weights, and the bounds.
        pace: of the parts.
        seconds: that are left.
        readings: mitigations that a reader could be trained against.

    Raises:
        ValueError: the time is too short even without mitigations.
    """
    if config.steps is not None:
        return Plan(config.steps, readings)
    for count in range(readings, -1, -1):
        each, once = _costs(config, pace, count)
        steps = int((_USED * seconds - once) / each)
        if steps >= config.least_steps:
            return Plan(steps, count)
    needed = (config.least_steps * each + once) / _USED + config.minutes * 60 - seconds
    raise ValueError(
        f"`minutes` is {config.minutes:g}: {config.least_steps} steps for each fine-tuning and each reader "
        f"take {readable_minutes(1.1 * needed / 60)} here; give as much, or fewer `weights`, or `steps`"
    )


def _costs(config: ProtectionConfig, pace: Pace, readings: int) -> tuple[float, float]:
    """Seconds for each step that all trainings have, and seconds besides."""
    models, duels = len(config.weights), sum(weight > 0 for weight in config.weights)
    each = (1 + models + readings) * pace.reader + duels * pace.duel + (models - duels) * pace.control
    once = (1 + models + readings) * pace.row + (1 + models) * pace.metric
    return each + models * pace.capture, once
