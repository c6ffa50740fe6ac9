"""Training: one loop on Lightning Fabric, the only file that knows the engine."""

import csv
import json
import logging
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from maxtunnel.batches import KeptSwitches, Order, cut
from maxtunnel.evaluation import evaluate
from maxtunnel.files import FormatError, replacing
from maxtunnel.images import Resize, write_png
from maxtunnel.network import TunnelNetwork
from maxtunnel.progress import OnProgress, counter, silent
from maxtunnel.recipes import FAST, Recipe
from maxtunnel.state import State

ROW = 50  # steps a row of metrics.csv
CHECKPOINT_SECONDS = 30.0
SAMPLES = 8
COLUMNS = ("step", "loss", "rmse", "learning_rate", "images_per_second")


class TrainingStopped(Exception):
    """The run was interrupted; everything is saved, and the message says how to go on."""


class TrainingDiverged(ValueError):
    """The loss became NaN or infinite; the message says when, and what to try."""


@dataclass(frozen=True)
class Config:
    """What a run was asked for; `config.json`, and all that `--resume` needs.

    Attributes:
        recipe: with the steps that are really run.
        seed: draws the order of the photographs, and the network where it is new.
        encoder: `random`, or the name of the model whose encoder was taken.
        data, val: where the photographs came from.
        size, resize: how they were read.
        minutes: bound on the whole run; turned into `recipe.steps` after a short measurement.
        target_rmse: stop as soon as the photographs of `val` are met this well.
        devices, nodes: processes that share each batch.
    """

    recipe: Recipe = FAST
    seed: int = 0
    encoder: str = "random"
    data: str = ""
    val: str | None = None
    size: int = 128
    resize: Resize = "bilinear"
    minutes: float | None = None
    target_rmse: float | None = None
    devices: int = 1
    nodes: int = 1

    def save(self, run: Path) -> None:
        """Write RUN/config.json."""
        with replacing(run / "config.json") as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, run: Path) -> "Config":
        """Read RUN/config.json; FormatError where it is missing or no config."""
        path = run / "config.json"
        try:
            fields = json.loads(path.read_text())
            recipe = fields.pop("recipe")
            return cls(recipe=Recipe(**recipe | {"betas": tuple(recipe["betas"])}), **fields)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise FormatError(f"{path} is not the config of a run: {error}") from None


class Reconstruction(nn.Module):
    """The decoder with the paper's loss, sum((y - x)^2) / (2N), on the network's inner scale."""

    def __init__(self, network: TunnelNetwork) -> None:
        super().__init__()
        self.decoder = network.decoder

    def forward(
        self, codes: list[UInt8[Tensor, "n _ _ _"]], target: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, ""]:
        """Loss of one batch."""
        return (self.decoder(codes).float() - target).square().sum() / (2 * len(target))


class Feed:
    """Batches of one set of photographs for one network: codes and targets.

    The encoder runs once over the set where that is less work than running it every step and memory allows.
    """

    def __init__(
        self,
        network: TunnelNetwork,
        pixels: UInt8[Tensor, "n 3 h w"],
        order: Order,
        steps: int,
        on_progress: OnProgress = silent,
    ) -> None:
        self.network, self.pixels, self.order = network, pixels, order
        distinct = len(pixels) * (2 if order.flips else 1)
        size = pixels.shape[-2], pixels.shape[-1]
        self._kept = (
            KeptSwitches(
                network,
                pixels,
                mirrored=order.flips,
                on_progress=counter(on_progress, "encode"),
            )
            if steps * order.batch // order.ranks > distinct and KeptSwitches.fit(network, distinct, size)
            else None
        )

    def at(self, step: int) -> tuple[list[Tensor], Tensor]:
        """Codes (finest level first) and targets of batch `step`."""
        numbers, mirrored = self.order.at(step)
        images = cut(self.network, self.pixels, numbers, mirrored)
        target = self.network.normalise(images)
        if self._kept is not None:
            return self._kept.at(numbers, mirrored), target
        return [level.codes for level in self.network.encode(images).levels], target


