"""Work that is done in parts, and that does not know where: here, or wherever an engine takes it.

A part and what becomes of it (its row) can be pickled, as can the work: no open files, no lambdas. What is
made of the rows is made in the order of the parts, so that it is the same wherever they were done.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from maxtunnel.support.memory import give_back_freed

# Seconds after which memory is given back. It costs less than a hundredth of them.
_GIVE_BACK = 5.0

Part = TypeVar("Part")
Row = TypeVar("Row")


@runtime_checkable
class Spread(Protocol):
    """Does the same work for many parts."""

    def __call__(
        self, work: Callable[[Part], Row], parts: Sequence[Part], whole_node: bool = False
    ) -> Iterator[tuple[int, Row]]:
        """The number of each part and its row, in the order in which they are done.

        Args:
            work: done once for each part, again where a worker is lost, so it must give the same then. An
                exception ends all.
            parts: of the work.
            whole_node: a part can use all processors of a machine; otherwise one.
        """
        ...


def here(
    work: Callable[[Part], Row], parts: Sequence[Part], whole_node: bool = False
) -> Iterator[tuple[int, Row]]:
    """The engine that every machine has: one part after the other, in this process.

    Rows are kept meanwhile, and lie between what the parts needed: memory would grow with every part.
    """
    given_back = time.monotonic()
    for number, part in enumerate(parts):
        yield number, work(part)
        if time.monotonic() - given_back > _GIVE_BACK:
            give_back_freed()
            given_back = time.monotonic()


def in_order(done: Iterator[tuple[int, Row]]) -> Iterator[Row]:
    """The rows in the order of their parts, each as soon as all before it are there."""
    waiting: dict[int, Row] = {}
    following = 0
    for number, row in done:
        waiting[number] = row
        while following in waiting:
            yield waiting.pop(following)
            following += 1


class Parts(Sequence[Part]):
    """Parts that are cut out when they are asked for: of all at once there may be too many.

    Args:
        numbers: of the parts.
        cut: the part of a number.
    """

    def __init__(self, numbers: Sequence[int], cut: Callable[[int], Part]) -> None:
        self.numbers, self.cut = numbers, cut

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, which: int) -> Part:  # type: ignore[override]
        return self.cut(self.numbers[which])


def complete(
    there: dict[int, Row], work: Callable[[Part], Row], parts: Parts[Part], spread: Spread
) -> Iterator[Row]:
    """Do the parts whose numbers are not `there` yet; each row is added as it is done, and given out."""
    left = Parts([number for number in parts.numbers if number not in there], parts.cut)
    for place, row in spread(work, left):
        there[left.numbers[place]] = row
        yield row
