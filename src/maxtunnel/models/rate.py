"""How many bits a learned model of switches needs for them: a term for the rate, with a gradient.

It sees what the prior of a switch file sees (`codec.prior`), in the same order: the level above, of its own
level the earlier channels all around a window, and of its own channel what lies to the left and above. For
channel c:

    hidden = ReLU(bias_c + above + sum of trunk_k over the channels k before c + own_c)     of HIDDEN units
    bits   = - sum over the four cells of share x log2 softmax(out_c hidden)

`above` and `trunk` reach 3x3 windows, `own` the two to the left and the five in each of two rows above, as
there. The shares are one-hot with a gradient (`surrogate`), both as what is coded and as what is known: an
encoder learns to make switches likely, and to make them tell of others.

Unlike a prior's, the arithmetic is floating point, so nothing is coded with it: it says what a prior that was
trained on these switches would come to.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.models.surrogate import CELLS, Shares

HIDDEN = 32
_REACH, _ABOVE = 3, 4  # windows to each side of `trunk` and `above`; windows below one of the level above


class SwitchRate(nn.Module):
    """The bits of all levels of an encoder's switches.

    Args:
        widths: channels of each level, finest first.
        seed: draws the weights.
    """

    def __init__(self, widths: Sequence[int], seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.levels = nn.ModuleList(
            _LevelRate(channels, above, generator)
            for channels, above in zip(widths, (*widths[1:], 0), strict=True)
        )

    def forward(self, shares: Sequence[Float[Tensor, "n _ 4 _ _"]]) -> Float[Tensor, ""]:
        """The bits of a batch's switches, all together.

        Args:
            shares: one-hot, of every level, finest first.
        """
        bits = [
            level(own, above).sum()
            for level, own, above in zip(self.levels, shares, (*shares[1:], None), strict=True)
        ]
        return torch.stack(bits).sum()


class _LevelRate(nn.Module):
    def __init__(self, channels: int, above: int, generator: torch.Generator) -> None:
        super().__init__()
        self.channels, units = channels, channels * HIDDEN
        seen = CELLS * _REACH**2
        self.bias = nn.Parameter(torch.zeros(units))
        self.trunk = _drawn((units, CELLS, _REACH, _REACH), 3 / (seen * max(1, channels - 1)), generator)
        self.own = _drawn((units, CELLS, 3, 5), 3 / (CELLS * 12), generator)
        self.above = (
            _drawn((_ABOVE * HIDDEN, CELLS * above, _REACH, _REACH), 3 / (seen * above), generator)
            if above
            else None
        )
        self.out = _drawn((CELLS * channels, HIDDEN, 1, 1), 0.3 / HIDDEN, generator)
        self.out_bias = nn.Parameter(torch.zeros(CELLS * channels))
        known = torch.zeros(3, 5)
        known[:2], known[2, :2] = 1, 1
        self.known: Tensor
        self.register_buffer("known", known, persistent=False)

    def forward(self, shares: Shares, above: Float[Tensor, "n _ 4 _ _"] | None) -> Float[Tensor, "n c oh ow"]:
        """The bits of every switch of a level, given the level above it."""
        planes = shares.flatten(1, 2)
        hidden = self._own(planes) + self._earlier(planes)
        if above is not None:
            assert self.above is not None
            told = F.conv2d(above.flatten(1, 2), self.above, padding=_REACH // 2)
            hidden = hidden + F.pixel_shuffle(told, 2)[:, None]
        hidden = F.relu(hidden).flatten(1, 2)
        logits = F.conv2d(hidden, self.out, self.out_bias, groups=self.channels)
        likely = F.log_softmax(logits.to(shares.dtype).unflatten(1, (self.channels, CELLS)), dim=2)
        return -(shares * likely).sum(2) / math.log(2)

    def _own(self, planes: Tensor) -> Float[Tensor, "n c hidden h w"]:
        """What the channel's own windows before the present one say."""
        x = F.conv2d(F.pad(planes, (2, 2, 2, 0)), self.own * self.known, self.bias, groups=self.channels)
        return x.unflatten(1, (self.channels, HIDDEN))

    def _earlier(self, planes: Tensor) -> Float[Tensor, "n c hidden h w"]:
        """What the channels before each say: a sum that grows from channel to channel."""
        said = F.conv2d(planes, self.trunk, padding=_REACH // 2, groups=self.channels)
        said = said.unflatten(1, (self.channels, HIDDEN))
        return F.pad(said[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0)).cumsum(1)


def _drawn(shape: tuple[int, int, int, int], square: float, generator: torch.Generator) -> nn.Parameter:
    """Weights in +-sqrt(square)."""
    bound = math.sqrt(square)
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))