def train(
    network: TunnelNetwork,
    photographs: UInt8[Tensor, "n 3 h w"],
    run: str | Path,
    config: Config = Config(),
    *,
    val: UInt8[Tensor, "m 3 h w"] | None = None,
    resume: bool = False,
    on_progress: OnProgress = silent,
) -> TunnelNetwork:
    """Train the decoder of `network` to rebuild `photographs` from the switches of its frozen encoder.

    Args:
        network: changed in place.
        photographs: uint8 RGB, all of one size.
        run: folder for config.json, metrics.csv, model.safetensors, samples and the state to resume from.
        config: recipe, seed and bounds.
        val: photographs that are never trained on: measured at the end, shown in the samples.
        resume: go on from the state in `run`; ends bit for bit like a run that was never stopped (CPU).
        on_progress: told often where the run is.

    Returns:
        The network, which `run` also holds as model.safetensors.

    Raises:
        TrainingStopped: interrupted by Ctrl-C or SIGTERM; the state is saved.
        TrainingDiverged: the loss became NaN or infinite; the last good state is saved.
        ValueError: there are no photographs, or `run` holds another run.
        FormatError: there is nothing sound to resume.
    """
    run = Path(run)
    if len(photographs) == 0:
        raise ValueError("there are no photographs to train on")
    if not resume and (run / "config.json").exists():
        raise ValueError(f"{run} holds a run already: resume it with --resume {run}, or name another folder")
    started = time.monotonic()
    fabric = _fabric(config)
    network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    recipe = config.recipe
    state = State(network, network.decoder, recipe)
    if resume:
        state.load(run)
    stepper = Stepper(fabric, Reconstruction(network), state)
    order = Order(
        len(photographs), recipe.batch, config.seed, recipe.reshuffle, recipe.flips,
        fabric.global_rank, fabric.world_size,
    )  # fmt: skip
    steps = recipe.steps if config.minutes is None else 10**9
    feed = Feed(network, _resident(photographs, fabric.device), order, steps, on_progress)
    if config.minutes is not None:
        per_step = _seconds_per_step(stepper, feed)
        left = config.minutes * 60 - (time.monotonic() - started)
        recipe = replace(recipe, steps=max(1, round(left / per_step)))
        config = replace(config, recipe=recipe, minutes=None)
    if fabric.is_global_zero:
        if not resume:
            network.save(run / "model.safetensors")
        config.save(run)
        _start_log(run, state.step)
    stepper.recipe = recipe
    _loop(stepper, feed, run, feed.pixels if val is None else val, on_progress)
    network.info = _info(config, len(photographs), network, val, time.monotonic() - started)
    if fabric.is_global_zero:
        network.save(run / "model.safetensors")
    fabric.barrier()
    return network


