"""The encoder of Table I and its variants, of which the paper keeps the switches alone."""

import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from maxtunnel.models import fast
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.layers import Conv3x3
from maxtunnel.switches.pooling import pool, refuse_nan

# The number of a block, from 1, and its plane to pooled values and codes.
Pooling = Callable[[int, Tensor], tuple[Tensor, Tensor]]


def _pool(block: int, x: Tensor) -> tuple[Tensor, Tensor]:
    return pool(x, check=False)


class Encoder(nn.Module):
    """Blocks of conv3x3-ReLU, conv3x3-ReLU, pool; what leaves it are the codes, finest level first.

    Attributes:
        convs: the convolutions in execution order, conv1_1, conv1_2, conv2_1, ...; of a linear architecture
            the last one of a block has no ReLU.
        counts: how many of them each block has.
        widths: filters per block where the layers are those of Table I, which have a fast way
            (`models.fast`); None for a variant.
    """

    def __init__(self, architecture: Architecture, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.widths = architecture.widths if architecture.published else None
        self.counts = architecture.layers
        before_pooling = None if architecture.linear else 0.0
        self.convs = nn.ModuleList(
            Conv3x3(a, b, math.sqrt(3 / (9 * a)), 0.0 if index < len(block) else before_pooling, generator)
            for block in architecture.encoder_channels()
            for index, (a, b) in enumerate(block, 1)
        )

    def forward(
        self, x: Float[Tensor, "n 3 h w"], *, check: bool = True
    ) -> tuple[Float[Tensor, "n c oh ow"], tuple[UInt8[Tensor, "n _ _ _"], ...]]:
        """The deepest features (the *what*, which the paper's decoder never sees) and the codes.

        Raises:
            ValueError: a NaN arose anywhere; it reaches the deepest features, so they alone are looked at,
                and not even they with `check=False`.
        """
        what, codes = fast.encode(self, x)
        if check:
            refuse_nan(what)
        return what, codes

    def relaxed(
        self, x: Float[Tensor, "n 3 h w"], pooling: Pooling
    ) -> tuple[Float[Tensor, "n c oh ow"], tuple[Tensor, ...]]:
        """As `blocks`, in float32 whatever the precision of the training around it.

        What leaves the encoder are decisions between values that may be close: they are made here as they
        will be made by whoever uses the network. `pooling` is given what the last convolution of a block
        gives before its ReLU, and applies that itself, so that its gradient reaches below zero.
        """
        with torch.autocast(x.device.type, enabled=False), fast.exact(x.device):
            codes: list[Tensor] = []
            *_, (_, what) = self.layers(x, codes, pooling, sums=True)
            return what, tuple(codes)

    def blocks(
        self, x: Float[Tensor, "n 3 h w"], pooling: Pooling = _pool
    ) -> tuple[Float[Tensor, "n c oh ow"], tuple[Tensor, ...]]:
        """The same layer by layer, and pooled by whatever is given."""
        codes: list[Tensor] = []
        *_, (_, what) = self.layers(x, codes, pooling)
        return what, tuple(codes)

    def layers(
        self, x: Float[Tensor, "n 3 h w"], codes: list[Tensor], pooling: Pooling = _pool, sums: bool = False
    ) -> Iterator[tuple[str, Float[Tensor, "n _ _ _"]]]:
        """Name and output of every layer in execution order.

        Args:
            x: normalised images.
            codes: takes in those of every pooling.
            pooling: of every block.
            sums: whether the last convolution of a block is taken before its ReLU.
        """
        x = x.contiguous(memory_format=torch.channels_last)
        convs = iter(self.convs)
        for block, count in enumerate(self.counts, 1):
            for index in range(1, count + 1):
                x = next(convs)(x, activated=index < count or not sums)
                yield f"conv{block}_{index}", x
            x, where = pooling(block, x)
            codes.append(where)
            yield f"pool{block}", x
