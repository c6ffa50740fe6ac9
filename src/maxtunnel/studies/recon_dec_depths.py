"""What readers rebuild from one depth of an encoder: from its features, its switches, or both.

    photograph -> [block, pool 1] -> ... -> [block, pool k] -> features, each channel divided by its root mean
                        |                        |             square over the photographs that are trained on
                    switches 1       ...     switches k
    .....................................................................................................
    reader (mirrored or strong), given both, the features alone, or the switches alone -> photograph

The encoder stays as it is: its switches and features are captured once, and kept small.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float64, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.data.batches import PIECE, Order
from maxtunnel.data.images import to_float, to_uint8
from maxtunnel.data.mean import mean_image
from maxtunnel.evaluation.metrics import measure
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.mirrored import Level, MirroredDecoder, mirrored_decoder
from maxtunnel.models.strong import StrongDecoder
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.studies.recon_dec_config import DepthRun, Given, Settings
from maxtunnel.support.choices import DecoderKind
from maxtunnel.support.memory import free_memory
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.packing import pack, unpack
from maxtunnel.training.batch import Batches
from maxtunnel.training.loop import TrainingDiverged, fit
from maxtunnel.training.phases import Reconstruction
from maxtunnel.training.recipes import Recipe

COARSE = 8  # pixels of the squares over which local detail is averaged away
SHOWN = 8
_BITS = 2  # of a switch of a 2x2 window
_ATTEMPTS = 3  # at a quarter of the rate each
Decoder = MirroredDecoder | StrongDecoder


@dataclass(frozen=True)
class DepthRow:
    """What one reader rebuilds of photographs that it has not seen.

    Attributes:
        level, given, reader: see `DepthRun`.
        mse: mean squared error of each photograph, values in [0, 1], not clipped.
        psnr: of each, in dB.
        ssim: of each; NaN of photographs of less than 11 pixels is None.
        coarse: as `mse`, of photographs averaged over squares of 8 pixels: all but the local detail.
        swapped: as `mse`, where the `switches` or the `features` that it is given are another photograph's.
        steps: of its training.
        learning_rate: the recipe's, or a fraction of it where the reader did not learn with that.
        seconds: of the training.
    """

    level: int
    given: Given
    reader: DecoderKind
    mse: tuple[float, ...]
    psnr: tuple[float, ...]
    ssim: tuple[float, ...] | None
    coarse: tuple[float, ...]
    swapped: Mapping[str, tuple[float, ...]]
    steps: int
    learning_rate: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Captured:
    """Photographs with what an encoder makes of them.

    Attributes:
        pixels: the photographs.
        packed: the codes of every level, finest first, two bits each.
        shapes: of one photograph's codes, (h, w, c).
        features: the pooled planes of every level, each channel divided by `rms`; float16.
        rms: of each channel of every level.
    """

    pixels: UInt8[Tensor, "n 3 s s"]
    packed: tuple[UInt8[Tensor, "n _"], ...]
    shapes: tuple[torch.Size, ...]
    features: tuple[Float[Tensor, "n _ _ _"], ...]
    rms: tuple[Float[Tensor, " _"], ...]

    def __len__(self) -> int:
        return len(self.pixels)

    def codes(self, chosen: Int64[Tensor, " b"], level: int) -> list[UInt8[Tensor, "b _ _ _"]]:
        """The switches of some photographs up to a level, finest first, in channels-last memory format."""
        return [
            unpack(packed[chosen].contiguous(), shape, _BITS).permute(0, 3, 1, 2)
            for packed, shape in zip(self.packed[:level], self.shapes, strict=False)
        ]


@torch.no_grad()
def capture(
    network: TunnelNetwork,
    pixels: UInt8[Tensor, "n 3 s s"],
    like: Captured | None = None,
    on_progress: OnProgress = silent,
) -> Captured:
    """What an encoder makes of photographs.

    Args:
        network: whose encoder it is.
        pixels: the photographs.
        like: others, by whose root mean squares the features are divided; None for their own.
        on_progress: told, as phase `capture`, how many photographs are done.

    Raises:
        ValueError: there is not the memory to keep it.
    """
    _check_memory(network.architecture, pixels.shape)
    packed: list[list[Tensor]] = [[] for _ in network.architecture.widths]
    planes: list[list[Tensor]] = [[] for _ in network.architecture.widths]
    shapes: list[torch.Size] = []
    for first in range(0, len(pixels), PIECE):
        codes: list[Tensor] = []
        images = network.normalise(to_float(pixels[first : first + PIECE]))
        pooled = [x for name, x in network.encoder.layers(images, codes) if name.startswith("pool")]
        last = [level.permute(0, 2, 3, 1).contiguous() for level in codes]
        shapes = [level.shape[1:] for level in last]
        for level, (where, what) in enumerate(zip(last, pooled, strict=True)):
            packed[level].append(pack(where, _BITS).cpu())
            planes[level].append(what.cpu())
        on_progress("capture", min(first + PIECE, len(pixels)), len(pixels), "")
    rms = like.rms if like is not None else tuple(_root_mean_square(level) for level in planes)
    scaled = (
        torch.cat([(plane / divisor[:, None, None]).half() for plane in level])
        for level, divisor in zip(planes, rms, strict=True)
    )
    return Captured(pixels, tuple(map(torch.cat, packed)), tuple(shapes), tuple(scaled), rms)


def _root_mean_square(planes: list[Float[Tensor, "b c h w"]]) -> Float[Tensor, " c"]:
    """Of each channel; 1 for one that is 0 everywhere."""
    total = sum(plane.double().square().sum((0, 2, 3)) for plane in planes)
    assert isinstance(total, Tensor)
    values = sum(len(plane) for plane in planes) * planes[0][0, 0].numel()
    found = (total / values).sqrt().float()
    return torch.where(found > 0, found, torch.ones_like(found))


def _check_memory(architecture: Architecture, shape: torch.Size) -> None:
    """Refuse what would take more than half of the free memory: a quarter byte a code, six a feature."""
    count, _, side, _ = shape
    values = sum(width * (side >> level) ** 2 for level, width in enumerate(architecture.widths, 1))
    need, free = count * values * 6.25, free_memory()
    if need > free / 2:
        raise ValueError(
            f"features and switches of {count:,} photographs of {side} pixels take {need / 2**30:.1f} GiB "
            f"of the {free / 2**30:.1f} GiB of free memory: give a smaller `side`, or fewer photographs "
            "(`seen`, `held`)"
        )


def make_reader(architecture: Architecture, run: DepthRun, settings: Settings, seed: int = 0) -> Decoder:
    """A new reader of what lies behind one pooling of an encoder."""
    widths, layers = (part[: run.level] for part in (architecture.widths, architecture.layers))
    upto = replace(architecture, widths=widths, layers=layers)
    if run.reader == "mirrored":
        mirrored = mirrored_decoder(upto, torch.Generator().manual_seed(seed))
        # As large as the features are: of a small constant little comes through the layers' ReLU.
        nn.init.ones_(mirrored.bias_code)
        return mirrored
    levels = [Level(number, upto.widths[number - 1]) for number in range(run.level, 0, -1)]
    what = 0 if run.given == "switches" else upto.widths[-1]
    strong = StrongDecoder(levels, width=settings.width, seed=seed, what=what)
    return strong.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def run_reader(
    settings: Settings,
    run: DepthRun,
    architecture: Architecture,
    seen: Captured,
    held: Captured,
    on_progress: OnProgress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[DepthRow, UInt8[Tensor, "3 H W"]]:
    """Train one reader and measure it; its row, and pictures: photographs, and below them what is rebuilt.

    Args:
        settings: of the study.
        run: which reader.
        architecture: of the encoder.
        seen, held: to train on, and to measure on.
        on_progress: told, as phase `read`, how many steps are done.
        stop: asked after each step whether to end before the time; what comes back then is of no use.

    Raises:
        TrainingDiverged: the loss became infinite at every rate that was tried.
    """
    mean, recipe = mean_image(seen.pixels), settings.reader_recipe(run.reader)
    for attempt in range(_ATTEMPTS):
        decoder, began = make_reader(architecture, run, settings), time.monotonic()
        try:
            task = Reconstruction(decoder, recipe.scale)
            fit(task, _batches(decoder, run, seen, mean, recipe), recipe, None, on_progress, run.name, stop)
        except TrainingDiverged:
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            if stop() or not _is_dead(decoder, run, held, mean, recipe.scale):
                break
        recipe = replace(recipe, learning_rate=recipe.learning_rate / 4)
    seconds = time.monotonic() - began
    row = _measure(decoder, run, held, mean, recipe, seconds)
    shown = torch.linspace(0, len(held) - 1, min(SHOWN, len(held))).round().long()
    rebuilt = to_uint8(rebuild(decoder, run, held, mean, recipe.scale, shown, shown))
    return row, torch.cat([torch.cat(list(line), -1) for line in (held.pixels[shown], rebuilt)], -2)


def mean_errors(
    seen: UInt8[Tensor, "_ 3 s s"], held: UInt8[Tensor, "n 3 s s"]
) -> dict[str, Float64[Tensor, " n"]]:
    """`mse`, `psnr`, `ssim` and `coarse` of the mean of the photographs that were seen, on each held one."""
    return _errors(mean_image(seen).expand(len(held), -1, -1, -1), held)


def _given(
    decoder: Decoder, run: DepthRun, captured: Captured, where: Tensor, what: Tensor
) -> tuple[list[Tensor], Tensor | None]:
    """Codes of the photographs `where` and features of the photographs `what`, as a reader is given them."""
    device = next(decoder.parameters()).device
    codes = captured.codes(where, run.level)
    if run.given == "features":
        codes = [torch.zeros_like(level) for level in codes]
    features = None if run.given == "switches" else captured.features[run.level - 1][what].float().to(device)
    return [level.to(device) for level in codes], features


def _batches(
    decoder: Decoder, run: DepthRun, seen: Captured, mean: Float[Tensor, "3 s s"], recipe: Recipe
) -> Batches:
    order = Order(len(seen), recipe.batch, 0, recipe.reshuffle, flips=False)

    def at(step: int) -> tuple[list[Tensor], Tensor, Tensor | None]:
        chosen, _ = order.at(step)
        codes, what = _given(decoder, run, seen, chosen, chosen)
        target = (to_float(seen.pixels[chosen]) - mean) * recipe.scale
        return codes, target.to(codes[0].device, memory_format=torch.channels_last), what

    return at


@torch.no_grad()
def rebuild(
    decoder: Decoder,
    run: DepthRun,
    captured: Captured,
    mean: Float[Tensor, "3 s s"],
    scale: float,
    where: Int64[Tensor, " b"],
    what: Int64[Tensor, " b"],
) -> Float[Tensor, "b 3 s s"]:
    """What a reader makes of the switches of some photographs and the features of some, not clipped."""
    found = []
    for some, others in zip(where.split(PIECE), what.split(PIECE), strict=True):
        codes, features = _given(decoder, run, captured, some, others)
        found.append(decoder(codes, features).float().cpu() / scale + mean)
    return torch.cat(found)


def _is_dead(
    decoder: Decoder, run: DepthRun, held: Captured, mean: Float[Tensor, "3 s s"], scale: float
) -> bool:
    """Whether it makes the same of all photographs: its ReLUs have died, as if nothing were told."""
    some = torch.arange(min(4, len(held)))
    rebuilt = rebuild(decoder, run, held, mean, scale, some, some)
    return bool((rebuilt - rebuilt[:1]).abs().max() < 1e-6)


def _measure(
    decoder: Decoder,
    run: DepthRun,
    held: Captured,
    mean: Float[Tensor, "3 s s"],
    recipe: Recipe,
    seconds: float,
) -> DepthRow:
    own = torch.arange(len(held))
    # Half of them further on: where they are sorted by class, one of another class.
    other = own.roll(-(len(held) // 2))
    pairs = {"switches": (other, own), "features": (own, other)}
    swapped = {
        name: _errors(rebuild(decoder, run, held, mean, recipe.scale, *pair), held.pixels)["mse"]
        for name, pair in pairs.items()
        if run.given in ("both", name)
    }
    found = _errors(rebuild(decoder, run, held, mean, recipe.scale, own, own), held.pixels)
    lists = {name: tuple(values.tolist()) for name, values in found.items()}
    return DepthRow(
        run.level, run.given, run.reader, lists["mse"], lists["psnr"],
        None if any(map(math.isnan, lists["ssim"])) else lists["ssim"], lists["coarse"],
        {name: tuple(values.tolist()) for name, values in swapped.items()},
        recipe.steps, recipe.learning_rate, seconds,
    )  # fmt: skip


def _errors(
    outputs: Float[Tensor, "n 3 s s"], held: UInt8[Tensor, "n 3 s s"]
) -> dict[str, Float64[Tensor, " n"]]:
    """`mse`, `psnr`, `ssim` and `coarse` of each photograph."""
    values, coarse = [], []
    for made, pixels in zip(outputs.split(PIECE), held.split(PIECE), strict=True):
        images = to_float(pixels)
        values.append(measure(made, images))
        coarse.append(F.avg_pool2d(made - images, COARSE).double().square().mean((1, 2, 3)))
    mse, psnr, ssim = torch.cat(values, 1)
    return {"mse": mse, "psnr": psnr, "ssim": ssim, "coarse": torch.cat(coarse)}
