"""What an audit is asked for."""

import math
from dataclasses import dataclass

SEARCHED = 1000  # most photographs to measure on, and to search the right one among


@dataclass(frozen=True)
class AuditConfig:
    """How an audit is done.

    Attributes:
        minutes: for everything but the mitigations, from reading to the report; about half of it trains the
            decoder of known switches.
        steps: of that decoder, instead of `minutes`; every other decoder takes a quarter as many. The result
            is then the same every time.
        mitigations: minutes for trying out mitigations; 0 leaves them out.
        levels: numbers of the poolings that an observer sees, in call order from 1; None for all.
        images: held-out photographs that each row is measured on; fewer where time is short, but at least 16.
        width: most channels between the two layers of a decoder's block.
        least_steps: of a decoder: one with fewer has hardly begun to learn, and nothing is concluded from it.
        seed: draws the split of the photographs, the decoders' weights and the order of training.
    """

    minutes: float = 10.0
    steps: int | None = None
    mitigations: float = 0.0
    levels: tuple[int, ...] | None = None
    images: int = 256
    width: int = 32
    least_steps: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.minutes < math.inf:
            raise ValueError(f"`minutes` is {self.minutes}: expected a finite number above 0")
        if not 0 <= self.mitigations < math.inf:
            raise ValueError(f"`mitigations` is {self.mitigations}: expected minutes, or 0 for none")
        for name in ("steps", "images", "width", "least_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` is {value}: expected at least 1")


DEFAULTS = AuditConfig()