class Stepper:
    """Takes single steps: rate, loss, gradient, update."""

    def __init__(self, fabric: Any, task: nn.Module, state: State) -> None:
        self.fabric, self.state, self.recipe = fabric, state, state.recipe
        self._task, self._optimizer = fabric.setup(task, state.optimizer)

    def step(self, number: int, batch: tuple[Any, ...]) -> Float[Tensor, ""]:
        """Do step `number` (counted from 0) on a batch, which is what the task's `forward` takes."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.rate(number) * group["factor"]
        loss: Tensor = self._task(*batch)
        self._optimizer.zero_grad()
        self.fabric.backward(loss)
        self._optimizer.step()
        return loss.detach()

    def mean(self, losses: list[Tensor]) -> list[float]:
        """Losses averaged over all processes."""
        return self.fabric.all_reduce(torch.stack(losses), reduce_op="mean").tolist()


def _loop(stepper: Stepper, feed: Feed, run: Path, shown: Tensor, on_progress: OnProgress) -> None:
    """Train from the state's step to the recipe's last; `shown` are the photographs of the samples."""
    state, recipe, first = stepper.state, stepper.recipe, stepper.fabric.is_global_zero
    losses: list[Tensor] = []
    saved = row_began = time.monotonic()
    with _interrupts() as interrupted:
        while state.step < recipe.steps:
            losses.append(stepper.step(state.step, feed.at(state.step)))
            state.step += 1
            ends = state.step == recipe.steps
            if not (state.step % ROW == 0 or ends or interrupted.is_set()):
                continue
            values = stepper.mean(losses)
            _refuse_divergence(values, state.step, recipe, run)
            speed = len(values) * recipe.batch / (time.monotonic() - row_began)
            loss = sum(values) / len(values)
            rmse = _loss_to_rmse(loss, feed.network, feed.pixels)
            on_progress("train", state.step, recipe.steps, f"RMSE {rmse:.4f}, {speed:.0f} images/s")
            if first:
                _log_row(run, state.step, loss, rmse, recipe.rate(state.step - 1), speed)
            if first and (ends or interrupted.is_set() or time.monotonic() - saved > CHECKPOINT_SECONDS):
                state.save(run)
                feed.network.save(run / "model.safetensors")
                _write_samples(feed.network, shown, run / "samples", state.step)
                saved = time.monotonic()
            if interrupted.is_set() and not ends:
                raise TrainingStopped(
                    f"stopped at step {state.step} of {recipe.steps}, saved; "
                    f"go on with: maxtunnel train --resume {run}"
                )
            losses, row_began = [], time.monotonic()


def _refuse_divergence(losses: list[float], step: int, recipe: Recipe, run: Path) -> None:
    for number, loss in enumerate(losses, step - len(losses) + 1):
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"the loss became {loss} at step {number}; the last good state is in {run}: "
                f"try a learning rate below {recipe.learning_rate}, or precision 32"
            )


def _start_log(run: Path, step: int) -> None:
    """Begin metrics.csv, or drop the rows from after the step that is resumed."""
    path, rows = run / "metrics.csv", []
    if path.exists():
        with path.open(newline="") as file:
            rows = [row for row in list(csv.reader(file))[1:] if int(row[0]) <= step]
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def _log_row(run: Path, step: int, *values: float) -> None:
    with (run / "metrics.csv").open("a", newline="") as file:
        csv.writer(file).writerow([step, *(f"{value:.6g}" for value in values)])


def _seconds_per_step(stepper: Stepper, feed: Feed) -> float:
    """How long a step takes here, measured on some that are undone afterwards."""
    before = {name: tensor.clone() for name, tensor in stepper.state.tensors().items()}
    seconds = []
    for step in range(25):
        began = time.perf_counter()
        stepper.step(step, feed.at(step)).item()
        seconds.append(time.perf_counter() - began)
    stepper.state.restore(before)
    # The first ones warm up; all processes must agree on the number of steps.
    return stepper.mean([torch.tensor(sum(seconds[5:]) / 20)])[0]


def _fabric(config: Config) -> Any:
    from lightning.fabric import Fabric

    # It announces its precision to everyone.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator="auto",
        devices=config.devices,
        num_nodes=config.nodes,
        strategy="ddp" if config.devices * config.nodes > 1 else "auto",
        precision="bf16-mixed" if config.recipe.precision == "bf16" else "32-true",
    )
    fabric.launch()
    return fabric


def _resident(pixels: Tensor, device: torch.device) -> Tensor:
    """The photographs on the device where they take at most a quarter of its memory."""
    if device.type != "cuda" or pixels.numel() > torch.cuda.mem_get_info(device)[0] / 4:
        return pixels
    return pixels.to(device)


def _loss_to_rmse(loss: float, network: TunnelNetwork, pixels: Tensor) -> float:
    height, width = network.architecture.padded_size((pixels.shape[-2], pixels.shape[-1]))
    return math.sqrt(2 * loss / (3 * height * width)) / network.scale


def _write_samples(network: TunnelNetwork, pixels: Tensor, folder: Path, step: int) -> None:
    """A picture: photographs, evenly spread over the set, above their reconstructions."""
    numbers = torch.linspace(0, len(pixels) - 1, min(SAMPLES, len(pixels))).long()
    images = cut(network, pixels, numbers, torch.zeros_like(numbers, dtype=torch.bool))
    rows = [torch.cat(list(row), dim=-1) for row in (images, network.reconstruct(images))]
    write_png(folder / f"{step:06d}.png", torch.cat(rows, dim=-2).cpu())


def _info(
    config: Config, photographs: int, network: TunnelNetwork, val: Tensor | None, seconds: float
) -> dict[str, Any]:
    """What model.safetensors says of how the network came about."""
    info: dict[str, Any] = {
        "recipe": asdict(config.recipe),
        "seed": config.seed,
        "encoder": config.encoder,
        "data": _short_name(config.data),
        "images": photographs,
        "size": config.size,
        "resize": config.resize,
        "seconds": round(seconds, 1),
        "torch": torch.__version__,
    }
    if val is not None:
        result = evaluate(network, val)
        info |= {"rmse": result.rmse, "rmse_ci95": result.rmse_ci95}
        info |= {"val": _short_name(config.val or ""), "val_images": result.images}
    return info


def _short_name(folder: str) -> str:
    """The last two names of a path: enough to know the data, and nothing about the machine."""
    return "/".join(Path(folder).resolve().parts[-2:])


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; the second one acts as always."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _: object) -> None:
        event.set()
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, note)
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
