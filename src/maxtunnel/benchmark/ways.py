"""The ways of doing each operation that are compared, each built where it is timed."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.benchmark.stock import StockNetwork
from maxtunnel.data.batches import Order
from maxtunnel.data.images import to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.switches.pooling import pool, unpool
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.feeds import KeptSwitches, SwitchFeed
from maxtunnel.training.loop import Session
from maxtunnel.training.phases import Reconstruction
from maxtunnel.training.recipes import FAST

BATCH, SIDE = 16, 128
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

WAYS = {
    "train": (STOCK, TUNED, KEPT, EVERY_STEP),
    "encode": (STOCK, TUNED, OURS),
    "decode": (STOCK, TUNED, OURS),
    "reconstruct": (STOCK, TUNED, OURS),
    POOLING: (STOCK, LAST, OURS, OURS_LAST),
}


def build(model: str, operation: str, way: str) -> Callable[[], object]:
    """What one call of an operation does to a batch of 16 images of 128x128.

    Args:
        model: architecture; not looked at for pooling alone, which is of 64 channels.
        operation: a key of WAYS.
        way: one of its values, or for `train`, MAKING: of 64 images.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    if operation == POOLING:
        return _pooling(way, device)
    architecture, pixels = Architecture.parse(model), _photographs()
    mean = to_float(pixels).mean(0)
    if way in (STOCK, TUNED):
        return _stock(
            architecture, operation, way == TUNED, (to_float(pixels[:BATCH]) - mean).to(device) * 255
        )
    network = TunnelNetwork(architecture, mean, FAST.scale).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if operation == "train":
        if way == MAKING:
            return lambda: KeptSwitches(network, pixels)
        return _training_step(network, pixels, 10**9 if way == KEPT else 0)
    images = to_float(pixels[:BATCH]).to(device)
    code = network.encode(images)
    return {
        "encode": lambda: network.encode(images),
        "decode": lambda: network.decode(code),
        "reconstruct": lambda: network.reconstruct(images),
    }[operation]


def _stock(architecture: Architecture, operation: str, fast: bool, x: Tensor) -> Callable[[], object]:
    network = StockNetwork(architecture.widths, fast).to(x.device)
    if operation == "train":
        optimizer = network.make_optimizer()
        return lambda: network.train_step(x, optimizer)
    indices = network.encode(x)
    return torch.no_grad()(
        {
            "encode": lambda: network.encode(x),
            "decode": lambda: network.decode(indices),
            "reconstruct": lambda: network.decode(network.encode(x)),
        }[operation]
    )


def _training_step(network: TunnelNetwork, pixels: Tensor, steps: int) -> Callable[[], object]:
    """A step of `maxtunnel train --recipe fast`, in a run so long that switches are kept, or of none."""
    with tempfile.TemporaryDirectory() as run:
        config = TrainingConfig(recipe=replace(FAST, batch=BATCH))
        session = Session(network, Reconstruction(network.decoder, network.scale), Path(run), config)
    feed = SwitchFeed(network, pixels.to(network.device), session.order(len(pixels)), steps)
    numbers = iter(range(10**9))

    def step() -> object:
        number = next(numbers)
        # A person's run looks at every loss, too.
        return session.step(number % FAST.steps, feed.at(number)).tolist()

    return step


def _pooling(way: str, device: torch.device) -> Callable[[], object]:
    x = torch.randn(BATCH, POOL_CHANNELS, SIDE, SIDE, device=device).relu()
    if way in (LAST, OURS_LAST):
        x = x.contiguous(memory_format=torch.channels_last)
    if way in (STOCK, LAST):
        return lambda: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), [2, 2])
    # As in the network, which looks for NaN once, at its end.
    return lambda: unpool(*pool(x, check=False), check=False)


def _photographs() -> Tensor:
    """64 pieces of 128x128 of the photographs in the package, uint8."""
    pieces = [
        photograph[:, y : y + SIDE, x : x + SIDE]
        for photograph in demo_photographs().values()
        for y in range(0, photograph.shape[1] - SIDE + 1, 32)
        for x in range(0, photograph.shape[2] - SIDE + 1, 32)
    ]
    order, _ = Order(len(pieces), 64, 0, True, False).at(0)
    return torch.stack([pieces[i] for i in order.tolist()])
