"""What an audit is asked for."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from maxtunnel.support.choices import DecoderKind

SEARCHED = 1000  # most photographs to measure on, and to search the right one among


@dataclass(frozen=True)
class AuditConfig:
    """How an audit is done.

    Attributes:
        minutes: for everything but the mitigations, from reading to the report; about half of it trains the
            decoders of known switches.
        steps: of each of these, instead of `minutes`; that for levels takes half as many, every other one a
            quarter. The result is then the same every time.
        mitigations: minutes for trying out mitigations; 0 leaves them out.
        levels: numbers of the poolings that an observer sees, in call order from 1; None for all.
        images: held-out photographs that each row is measured on; fewer where time is short, but at least 16.
        width: of the decoders; None for their kind's own (see `readers`). Of a strong one, the channels of
            every scale; of a mirrored one, most channels between the two layers of a block.
        least_steps: of a decoder: nothing is concluded from one with fewer, as it has hardly begun to learn.
            It is there so that an audit without the time for its own controls says so, in the place of a
            number that tells of the decoders and not of the model; the time is shared out so that every
            decoder gets at least so many. With 100, rows that are put against each other are in order where
            with 50 they were not (measured in docs/audit.md); no decoder has then read all it can, and what
            its row says is a lower bound.
        refine: rounds in which pictures of known switches are refined through the model (`models.refine`),
            after all else, of 4 to 64 photographs, as many as half of `minutes` more allows; 0 leaves it out.
        seed: draws the split of the photographs, the decoders' weights and the order of training.
        decoder: the kind of all decoders (see `readers`); with both, the known switches are read by one of
            each kind, and the others are of the kind that reads more.
    """

    minutes: float = 10.0
    steps: int | None = None
    mitigations: float = 0.0
    levels: tuple[int, ...] | None = None
    images: int = 256
    width: int | None = None
    least_steps: int = 100
    seed: int = 0
    decoder: DecoderKind | Literal["both"] = "both"
    refine: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.minutes < math.inf:
            raise ValueError(f"`minutes` is {self.minutes}: expected a finite number above 0")
        if not 0 <= self.mitigations < math.inf:
            raise ValueError(f"`mitigations` is {self.mitigations}: expected minutes, or 0 for none")
        if self.refine < 0:
            raise ValueError(f"`refine` is {self.refine}: expected a number of rounds, or 0 for none")
        kinds = (*get_args(DecoderKind), "both")
        if self.decoder not in kinds:
            raise ValueError(f"`decoder` is {self.decoder!r}: expected {' or '.join(kinds)}")
        for name in ("steps", "images", "width", "least_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` is {value}: expected at least 1")

    @property
    def kinds(self) -> tuple[DecoderKind, ...]:
        """Those of the decoders of known switches, in the order in which they are trained."""
        return get_args(DecoderKind) if self.decoder == "both" else (self.decoder,)


DEFAULTS = AuditConfig()
