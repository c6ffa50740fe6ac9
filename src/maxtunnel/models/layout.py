"""A convolutional network as the what-where autoencoders' paper writes it: `(16)5c-(32)3c-2p-10fc`.

`(n)kc` is a layer of n filters of k x k, `Xp` max pooling of X x X, `Nfc` a fully connected layer; what lies
between hyphens follows each other. `(256)3cx3` or `(256)3c x3` is `(256)3c-(256)3c-(256)3c`.

Source: the notation is that of Zhao, Mathieu, Goroshin, LeCun 2015 (arXiv 1506.02351), known here from its
layouts for MNIST and STL-10, which others quote. Whether layers are padded, and how far apart windows lie,
could not be read; the sides of STL-10's images, 96 = 4 x 3 x 2 x 2 x 2, come out even only with layers that
keep the size of their planes and windows that lie side by side, so this is how a layout is taken here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from maxtunnel.switches.window import Pair, Window, sides

_NUMBER = "([1-9][0-9]{0,4})"
_CONVOLUTION = re.compile(rf"\({_NUMBER}\){_NUMBER}c(?:\s*x\s*{_NUMBER})?")
_POOLING = re.compile(rf"{_NUMBER}p")
_CONNECTED = re.compile(rf"{_NUMBER}fc")
_EXPECTED = "a layer such as (16)5c, a pooling such as 2p, or a fully connected layer such as 10fc"
_MOST = 100  # layers


@dataclass(frozen=True)
class Convolution:
    """A layer of a layout, and the pooling behind it.

    Attributes:
        filters: how many.
        kernel: cells of a filter's side, odd.
        pool: cells of the side of the window that its planes are pooled with; None where they are not.
    """

    filters: int
    kernel: int
    pool: int | None = None

    @property
    def window(self) -> Window | None:
        """That of its pooling."""
        return None if self.pool is None else Window(self.pool)


@dataclass(frozen=True)
class Layout:
    """The layers of an encoder, and of the classifier on it.

    Attributes:
        convolutions: from the image inwards.
        connected: outputs of the fully connected layers behind them; may be none.

    Raises:
        ValueError: no layer, no pooling, a filter with an even side, a window of more than 256 cells, or more
            than 100 layers.
    """

    convolutions: tuple[Convolution, ...]
    connected: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.convolutions) + len(self.connected) > _MOST:
            raise ValueError(
                f"a layout has {len(self.convolutions) + len(self.connected)} layers: "
                f"expected at most {_MOST}"
            )
        for layer in self.convolutions:
            if layer.kernel % 2 == 0:
                raise ValueError(
                    f"({layer.filters}){layer.kernel}c has filters of an even side: expected an odd one, "
                    f"such as ({layer.filters}){layer.kernel + 1}c, which keeps the size of a plane"
                )
        if not self.windows:
            raise ValueError(f"the layout {self} pools nothing: expected a pooling such as 2p behind a layer")

    @classmethod
    def parse(cls, text: str) -> "Layout":
        """Read `(16)5c-(32)3c-2p-10fc`.

        Raises:
            ValueError: a part is none of these, or stands where it cannot; the message names the part.
        """
        layers: list[Convolution] = []
        connected: list[int] = []
        for part in map(str.strip, text.split("-")):
            if layer := _CONVOLUTION.fullmatch(part):
                if connected:
                    raise _wrong(part, text, "fully connected layers stand last")
                times = int(layer[3] or 1)
                if times > _MOST:
                    raise _wrong(part, text, f"expected at most {_MOST} layers")
                layers += [Convolution(int(layer[1]), int(layer[2]))] * times
            elif pooling := _POOLING.fullmatch(part):
                if connected or not layers or layers[-1].pool is not None:
                    raise _wrong(part, text, "a pooling stands behind a layer such as (16)5c")
                layers[-1] = Convolution(layers[-1].filters, layers[-1].kernel, int(pooling[1]))
            elif outputs := _CONNECTED.fullmatch(part):
                if not layers:
                    raise _wrong(part, text, "fully connected layers stand last")
                connected.append(int(outputs[1]))
            else:
                raise _wrong(part, text, f"expected {_EXPECTED}")
        return cls(tuple(layers), tuple(connected))

    def __str__(self) -> str:
        """Every layer written out, as `parse` reads it."""
        return "-".join(self._parts())

    def _parts(self) -> Iterator[str]:
        for layer in self.convolutions:
            yield f"({layer.filters}){layer.kernel}c"
            if layer.pool is not None:
                yield f"{layer.pool}p"
        yield from (f"{outputs}fc" for outputs in self.connected)

    @property
    def windows(self) -> tuple[Window, ...]:
        """Of every pooling, finest first."""
        return tuple(layer.window for layer in self.convolutions if layer.window is not None)

    def sizes(self, size: Pair) -> tuple[Pair, ...]:
        """(height, width) of every layer's planes before they are pooled, and at the end of the deepest.

        Args:
            size: (height, width) of the images. A pooling leaves out rows and columns that fill no window.

        Raises:
            ValueError: a plane is smaller than the window that pools it.
        """
        found, plane = [], size
        for number, layer in enumerate(self.convolutions, 1):
            found.append(plane)
            window = layer.window
            if window is None:
                continue
            if min(plane) < window.kernel[0]:
                raise ValueError(
                    f"images of {sides(size)} are too small for {self}: behind layer {number} a plane of "
                    f"{sides(plane)} would be pooled to nothing by {layer.pool}p"
                )
            plane = window.output_size(plane)
        return (*found, plane)


def _wrong(part: str, text: str, why: str) -> ValueError:
    return ValueError(f"{part[:40]!r} in the layout {text[:200]!r}: {why}")
