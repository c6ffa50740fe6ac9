"""The contract of the family: an encoder gives what and where; a decoder takes either, both or neither.

    image -> [layers, pool] ---> plane 1 -> [layers, pool] ---> plane 2 -> ... -> what -> classifier
                       |                              |
                    where 1                        where 2                              encoder: `Seen`
    ...................|..............................|................................................
                       v                              v                                 decoder: `Drawn`
    image <- [layers, unpool] <- plane 1 <- [layers, unpool] <- plane 2 <- ... <- what, or a constant

- An **encoder** gives the planes that its layers pass on, the last of which is the *what*, and the switches
  of its poolings, the *where*.
- A **decoder** takes the what, or None: then a learned constant, a value a channel, stands in its place, and
  no feature reaches the image. It takes the where, or None: then no switch does. A decoder of known switches
  has fixed ones then, each value in its window's first cell; one that was made for fixed switches, or for
  none, never looks at them (`Unpooling`).
- What it made of each plane on its way is in `Drawn`, for losses layer by layer.

`models.swwae` is all of this. The paper's own network, `models.tunnel`, is the corner where the what is None:
`Encoder` gives what and codes, and `MirroredDecoder` and `StrongDecoder` take codes and an optional what.
They need codes, by which they know the size of the image, and leave out single levels (`missing`) rather than
all. Where no what is given, the mirrored decoder has its bias code; a strong one draws from the switches
themselves, and takes a what only if it was made for one. What they make on their way comes from `layers`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.support.choices import Unpooling
from maxtunnel.switches.kernels import first_inside
from maxtunnel.switches.pooling import unpool
from maxtunnel.switches.window import Pair, Window

# Of one pooling: a code a window, or where pooling was soft the row and column, in cells from the first one.
Switches = UInt8[Tensor, "n c oh ow"] | Float[Tensor, "n c 2 oh ow"]


@dataclass(frozen=True, eq=False)
class Seen:
    """What an encoder gives of a batch of images.

    Attributes:
        planes: what each layer passes on, pooled where a pooling follows it; finest first, (n, c, h, w) each.
        where: the switches of every pooling, finest first: uint8 codes, (n, c, oh, ow); of soft poolings the
            positions, float, (n, c, 2, oh, ow).
    """

    planes: tuple[Tensor, ...]
    where: tuple[Tensor, ...]

    @property
    def what(self) -> Float[Tensor, "n c h w"]:
        """The deepest plane."""
        return self.planes[-1]

    def __len__(self) -> int:
        return len(self.what)


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a decoder gives.

    Attributes:
        image: (n, channels, h, w), on the network's inner scale.
        planes: what it made of every plane that the encoder passed on but the last, the what: finest first.
    """

    image: Float[Tensor, "n c h w"]
    planes: tuple[Tensor, ...]


def put_back(
    values: Float[Tensor, "n c oh ow"],
    where: Switches | None,
    window: Window,
    size: Pair,
    unpooling: Unpooling = "switches",
    *,
    check: bool = True,
) -> Float[Tensor, "n c h w"]:
    """Pooled values in a plane of `size` again; their sum stays what it was.

    Args:
        values: of every window.
        where: its switches; looked at only with `switches`, and None is as `fixed`. A real-valued position
            shares its value among the four cells around it, the nearer the more.
        window: of the pooling; not dilated where unpooling is `average`, and as `pool_soft` takes it where
            positions are real-valued.
        size: (height, width) of the plane that was pooled.
        unpooling: `switches` puts a value where the maximum was, `fixed` in the first cell of its window,
            `average` evenly in all cells of it that lie in the plane.
        check: refuse codes that no pooling gives; without it such a code puts its value nowhere.

    Raises:
        ValueError: shapes disagree, a code lies outside its window or the plane, or the window is none that
            this unpooling takes.
    """
    if unpooling == "average":
        return _spread(values, window, size)
    if unpooling == "fixed" or where is None:
        return unpool(values, _first(values, window), window, size, check=False)
    if where.is_floating_point():
        return _between(values, where, window, size)
    return unpool(values, where, window, size, check=check)


