"""A gradient through switches: a softmax over the cells of each window, in the place of their maximum.

In a window of channel c let v_1 ... v_4 be the values, m the largest of them, u the mean of them, and

    s_c^2 = mean of (v_k - u)^2       over cells, windows and images: how far the values of a window lie apart
    z_k   = (v_k - m) / (t_c s_c)     t_c: the channel's temperature, which is learned
    p     = softmax(z + a g)          g: Gumbel noise, a: how much of it there is
    h     = one-hot of the largest z + a g, the first of equal ones

Forward goes h, backward the gradient of p (straight-through: Bengio, Leonard, Courville 2013, arXiv
1308.3432; with Gumbel noise: Jang, Gu, Poole 2017, arXiv 1611.01144). Neither u nor m moves a share, as the
softmax knows differences alone. Dividing by s_c makes it blind to the scale of the layer too, which decides
no switch.

Where a ReLU stands before the pooling, v are the sums before it, and zero is a fifth candidate beside them:

    m     = largest of 0, v_1 ... v_4,  z_0 = (0 - m) / (t_c s_c)

Where zero wins the ReLU leaves zeros alone, of which the first cell is the maximum: the share of zero is
added to that of the first cell. So a window learns to lie above zero or below it, the more the nearer it is.

- Ties: without noise h is what `pool` gives, the first maximum, exactly. Noise decides between equal maxima,
  but where all four are equal it has nothing to add: such a window keeps code 0, as it will outside of
  training. It is added to the cells alone, so it may lift a window above zero or push it below.
- Dead channels: where s_c^2 is below 1e-12 there is no scale. The channel's candidates have equal shares, its
  gradient is 0, and its codes are those of `pool`.

Shares are float, (n, c, 4, oh, ow), in the order of codes: 0 top left, 3 bottom right.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.switches.pooling import pool

CELLS, SIDE = 4, 2
_LEAST = 1e-12  # mean square of a window's deviations, on the network's inner scale

Shares = Float[Tensor, "n c 4 oh ow"]


def relax(
    x: Float[Tensor, "n c h w"],
    temperature: Float[Tensor, " c"],
    noise: Shares | None = None,
    rectified: bool = False,
) -> Shares:
    """The share of each cell in its window, by the softmax above: differentiable in all arguments.

    Args:
        x: the plane that is pooled; sides are even.
        temperature: of each channel, above 0.
        noise: added to what goes into the softmax.
        rectified: whether a ReLU lies between `x` and the pooling.
    """
    return _shares(_logits(x, temperature, noise, rectified)[0])


def switch(
    x: Float[Tensor, "n c h w"],
    temperature: Float[Tensor, " c"],
    noise: Shares | None = None,
    rectified: bool = False,
) -> tuple[Float[Tensor, "n c oh ow"], Shares]:
    """Pooled values, and the window's one-hot switch, whose gradient is that of `relax`.

    Args:
        x: the plane that is pooled; sides are even.
        temperature: of each channel, above 0.
        noise: Gumbel noise times its amount; where it is 0 everywhere, or None, the switches are `pool`'s.
        rectified: whether a ReLU lies between `x` and the pooling.

    Returns:
        The largest value of each window, noise or not, and the one-hot shares.
    """
    values, codes = pool(F.relu(x) if rectified else x, check=False)
    logits, alive = _logits(x, temperature, noise, rectified)
    if noise is not None:
        # Elsewhere the logits would do, but for values so close that they round to one.
        told = (noise != 0).any(2) & (_spread(x) > 0) & alive[:, None, None]
        codes = torch.where(told, _winner(logits), codes)
    soft, hard = _shares(logits), one_hot(codes, x.dtype)
    return values, hard + (soft - soft.detach())


def one_hot(codes: UInt8[Tensor, "n c oh ow"], dtype: torch.dtype = torch.float32) -> Shares:
    """Codes of 2x2 windows as shares of 0 and 1."""
    cells = torch.arange(CELLS, dtype=torch.uint8, device=codes.device)[:, None, None]
    return (codes[:, :, None] == cells).to(dtype)


def put_shares(values: Float[Tensor, "n c oh ow"], shares: Shares) -> Float[Tensor, "n c h w"]:
    """Each value spread over its window by the shares: for one-hot ones, what `unpool` gives."""
    return F.pixel_shuffle((values[:, :, None] * shares).flatten(1, 2), SIDE)


def gumbel(shape: Sequence[int], generator: torch.Generator) -> Float[Tensor, "..."]:
    """Gumbel noise, -log(-log(u)) of uniform u, on the generator's device; always finite."""
    uniform = torch.rand(*shape, generator=generator, device=generator.device)
    return -(-uniform.clamp(1e-9, 1 - 6e-8).log()).log()


class Temperatures(nn.Module):
    """The learned temperatures of all levels: exp(log_t), a value a channel.

    Args:
        widths: channels of each level, finest first.
        start: the temperature of every channel at first.
    """

    def __init__(self, widths: Sequence[int], start: float) -> None:
        super().__init__()
        self.logarithms = nn.ParameterList(torch.full((width,), start).log() for width in widths)

    def forward(self, level: int) -> Float[Tensor, " c"]:
        """Those of a level, 1 the finest."""
        return self.logarithms[level - 1].exp()


def _cells(x: Float[Tensor, "n c h w"]) -> Shares:
    return F.pixel_unshuffle(x, SIDE).unflatten(1, (x.shape[1], CELLS))


def _spread(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c oh ow"]:
    """How far the largest value of each window lies above the smallest."""
    cells = _cells(x.detach())
    return cells.amax(2) - cells.amin(2)


def _logits(
    x: Tensor, temperature: Tensor, noise: Tensor | None, rectified: bool
) -> tuple[Float[Tensor, "n c candidates oh ow"], Bool[Tensor, " c"]]:
    """What goes into the softmax, zero before the cells, if at all; and which channels are not dead."""
    cells = _cells(x)
    square = (cells - cells.mean(2, keepdim=True)).square().mean((0, 2, 3, 4))
    alive = square > _LEAST
    # Not the root of a 0, whose gradient would be infinite, and no gradient beside it.
    scale = torch.where(alive, torch.where(alive, square, 1.0).rsqrt(), 0.0) / temperature
    scale = scale[:, None, None, None]
    highest = cells.detach().amax(2, keepdim=True)
    highest = highest.clamp_min(0) if rectified else highest
    logits = (cells - highest) * scale
    logits = logits if noise is None else logits + noise
    return torch.cat([-highest * scale, logits], dim=2) if rectified else logits, alive


def _shares(logits: Float[Tensor, "n c candidates oh ow"]) -> Shares:
    """The softmax, that of zero added to that of the first cell."""
    shares = F.softmax(logits, dim=2)
    if shares.shape[2] == CELLS:
        return shares
    return torch.cat([shares[:, :, :2].sum(2, keepdim=True), shares[:, :, 2:]], dim=2)


def _winner(logits: Float[Tensor, "n c candidates oh ow"]) -> UInt8[Tensor, "n c oh ow"]:
    """The code of the largest, which for zero is that of the first cell."""
    return (logits.argmax(2) - (logits.shape[2] - CELLS)).clamp_min(0).to(torch.uint8)
