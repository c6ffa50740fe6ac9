"""What an audit is asked for."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class AuditConfig:
    """How an audit is done.

    Attributes:
        minutes: for everything but the mitigations; half of it trains the decoder of known switches.
        steps: of that decoder, instead of `minutes`; every other decoder takes a quarter as many. The result
            is then the same every time.
        mitigations: minutes for trying out mitigations; 0 leaves them out.
        images: held-out photographs that each row is measured on; fewer where time is short, but at least 64.
        width: most channels between the two layers of a decoder's block.
        seed: draws the split of the photographs, the decoders' weights and the order of training.
    """

    minutes: float = 10.0
    steps: int | None = None
    mitigations: float = 0.0
    images: int = 256
    width: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.minutes < math.inf:
            raise ValueError(f"`minutes` is {self.minutes}: expected a finite number above 0")
        if not 0 <= self.mitigations < math.inf:
            raise ValueError(f"`mitigations` is {self.mitigations}: expected minutes, or 0 for none")
        for name in ("steps", "images", "width"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` is {value}: expected at least 1")


DEFAULTS = AuditConfig()
