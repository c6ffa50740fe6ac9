"""How long several runs take in all: as estimated at first, then by what they took so far."""

import math
import time
from collections.abc import Callable, Sequence

from maxtunnel.paper.trial import duration

# The pace says more than the estimate after so many seconds, and so large a part of the estimate.
_ENOUGH, _PART = 20.0, 0.02
# What is announced anew: an end that has moved by this factor from what was last said.
_FAR = 1.5


class Pace:
    """The time that runs took, and will take.

    Args:
        estimated: seconds of each run.
        announce: told where the end has moved far from what was last said.
    """

    def __init__(self, estimated: Sequence[float], announce: Callable[[str], None]) -> None:
        self._estimated, self._announce = list(estimated), announce
        self._began, self._said = time.monotonic(), sum(estimated)
        self._shares = [0.0] * len(estimated)
        # Of the estimate: what took its time here, which is not what an earlier call did.
        self._spent = 0.0

    @property
    def passed(self) -> int:
        """Whole seconds since the beginning."""
        return math.ceil(time.monotonic() - self._began)

    @property
    def total(self) -> int:
        """Whole seconds from the beginning to the end, as far as can be told now."""
        shares = zip(self._estimated, self._shares, strict=True)
        left = sum(seconds * (1 - share) for seconds, share in shares)
        return math.ceil(self.passed + left * self._slowness())

    def move(self, run: int, share: float, earlier: bool = False) -> None:
        """Note how much of a run is done, from 0 to 1; `earlier` where an earlier call did it."""
        gained = max(0.0, share - self._shares[run])
        self._shares[run] += gained
        if not earlier:
            self._spent += gained * self._estimated[run]
        total = self.total
        if self._known() and not self._said / _FAR < total < self._said * _FAR:
            self._said = total
            more = duration(max(0.0, float(total - self.passed)))
            self._announce(
                f"By the pace so far, training takes about {duration(float(total))} in all: {more} more"
            )

    def _known(self) -> bool:
        return self.passed >= _ENOUGH and self._spent >= _PART * sum(self._estimated)

    def _slowness(self) -> float:
        """Seconds that a second of the estimate takes."""
        return (time.monotonic() - self._began) / self._spent if self._known() else 1.0
