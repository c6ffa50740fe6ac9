"""The adaptive deconvolutional network: layers of sparse features, each of which rebuilds the image itself.

    image <- [filters 1] <- planes 1 <- unpool, switches 1 <- [filters 2] <- planes 2 <- switches 2 <- what 2

There is no encoder. What a layer sees in an image is found by inference: features that rebuild the *image*,
through all filters and switches below, with few of them different from 0. Layer by layer, from the first:

    minimise over z   1/2 |R z - y|^2 + sparsity |z|_1      R: down from the layer's planes z to the image
    ten times         z <- z - step R^T (R z - y);  shrink z;  pool z, which chooses switches anew;  unpool

So what a layer hands to the one above it are its switches alone.

Source: Zeiler, Taylor, Fergus 2011, "Adaptive Deconvolutional Networks for Mid and High Level Feature
Learning" (ICCV). Read were its abstract and the beginning of its introduction; the rest is from what others
say of it: four layers of 15, 50, 100 and 150 maps with 7x7 filters, 3-d pooling over space and pairs of maps,
ISTA in which the switches are chosen anew in each of ten iterations, every layer rebuilding the input. What
could not be checked is as follows here:

- boxes of 2x2x2 cells (`Box`), every layer pooled, the last one too;
- planes larger than what they rebuild by 6 a side, so that a filter is seen whole at the edge as well;
- every map of a layer is rebuilt from all maps of the next one;
- features begin at 0, and the switches below stay as their layers chose them;
- the step: 1.5 by the length that R^T R gives to the strongest pattern of length 1 on the chosen cells,
  measured while learning, for all images the same (theirs is a number a layer); and the weight of sparsity;
- filters of unit length, all that belong to one map together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.models.adaptive_pooling import Box, Shape, pool_boxes, sum_boxes, take_boxes, unpool_boxes
from maxtunnel.models.saved import Kind

# How a layer is pooled: by switches, or by averages, which leave none.
Pooling = Literal["max", "average"]
ITERATIONS = 10
_STEP = 1.5  # tried: 2 still converges on natural images, and leaves less after ten iterations
_MOST = 1 << 12  # maps in a file


@dataclass(frozen=True)
class AdaptiveSettings:
    """What an adaptive deconvolutional network is.

    Attributes:
        pooling: how layers are pooled.
        maps: of every layer, the first one next to the image.
        kernel: rows and columns of the filters.
        box: what is pooled together.
        sparsity: weight of the sum of magnitudes against half the squared error, of images whose local
            deviation is 1.

    Raises:
        ValueError: a number is out of range.
    """

    pooling: Pooling = "max"
    maps: tuple[int, ...] = (15, 50, 100, 150)
    kernel: int = 7
    box: Box = field(default_factory=Box)
    sparsity: float = 0.2

    def __post_init__(self) -> None:
        if not self.maps or not all(0 < maps < _MOST for maps in self.maps) or not 0 < self.kernel < 64:
            raise ValueError(
                f"`maps` are {str(self.maps)[:40]} and `kernel` is {str(self.kernel)[:20]}: expected layers "
                f"of 1 to {_MOST - 1} maps, and 1 to 63"
            )
        if not 0 <= self.sparsity < math.inf:
            raise ValueError(f"`sparsity` is {self.sparsity}: expected 0 or more")

    @property
    def inputs(self) -> tuple[int, ...]:
        """Maps that each layer rebuilds: 1 for the image, then pooled ones."""
        return (1, *(math.ceil(maps / self.box.maps) for maps in self.maps[:-1]))

    def planes(self, size: tuple[int, int]) -> tuple[Shape, ...]:
        """Maps, height and width of every layer's planes, for images of (height, width)."""
        found: list[Shape] = []
        for maps in self.maps:
            height, width = size if not found else self.box.pooled(found[-1])[1:]
            found.append((maps, height + self.kernel - 1, width + self.kernel - 1))
        return tuple(found)