def pool_soft(
    x: Float[Tensor, "n c h w"], window: Window, beta: float
) -> tuple[Float[Tensor, "n c oh ow"], Float[Tensor, "n c 2 oh ow"]]:
    """The soft maximum of each window, and where it is: row and column in cells from the window's first one.

        m = sum over cells of s z,   p = sum over cells of s (row, column),   s = softmax(beta z)

    Both are differentiable in `x`. For beta to infinity they are maximum and switch; of equal values `pool`
    takes the first, and this the middle of them.

    Source: arXiv 1506.02351, with beta 100, after Goroshin, Mathieu, LeCun 2015 (arXiv 1506.03011).

    Args:
        x: the plane.
        window: square, neither overlapping nor padded.
        beta: how hard the maximum is, above 0.

    Raises:
        ValueError: the window is another.
    """
    _refuse_soft(window)
    side, (height, width) = window.kernel[0], window.output_size((x.shape[-2], x.shape[-1]))
    x = x[..., : height * side, : width * side]
    cells = x.unflatten(-1, (width, side)).unflatten(-3, (height, side)).transpose(-3, -2).flatten(-2)
    shares = (beta * cells).softmax(-1)
    place = torch.arange(side, device=x.device, dtype=x.dtype)
    by_cell = shares.unflatten(-1, (side, side))
    rows, columns = (by_cell.sum(-1) * place).sum(-1), (by_cell.sum(-2) * place).sum(-1)
    return (shares * cells).sum(-1), torch.stack([rows, columns], 2)


def _first(values: Tensor, window: Window) -> Tensor:
    """The code of the first cell in the plane, for every window."""
    codes = torch.zeros_like(values, dtype=torch.uint8)
    if window.padding != (0, 0):
        codes += first_inside(window, (values.shape[-2], values.shape[-1]), values.device)
    return codes


def _spread(values: Tensor, window: Window, size: Pair) -> Tensor:
    """Each value evenly over its window: the adjoint of average pooling."""
    if window.dilation != (1, 1):
        raise ValueError(f"a {window} cannot be unpooled by average: give one without dilation")
    kernel, stride, padding = window.kernel, window.stride, window.padding
    if kernel == stride and padding == (0, 0) and not window.ceil_mode:
        shared = F.interpolate(values / window.cells, scale_factor=kernel)
        below, right = size[0] - shared.shape[-2], size[1] - shared.shape[-1]
        return F.pad(shared, (0, right, 0, below)) if below or right else shared
    plane = values.new_empty(()).expand(*values.shape[:2], *size)
    return torch.ops.aten.avg_pool2d_backward(
        values, plane, kernel, stride, padding, window.ceil_mode, False, None
    )


def _between(values: Tensor, positions: Tensor, window: Window, size: Pair) -> Tensor:
    """Each value shared among the cells around its position."""
    _refuse_soft(window)
    side = window.kernel[0]
    place = torch.arange(side, device=values.device, dtype=values.dtype)
    # (n, c, oh, ow, side): how near each row, or column, of the window is.
    down, right = (F.relu(1 - (axis[..., None] - place).abs()) for axis in positions.unbind(2))
    cells = values[..., None, None] * down[..., :, None] * right[..., None, :]
    plane = cells.transpose(-3, -2).flatten(-2).flatten(-3, -2)
    return F.pad(plane, (0, size[1] - plane.shape[-1], 0, size[0] - plane.shape[-2]))


def _refuse_soft(window: Window) -> None:
    """Refuse a window that soft pooling is not made for."""
    if window != Window(window.kernel[0]):
        raise ValueError(
            f"a {window} has no soft maximum here: give a square one, of any side and nothing else"
        )
