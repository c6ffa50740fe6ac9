"""The geometry of a pooling layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

Pair = tuple[int, int]
# Kernel, stride, padding and dilation of the paper's window.
_HALVING = ((2, 2), (2, 2), (0, 0), (1, 1))


@dataclass(frozen=True)
class Window:
    """Geometry of a pooling layer, in the words of `torch.nn.MaxPool2d`; a number stands for both axes.

    Every field becomes a pair (vertical, horizontal). `stride=None` means the kernel, as in PyTorch.

    Raises:
        ValueError: a window of more than 256 cells, padding above half of it, or a number out of range.
    """

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    ceil_mode: bool

    def __init__(
        self,
        kernel: int | Pair = 2,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        ceil_mode: bool = False,
    ) -> None:
        fields = {
            "kernel": _pair("kernel", kernel, 1),
            "stride": _pair("stride", kernel if stride is None else stride, 1),
            "padding": _pair("padding", padding, 0),
            "dilation": _pair("dilation", dilation, 1),
            "ceil_mode": bool(ceil_mode),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        if self.cells > 256:
            raise ValueError(
                f"a {self} has {self.cells} cells: give one of at most 256, as a code is one byte"
            )
        if any(2 * p > k for p, k in zip(self.padding, self.kernel, strict=True)):
            raise ValueError(f"a {self}: padding may be at most half of the kernel, as in PyTorch")

    @property
    def cells(self) -> int:
        """Cells of one window: the number of different codes."""
        return self.kernel[0] * self.kernel[1]

    @property
    def span(self) -> Pair:
        """Rows and columns from a window's first cell to its last, both counted."""
        return (
            (self.kernel[0] - 1) * self.dilation[0] + 1,
            (self.kernel[1] - 1) * self.dilation[1] + 1,
        )

    @property
    def overlaps(self) -> bool:
        """Whether two windows can share a cell."""
        return self.span[0] > self.stride[0] or self.span[1] > self.stride[1]

    def tiles(self, size: Sequence[int]) -> bool:
        """Whether this is the paper's 2x2 window with stride 2 and covers a plane of (..., h, w) exactly."""
        window = self.kernel, self.stride, self.padding, self.dilation
        return window == _HALVING and size[-2] % 2 == 0 and size[-1] % 2 == 0

    def output_size(self, size: Pair) -> Pair:
        """(height, width) of the pooled plane for a plane of `size`.

        Raises:
            ValueError: no window fits, or one would lie in the padding altogether (dilation can do that).
        """
        if all(isinstance(side, int) for side in size):
            return self._output_size(size)
        # Symbols, while PyTorch traces: nothing can be looked at.
        return self.positions(0, size[0]), self.positions(1, size[1])

    @lru_cache(maxsize=1024)  # noqa: B019 - windows are small and few
    def _output_size(self, size: Pair) -> Pair:
        height, width = (self.positions(axis, size[axis]) for axis in (0, 1))
        if height < 1 or width < 1:
            raise ValueError(f"no {self} fits into a plane of {sides(size)}")
        if not all(self._touches(axis, size[axis], count) for axis, count in ((0, height), (1, width))):
            raise ValueError(f"a {self} over a plane of {sides(size)} has windows with no cell in the plane")
        return height, width

    def _touches(self, axis: int, length: int, count: int) -> bool:
        """Whether each of `count` windows has a cell inside a plane of `length`."""
        kernel, padding, dilation = self.kernel[axis], self.padding[axis], self.dilation[axis]
        last = (count - 1) * self.stride[axis] - padding
        # Of a window that starts before the plane, the first cell that does not lie before it.
        outside = range(-padding, min(last + 1, 0), self.stride[axis])
        first = ((start % dilation, (start % dilation - start) // dilation) for start in outside)
        return last < length and all(place < length and cell < kernel for place, cell in first)

    def positions(self, axis: int, length: int) -> int:
        """How many windows lie along an axis of `length` cells; below 1 where none fits."""
        stride, padding = self.stride[axis], self.padding[axis]
        room = length + 2 * padding - self.span[axis]
        if room < 0 and not self.ceil_mode:
            return 0
        count = -(-room // stride) + 1 if self.ceil_mode else room // stride + 1
        # PyTorch's rule: a window that would start in the right padding is left out.
        return count - 1 if self.ceil_mode and (count - 1) * stride >= length + padding else count

    def smallest_plane(self, pooled: Pair) -> Pair:
        """(height, width) of the smallest plane that pools to `pooled` with every window inside."""
        height, width = (
            (pooled[axis] - 1) * self.stride[axis] + self.span[axis] - 2 * self.padding[axis]
            for axis in (0, 1)
        )
        return max(height, 1), max(width, 1)

    def cell_offsets(self) -> Iterator[tuple[int, int, int]]:
        """Each code with the row and column of its cell, counted from the window's first cell."""
        for code in range(self.cells):
            down, right = divmod(code, self.kernel[1])
            yield code, down * self.dilation[0], right * self.dilation[1]

    def __str__(self) -> str:
        """Each pair as people say a size: width x height, which is named where it makes a difference."""
        text = f"{_short(self.kernel)} window with stride {_short(self.stride)}"
        text += f", padding {_short(self.padding)}" if self.padding != (0, 0) else ""
        text += f", dilation {_short(self.dilation)}" if self.dilation != (1, 1) else ""
        text += ", ceil_mode" if self.ceil_mode else ""
        pairs = self.kernel, self.stride, self.padding, self.dilation
        return text if all(down == right for down, right in pairs) else f"{text} (width x height)"


def sides(size: Pair) -> str:
    """A (height, width) in messages about an argument: both are named, as people say them the other way."""
    return f"height {size[0]}, width {size[1]}"


def _pair(name: str, value: int | Pair, least: int) -> Pair:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(v, int) and v >= least for v in pair):
        raise ValueError(f"{name} is {value!r}: expected one or two whole numbers of at least {least}")
    return pair[0], pair[1]


def _short(pair: Pair) -> str:
    return f"{pair[1]}x{pair[0]}"


PAPER_WINDOW = Window()
