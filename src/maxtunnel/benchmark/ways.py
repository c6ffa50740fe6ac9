"""The ways of doing each operation that are compared, each built where it is timed."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.benchmark.stock import Form, Graphed, StockNetwork
from maxtunnel.data.batches import Order
from maxtunnel.data.images import to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.strong import WIDTH
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.switches.pooling import pool, unpool
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.feeds import ENDLESS, KeptSwitches, SwitchFeed
from maxtunnel.training.loop import ROW, Session
from maxtunnel.training.phases import Reconstruction
from maxtunnel.training.recipes import FAST, STRONG

SIDE = 128
POOL_CHANNELS = 64
POOLING = "pool and unpool"

STOCK = "stock"
TUNED = "stock, channels-last and bfloat16"
OURS = "ours"
KEPT = "ours, switches kept"
EVERY_STEP = "ours, encoder every step"
LAST = "stock, channels-last"
OURS_LAST = "ours, channels-last"
MAKING = "making the switches that are kept"
MADE_IMAGES = 64  # of one call of MAKING

# Of a GPU alone.
EXACT = "stock, float32 without TF32"
FUSED = "stock, fused optimiser"
GRAPH = "stock, graph"
LAST_GRAPH = "stock, channels-last, graph"
TUNED_GRAPH = "stock, all of these, graph"

FORMS = {
    STOCK: Form(),
    LAST: Form(channels_last=True),
    TUNED: Form(channels_last=True, bfloat16=True),
    EXACT: Form(exact=True),
    FUSED: Form(fused=True),
    GRAPH: Form(graph=True),
    LAST_GRAPH: Form(channels_last=True, graph=True),
    TUNED_GRAPH: Form(channels_last=True, bfloat16=True, graph=True, autotune=True),
}

WAYS = {
    "train": (STOCK, TUNED, KEPT, EVERY_STEP),
    "reconstruct": (STOCK, TUNED, OURS),
    "encode": (STOCK, TUNED, OURS),
    "decode": (STOCK, TUNED, OURS),
    POOLING: (STOCK, LAST, OURS, OURS_LAST),
}
# On a GPU a graph is what saves most at small batches, so stock has its forms with one too.
GPU_WAYS = {
    "train": (STOCK, EXACT, TUNED, FUSED, GRAPH, LAST_GRAPH, TUNED_GRAPH, KEPT, EVERY_STEP),
    "reconstruct": (STOCK, EXACT, TUNED, GRAPH, LAST_GRAPH, TUNED_GRAPH, OURS),
    "encode": (STOCK, EXACT, TUNED, GRAPH, TUNED_GRAPH, OURS),
    "decode": (STOCK, EXACT, TUNED, GRAPH, TUNED_GRAPH, OURS),
    POOLING: (STOCK, LAST, GRAPH, OURS, OURS_LAST),
}

# Of a strong decoder, which has no like in stock PyTorch.
STRONG_WAYS = {"train": (KEPT,), "decode": (OURS,)}


def shape_of(model: str) -> tuple[Architecture, int | None]:
    """Filters per block, and the width of a strong decoder: `8-8-8`, `8-8-8-strong` or `8-8-8-strong-112`.

    Raises:
        ValueError: it is neither, or its blocks are linear or wider inside: stock PyTorch has no such ones.
    """
    plain, strong, width = model.partition("-strong")
    architecture = Architecture.parse(plain)
    if architecture.linear or architecture.inside is not None:
        raise ValueError(
            f"{model!r} is a variant: the benchmark times Table I's layers, such as {plain.split('+')[0]}"
        )
    if not strong:
        return architecture, None
    wide = width.removeprefix("-") if width else str(WIDTH)
    if not (wide.isascii() and wide.isdigit() and len(wide) < 5 and int(wide)):
        raise ValueError(f"{model!r} has no width of a strong decoder: expected such as 8-8-8-strong-112")
    return architecture, int(wide)


def ways_of(model: str, operation: str) -> tuple[str, ...]:
    """The ways in which an operation of a model is done here; none where it has no such operation."""
    if "-strong" in model:
        return STRONG_WAYS.get(operation, ())
    ways = (GPU_WAYS if torch.cuda.is_available() else WAYS)[operation]
    return (*ways, MAKING) if operation == "train" else ways


def build(model: str, operation: str, batch: int, way: str) -> Callable[[], object]:
    """What one call of an operation does to a batch of images of 128x128, on the GPU if there is one.

    Args:
        model: as `shape_of` reads it; not looked at for pooling alone, which is of 64 channels.
        operation: a key of WAYS.
        batch: images.
        way: one of its values, or for `train`, MAKING: of 64 images.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    if operation == POOLING:
        return _pooling(way, batch, device)
    (architecture, width), pixels = shape_of(model), _photographs(4 * batch)
    mean = to_float(pixels[:MADE_IMAGES]).mean(0)
    if way in FORMS:
        x = (to_float(pixels[:batch]) - mean).to(device) * 255
        stock = StockNetwork(architecture.widths, FORMS[way], architecture.layers)
        return _stock(stock.to(device), operation, x)
    network = TunnelNetwork(architecture, mean, FAST.scale, strong_width=width).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if operation == "train":
        if way == MAKING:
            return lambda: KeptSwitches(network, pixels[:MADE_IMAGES])
        return _training_step(network, pixels, batch, ENDLESS if way == KEPT else 0)
    images = to_float(pixels[:batch]).to(device)
    code = network.encode(images)
    return {
        "encode": lambda: network.encode(images),
        "decode": lambda: network.decode(code),
        "reconstruct": lambda: network.reconstruct(images),
    }[operation]