ADAPTIVE = Kind(
    "adaptive deconvolutional network", "maxtunnel adaptive deconvolutional network 1", AdaptiveSettings
)


@dataclass(frozen=True, eq=False)
class Inferred:
    """What a layer sees in images.

    Attributes:
        what: pooled features, with their signs.
        where: the layer's switches (`pool_boxes`); None where it is averaged.
    """

    what: Float[Tensor, "n k h w"]
    where: UInt8[Tensor, "n k h w"] | None


class AdaptiveDeconv(nn.Module):
    """An adaptive deconvolutional network.

    Args:
        settings: its shape.
        seed: draws the filters, which `training.adaptive` then learns.

    Attributes:
        filters: of every layer, (maps below, maps, kernel, kernel).
        steps: of the iterations of each layer; 0 before it was measured (`measure_step`).
    """

    steps: Tensor

    def __init__(self, settings: AdaptiveSettings | None = None, seed: int = 0) -> None:
        super().__init__()
        self.settings = settings or AdaptiveSettings()
        generator, kernel = torch.Generator().manual_seed(seed), self.settings.kernel
        self.filters = nn.ParameterList(
            _channels_last(unit_length(torch.randn(below, maps, kernel, kernel, generator=generator)))
            for below, maps in zip(self.settings.inputs, self.settings.maps, strict=True)
        )
        self.register_buffer("steps", torch.zeros(len(self.settings.maps)))

    def down(
        self,
        planes: Float[Tensor, "n c h w"],
        where: Sequence[Tensor | None],
        size: tuple[int, int],
        filters: Tensor | None = None,
    ) -> Float[Tensor, "n 1 H W"]:
        """The images that planes of a layer stand for: R of the equation.

        Args:
            planes: of layer `len(where) + 1`.
            where: the switches of all layers below it, the first layer's first.
            size: (height, width) of the images.
            filters: in the place of the layer's own.
        """
        own = self.filters[len(where)] if filters is None else filters
        return self._rebuild(F.conv2d(planes, own), where, size)

    def up(
        self, images: Float[Tensor, "n 1 H W"], where: Sequence[Tensor | None]
    ) -> Float[Tensor, "n c h w"]:
        """What images are to the planes of layer `len(where) + 1`: the transpose of `down`."""
        return F.conv_transpose2d(self.pull(images, where), self.filters[len(where)])

    def pull(
        self, images: Float[Tensor, "n 1 H W"], where: Sequence[Tensor | None]
    ) -> Float[Tensor, "n k h w"]:
        """What images are to the features of layer `len(where)`: the transpose of `decode`."""
        x = images
        for layer, codes in enumerate(where):
            x = take_boxes(F.conv_transpose2d(x, self.filters[layer]), codes, self.settings.box)
        return x

    @torch.no_grad()
    def decode(
        self,
        what: Float[Tensor, "n k h w"],
        where: Sequence[UInt8[Tensor, "n _ _ _"] | None],
        size: tuple[int, int],
    ) -> Float[Tensor, "n 1 H W"]:
        """The images of a layer's features, and of the switches of that layer and of all below it.

        Args:
            what: of layer `len(where)`.
            where: switches, the first layer's first; None in the place of a layer's to share each value
                evenly among the cells of its box.
            size: (height, width) of the images.

        Raises:
            ValueError: there are no layers of so many switches, or features or switches have another shape.
        """
        self._check_layer(len(where))
        return self._rebuild(what, where, size)

    def _rebuild(self, x: Tensor, where: Sequence[Tensor | None], size: tuple[int, int]) -> Tensor:
        shapes = self.settings.planes(size)
        for layer in reversed(range(len(where))):
            x = unpool_boxes(x, where[layer], self.settings.box, shapes[layer])
            x = F.conv2d(x, self.filters[layer])
        return x

    @torch.no_grad()
    def infer(
        self,
        images: Float[Tensor, "n 1 H W"],
        below: Sequence[UInt8[Tensor, "n _ _ _"] | None] = (),
        iterations: int = ITERATIONS,
    ) -> Inferred:
        """What the layer above some others sees in images, by ISTA.

        Args:
            images: local contrast normalised (`data.contrast`).
            below: the switches of all layers below, as they were inferred.
            iterations: each a step, shrinkage, and another choice of the layer's switches.

        Raises:
            ValueError: there is no such layer, or its step was never measured.
        """
        layer, size = len(below), (images.shape[2], images.shape[3])
        self._check_layer(layer + 1)
        step = float(self.steps[layer])
        if step <= 0:
            raise ValueError(f"layer {layer + 1} has not been learnt: no step of its iterations is known")
        planes = images.new_zeros(len(images), *self.settings.planes(size)[layer])
        error, found = -images, None
        for _ in range(iterations):
            planes = planes.sub_(self.up(error, below), alpha=step)
            found = self.choose(F.softshrink(planes, step * self.settings.sparsity))
            planes = unpool_boxes(found.what, found.where, self.settings.box, _shape(planes)).contiguous()
            error = self.down(planes, below, size) - images
        assert found is not None
        return found

    def see(self, images: Float[Tensor, "n 1 H W"], layers: int | None = None) -> tuple[Inferred, ...]:
        """What all layers, or the first of them, see in images, from the first."""
        found: list[Inferred] = []
        for _ in range(len(self.filters) if layers is None else layers):
            found.append(self.infer(images, [each.where for each in found]))
        return tuple(found)

    def choose(self, planes: Float[Tensor, "n c h w"]) -> Inferred:
        """Planes pooled, as this network pools."""
        if self.settings.pooling == "average":
            return Inferred(sum_boxes(planes, self.settings.box), None)
        return Inferred(*pool_boxes(planes, self.settings.box))

    @torch.no_grad()
    def measure_step(
        self, images: Float[Tensor, "n 1 H W"], below: Sequence[Tensor | None] = (), rounds: int = 6
    ) -> None:
        """Set the step of the layer above some others: power iteration on the cells that images choose."""
        box, size = self.settings.box, (images.shape[2], images.shape[3])
        planes = self.up(images, below)
        shape, codes = _shape(planes), self.choose(planes).where
        largest = images.new_zeros(())
        for _ in range(rounds):
            # Without codes this is the projection on planes that are the same all over a box.
            pooled = sum_boxes(planes, box) if codes is None else take_boxes(planes, codes, box)
            planes = unpool_boxes(pooled, codes, box, shape)
            length = planes.flatten(1).norm(dim=1).clamp_min(torch.finfo(planes.dtype).tiny)
            planes = self.up(self.down(planes / length[:, None, None, None], below, size), below)
            largest = planes.flatten(1).norm(dim=1).max()
        self.steps[len(below)] = _STEP / largest.clamp_min(1e-12)

    def _check_layer(self, layer: int) -> None:
        if not 1 <= layer <= len(self.filters):
            raise ValueError(f"there is no layer {layer}: this network has {len(self.filters)}, from 1")

    def save(self, path: str | Path) -> None:
        """Write one safetensors file with the filters and what they are of, in one step."""
        ADAPTIVE.write(path, self.settings, self.state_dict())

    @classmethod
    def load(cls, path: str | Path) -> "AdaptiveDeconv":
        """Read a file that `save` wrote; FormatError for any other."""
        network = ADAPTIVE.load(path, cls)
        for filters in network.parameters():
            filters.data = _channels_last(filters.data)
        return network


def unit_length(filters: Float[Tensor, "b c k k"]) -> Float[Tensor, "b c k k"]:
    """Filters of length 1, all of one map together: how strong things are is left to the features."""
    lengths = filters.square().sum((0, 2, 3), keepdim=True).sqrt()
    return filters / lengths.clamp_min(torch.finfo(filters.dtype).tiny)


def _channels_last(tensor: Tensor) -> Tensor:
    """Filters as convolutions are quickest: a sixth less processor time at 150x150 pixels."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def _shape(planes: Tensor) -> Shape:
    _, maps, height, width = planes.shape
    return maps, height, width
