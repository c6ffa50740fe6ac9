"""What a machine can do at most, and what an operation therefore takes at least."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from maxtunnel.benchmark.turns import timed
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.strong import DOWN, UP


@dataclass(frozen=True)
class Ceilings:
    """What this machine reached just now.

    Attributes:
        float32, bfloat16: operations a second in a large matrix product.
        copy: bytes a second, read and written, of a large copy into memory that is there already.
        tf32: as `float32` with the products in TF32; None on a CPU, which has none.
    """

    float32: float
    bfloat16: float
    copy: float
    tf32: float | None = None


@dataclass(frozen=True)
class Floor:
    """Work of one call, counted from the architecture, and the time below which it cannot be done.

    Attributes:
        operations: multiplications and additions of all convolutions.
        bytes: every layer's input read and output written once, codes included.
        seconds: sum over the layers of what takes longer, the operations or the bytes.
    """

    operations: float
    bytes: float
    seconds: float

    def __add__(self, other: "Floor") -> "Floor":
        return Floor(
            self.operations + other.operations, self.bytes + other.bytes, self.seconds + other.seconds
        )


def measure_ceilings(repeats: int = 7) -> Ceilings:
    """Time large matrix products and a large copy; the best of `repeats`."""
    cuda = torch.cuda.is_available()
    device, side = torch.device("cuda" if cuda else "cpu"), 8192 if cuda else 2048
    float32 = _product(torch.float32, side, device, repeats)
    bfloat16 = _product(torch.bfloat16, side, device, repeats)
    tf32 = None
    if cuda:
        before = torch.backends.cuda.matmul.fp32_precision
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        tf32 = _product(torch.float32, side, device, repeats)
        torch.backends.cuda.matmul.fp32_precision = before
    # So large that starting the copy takes no time beside it.
    source = torch.ones(1 << (28 if cuda else 26), device=device)
    target = torch.zeros_like(source)
    copied = 2 * source.numel() * source.element_size()
    copy = copied / _fastest(lambda: target.copy_(source), repeats)
    return Ceilings(float32, bfloat16, copy, tf32)


def floor(
    architecture: Architecture,
    operation: str,
    batch: int,
    side: int,
    ceilings: Ceilings,
    encoder_runs: bool = True,
    decoder_bytes: int = 4,
) -> Floor:
    """The floor of one operation on a batch.

    Args:
        architecture: filters per block.
        operation: encode, decode, reconstruct, or train: a step of the decoder.
        batch: images.
        side: of the square images, in pixels.
        ceilings: of the machine.
        encoder_runs: whether a training step makes its switches.
        decoder_bytes: of a number in the decoder: 4 for float32, 2 for bfloat16. The encoder has 4.
    """
    total = Floor(0.0, 0.0, 0.0)
    if operation in ("encode", "reconstruct") or (operation == "train" and encoder_runs):
        for level, block in enumerate(architecture.encoder_channels()):
            pixels, filters = batch * (side >> level) ** 2, architecture.widths[level]
            for a, b in block:
                total += _convolution(a, b, pixels, 4, 1, ceilings)
            # Values and codes of the pooled quarter.
            total += _moved(filters * pixels * 4 + filters * pixels / 4 * 5, ceilings)
    if operation in ("train", "decode", "reconstruct"):
        passes = 3 if operation == "train" else 1
        levels = reversed(list(enumerate(architecture.widths)))
        for (level, filters), block in zip(levels, architecture.decoder_channels(), strict=True):
            pixels = batch * (side >> level) ** 2
            for a, b in block:
                total += _convolution(a, b, pixels, decoder_bytes, passes, ceilings)
            plane = filters * pixels * decoder_bytes
            total += _moved((1 if passes == 1 else 2) * (plane * 1.25 + filters * pixels / 4), ceilings)
        if operation == "train":
            total += _moved(3.0 * batch * side**2 * (4 + 4 + decoder_bytes), ceilings)
    return total


def strong_floor(
    architecture: Architecture,
    width: int,
    operation: str,
    batch: int,
    side: int,
    ceilings: Ceilings,
    number_bytes: int = 4,
) -> Floor:
    """The floor of decoding a batch, or of a training step, with a strong decoder.

    Args:
        architecture: of the encoder, whose switches are there.
        width: channels of the decoder's scales.
        operation: decode or train.
        batch: images.
        side: of the square images, in pixels.
        ceilings: of the machine.
        number_bytes: of a number in the decoder: 4 for float32, 2 for bfloat16.
    """
    passes = 3 if operation == "train" else 1
    total = Floor(0.0, 0.0, 0.0)
    for scale, filters in enumerate(architecture.widths, 1):
        pixels = batch * (side >> scale) ** 2
        blocks = _convolution(width, width, pixels, number_bytes, passes, ceilings)
        # Of the planes that enter no gradient is asked for.
        enter = _convolution(4 * filters, width, pixels, number_bytes, min(passes, 2), ceilings, 1)
        total += sum([blocks] * (2 * (DOWN + UP) - 1), blocks) + enter
        if scale > 1:
            total += _convolution(4 * width, width, pixels, number_bytes, passes, ceilings, 1)
            total += _convolution(width, 4 * width, pixels, number_bytes, passes, ceilings, 1)
    return total + _convolution(width, 12, batch * (side // 2) ** 2, number_bytes, passes, ceilings)


def pooling_floor(planes: int, side: int, bytes_a_value: int, ceilings: Ceilings) -> Floor:
    """Pooling planes of side x side pixels to codes, and unpooling them."""
    plane = float(planes * side**2 * bytes_a_value)
    return _moved(2 * (plane * 1.25 + planes * side**2 / 4), ceilings)


def _convolution(
    a: int, b: int, pixels: int, size: int, passes: int, ceilings: Ceilings, cells: int = 9
) -> Floor:
    """A layer; training passes three times: forward, gradient of the input, gradient of the weights."""
    operations, moved = passes * 2.0 * cells * a * b * pixels, passes * float(a + b) * pixels * size
    rate = ceilings.float32 if size == 4 else ceilings.bfloat16
    return Floor(operations, moved, max(operations / rate, moved / ceilings.copy))


def _moved(count: float, ceilings: Ceilings) -> Floor:
    return Floor(0.0, count, count / ceilings.copy)


def _product(dtype: torch.dtype, side: int, device: torch.device, repeats: int) -> float:
    """Operations a second of a product of two square matrices."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / _fastest(lambda: a @ b, repeats)


def _fastest(call: Callable[[], object], repeats: int) -> float:
    return min(timed(call) for _ in range(repeats))