def _stock(network: StockNetwork, operation: str, x: Tensor) -> Callable[[], object]:
    network.form.settle()
    if operation == "train":
        optimizer = network.make_optimizer()
        return _graphed(network.form, lambda: network.train_step(x, optimizer))
    indices = network.encode(x)
    call = torch.no_grad()(
        {
            "encode": lambda: network.encode(x),
            "decode": lambda: network.decode(indices),
            "reconstruct": lambda: network.decode(network.encode(x)),
        }[operation]
    )
    return _graphed(network.form, call)


def _graphed(form: Form, call: Callable[[], object]) -> Callable[[], object]:
    return Graphed(call) if form.graph else call


def _training_step(network: TunnelNetwork, pixels: Tensor, batch: int, steps: int) -> Callable[[], object]:
    """A step of `maxtunnel train --recipe fast`, in a run so long that switches are kept, or of none."""
    recipe = FAST if network.decoder_kind == "mirrored" else STRONG
    with tempfile.TemporaryDirectory() as run:
        config = TrainingConfig(recipe=replace(recipe, batch=batch))
        session = Session(network, Reconstruction(network.decoder, network.scale), Path(run), config)
    feed = SwitchFeed(network, pixels.to(network.device), session.order(len(pixels)), steps)
    numbers = count()

    def step() -> object:
        number = next(numbers)
        done = session.step(number % recipe.steps, feed.at(number))
        # As in a person's run, which looks at the losses of a row of steps together.
        return done.tolist() if (number + 1) % ROW == 0 else done

    return step


def _pooling(way: str, batch: int, device: torch.device) -> Callable[[], object]:
    x = torch.randn(batch, POOL_CHANNELS, SIDE, SIDE, device=device).relu()
    if way in (LAST, OURS_LAST):
        x = x.contiguous(memory_format=torch.channels_last)
    if way in FORMS:
        return _graphed(FORMS[way], lambda: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), [2, 2]))
    # As in the network, which looks for NaN once, at its end.
    return lambda: unpool(*pool(x, check=False), check=False)


@cache
def _pieces() -> Tensor:
    """64 pieces of 128x128 of the photographs in the package, uint8."""
    pieces = [
        photograph[:, y : y + SIDE, x : x + SIDE]
        for photograph in demo_photographs().values()
        for y in range(0, photograph.shape[1] - SIDE + 1, 32)
        for x in range(0, photograph.shape[2] - SIDE + 1, 32)
    ]
    order, _ = Order(len(pieces), 64, 0, True, False).at(0)
    return torch.stack([pieces[i] for i in order.tolist()])


def _photographs(count: int) -> Tensor:
    """At least so many pieces, and at least 64; they repeat, as there are no more."""
    return _pieces().repeat(max(1, -(-count // MADE_IMAGES)), 1, 1, 1)
