"""What is known after a forward pass: its poolings, and what became of their indices.

A finding has three states, as "not found" is no proof: yes, no evidence, and cannot be known.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from jaxtyping import Float
from torch import Tensor

from maxtunnel.switches.codes import SwitchLevel


class Evidence(StrEnum):
    """How sure a finding is."""

    YES = "yes"
    NONE = "no evidence"
    UNKNOWN = "cannot be known"


@dataclass(frozen=True)
class Finding:
    """Whether something was found.

    Attributes:
        evidence: in three states.
        how: where and in which form it was found, or why it cannot be known; empty without evidence.
    """

    evidence: Evidence = Evidence.NONE
    how: str = ""


@dataclass(frozen=True, eq=False)
class PooledLevel:
    """One max pooling that ran.

    Attributes:
        number: among the 2-d max poolings of the forward pass, in call order from 1.
        switches: the positions of its maxima (the *where*).
        values: the maxima (the *what*), as they were when they were pooled.
    """

    number: int
    switches: SwitchLevel
    values: Float[Tensor, "n c oh ow"]


# From the planes to be pooled and the level that max pooling makes of them, to the values and the codes that
# the model continues with.
Swap = Callable[[Tensor, PooledLevel], tuple[Tensor, Tensor]]


@dataclass
class Recording:
    """What the poolings of one forward pass did.

    Attributes:
        levels: the 2-d max poolings that were asked for, in call order.
        ran: how many 2-d max poolings ran, with those that were not asked for.
        not_covered: in words, what picks maxima but is described by no switch: poolings of other kinds, and
            maxima taken by operations like `amax`, which may be poolings too.
        unseen: why poolings may have run that were not seen: sentences without an end.
        unpoolings: how many times the model put values where its own indices say, by `max_unpool2d` or by
            `scatter` and its like (the latter are found by `trace` alone).
        index_uses: in words, every operation that took the model's own indices to write or to read by.
        leaving: by the name of each of `levels`, whether its indices leave with the output; empty unless
            they were traced.
        output: what the model returned.
    """

    levels: list[PooledLevel] = field(default_factory=list)
    ran: int = 0
    not_covered: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    unpoolings: int = 0
    index_uses: list[str] = field(default_factory=list)
    leaving: dict[str, Finding] = field(default_factory=dict)
    output: Any = None

    @property
    def returned(self) -> list[str]:
        """Names of the levels whose indices were found among the model's outputs."""
        return [name for name, found in self.leaving.items() if found.evidence is Evidence.YES]

    @property
    def returning(self) -> Finding:
        """Whether indices of any of the levels leave with the output."""
        return _strongest(self.leaving)

    @property
    def unpooling(self) -> Finding:
        """Whether the model uses its own indices; it cannot be known where its output changes with them."""
        if self.index_uses:
            return Finding(Evidence.YES, ", ".join(self.index_uses))
        hidden = {name: found for name, found in self.leaving.items() if found.evidence is Evidence.UNKNOWN}
        return _strongest(hidden)


def _strongest(found: dict[str, Finding]) -> Finding:
    """The surest evidence there is, with all that speaks for it."""
    for evidence in (Evidence.YES, Evidence.UNKNOWN):
        texts = [f"{name}: {each.how}" for name, each in found.items() if each.evidence is evidence]
        if texts:
            return Finding(evidence, "; ".join(texts))
    return Finding()
