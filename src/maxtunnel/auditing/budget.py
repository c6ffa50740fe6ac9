"""How an audit shares its time out among capturing, training and measuring."""

import math
import time
from dataclasses import dataclass

from maxtunnel.auditing.config import AuditConfig
from maxtunnel.auditing.ledger import Training
from maxtunnel.training.recipes import FAST

LEAST_MEASURED = 64  # photographs that a row is measured on, however short the time
EQUAL_DECODERS = 7  # random, fixed, where, what, both, levels, untrained


@dataclass(frozen=True)
class Budget:
    """The time, or the steps, of one audit.

    Attributes:
        config: says how much there is.
        began: `time.monotonic()` when the audit began.
        levels: that an observer sees.
    """

    config: AuditConfig
    began: float
    levels: int

    @property
    def seconds(self) -> float:
        """For everything but the mitigations; without a bound where steps are given."""
        return self.config.minutes * 60 if self.config.steps is None else math.inf

    @property
    def passed(self) -> float:
        """Seconds since the audit began."""
        return time.monotonic() - self.began

    @property
    def known_steps(self) -> int:
        """Of the decoder of known switches; with `known_seconds` they only shape its learning rate."""
        return self.config.steps or FAST.steps

    @property
    def known_seconds(self) -> float | None:
        """For the decoder of known switches; None where steps are given."""
        return self.seconds / 2 if self.config.steps is None else None

    @property
    def given_steps(self) -> int | None:
        """Of every other decoder, where steps are given."""
        return None if self.config.steps is None else max(1, self.config.steps // 4)

    def equal_steps(self, known: Training, row_seconds: float) -> int:
        """Steps of each of the other decoders, so that they and all measuring fit into what is left.

        Args:
            known: the training of the decoder of known switches.
            row_seconds: that it takes to measure a row.
        """
        if self.given_steps is not None:
            return self.given_steps
        left = self.seconds - self.passed - self._rows * row_seconds - 0.08 * self.seconds
        return max(20, int(0.85 * left / EQUAL_DECODERS / known.seconds_per_step))

    def measured(self, most: int, seconds_each: float) -> int:
        """Photographs to measure rows on, so that all rows take an eighth of the time.

        Args:
            most: the upper bound.
            seconds_each: that it takes to measure a row on one photograph.
        """
        if self.config.steps is not None:
            return most
        return min(most, max(LEAST_MEASURED, int(self.seconds / 8 / self._rows / seconds_each)))

    @property
    def _rows(self) -> int:
        """How many rows are measured."""
        return 7 + 2 * self.levels
