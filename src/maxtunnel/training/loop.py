"""Training: one loop for every phase and recipe on Lightning Fabric; the only file that knows the engine."""

import json
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from maxtunnel.data.batches import PIECE, Order, Pixels, cut
from maxtunnel.data.images import Resize, write_png
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.models.classifier import Classifier
from maxtunnel.models.provenance import PhaseRecord, Provenance
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError, replacing
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.training.feeds import Feed, LabelFeed, SwitchFeed
from maxtunnel.training.phases import Classification, Phase, Reconstruction, top1
from maxtunnel.training.recipes import FAST, PhaseName, Recipe
from maxtunnel.training.state import Log, State

ROW = 50  # steps a row of metrics.csv
CHECKPOINT_SECONDS = 10.0
SAMPLES = 8


class TrainingStopped(Exception):
    """The run was interrupted; everything is saved, and the message says how to go on."""


class TrainingDiverged(ValueError):
    """The loss became NaN or infinite; the message says when, and what to try."""


@dataclass(frozen=True)
class Config:
    """What a run was asked for; `config.json`, and all that `--resume` needs.

    Attributes:
        phase: `pretrain` for the encoder, `train` for the decoder.
        recipe: with the steps that are really run.
        seed: draws the order of the photographs, and the network where it is new.
        encoder: `random`, or the name of the model whose encoder was taken.
        data, val: where the photographs came from.
        size, resize: how they were read.
        minutes: bound on the whole run; turned into `recipe.steps` after a short measurement.
        target_rmse: stop as soon as the photographs of `val` are met this well.
        devices, nodes: processes that share each batch.
    """

    phase: PhaseName = "train"
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
        if not path.exists():
            raise FormatError(f"{run} is no run: it holds no config.json")
        try:
            fields = json.loads(path.read_text())
            recipe = fields.pop("recipe")
            return cls(recipe=Recipe(**recipe | {"betas": tuple(recipe["betas"])}), **fields)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise FormatError(f"{path} is not the config of a run: {error}") from None


def train(
    network: TunnelNetwork,
    photographs: Pixels,
    run: str | Path,
    config: Config = Config(),
    *,
    val: Pixels | None = None,
    resume: bool = False,
    on_progress: OnProgress = silent,
) -> TunnelNetwork:
    """Train the decoder of `network` to rebuild `photographs` from the switches of its frozen encoder.

    Args:
        network: changed in place.
        photographs: uint8 RGB, (n, 3, h, w), all of one size.
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
    if not resume:
        network.provenance = Provenance(pretraining=network.provenance.pretraining)
    session = Session(
        network,
        network,
        network.decoder,
        Reconstruction(network.decoder, network.scale),
        Path(run),
        config,
        resume,
    )
    pixels = _resident(_at_least_one(photographs), session.fabric.device)
    feed = SwitchFeed(network, pixels, session.order(len(pixels)), session.most_steps, on_progress)
    shown = pixels if val is None else val
    target = None
    if config.target_rmse is not None:
        if val is None:
            raise ValueError("a target RMSE is measured on val photographs: give some")
        target = SwitchFeed(network, val, Order(len(val), PIECE, 0, False, False), 10**9, on_progress)

    def reached() -> bool:
        return target is not None and _rmse(session, target, len(shown)) <= (config.target_rmse or 0)

    session.fit(feed, on_progress, lambda step: _write_samples(network, shown, session.run, step), reached)
    record = _record(session, len(photographs))
    if val is not None and session.fabric.is_global_zero:
        result = evaluate(network, val)
        record = replace(
            record,
            val=_short_name(config.val or ""),
            val_images=result.images,
            rmse=result.rmse,
            rmse_ci95=result.rmse_ci95,
            stored_bits_per_pixel=result.bits_per_pixel["stored"],
            bits_images=result.bits_images,
        )
    session.finish(replace(network.provenance, training=record))
    return network


def pretrain(
    network: TunnelNetwork,
    photographs: Pixels,
    labels: Int64[Tensor, " n"],
    run: str | Path,
    config: Config = Config(),
    *,
    val: tuple[Pixels, Int64[Tensor, " m"]] | None = None,
    resume: bool = False,
    on_progress: OnProgress = silent,
) -> TunnelNetwork:
    """Train the encoder of `network` to classify photographs, with a classifier that is thrown away.

    Args:
        network: its encoder is changed in place; its decoder stays as it is.
        photographs: uint8 RGB, (n, 3, h, w), all of one size.
        labels: the number of each photograph's class, from 0.
        run: as for `train`; model.safetensors holds the encoder, for `train --encoder RUN`.
        config: recipe, seed and bounds.
        val: photographs and labels that are never trained on; the top-1 accuracy there goes into the provenance.
        resume: as for `train`.
        on_progress: told often where the run is.

    Returns:
        The network, whose provenance has `top1`.

    Raises:
        As `train`.
    """
    if not resume:
        network.provenance = Provenance()
    size = photographs.shape[-2], photographs.shape[-1]
    generator = torch.Generator().manual_seed(config.seed)
    classes = int(_at_least_one(labels).max()) + 1
    classifier = Classifier(network.architecture, classes, size, generator)
    network.encoder.requires_grad_(True)
    task = Classification(network, classifier)
    whole = nn.ModuleDict({"network": network, "classifier": classifier})
    session = Session(network, whole, task, task, Path(run), config, resume)
    pixels = _resident(photographs, session.fabric.device)
    feed = LabelFeed(network, pixels, labels, session.order(len(pixels)))
    session.fit(feed, on_progress)
    network.encoder.requires_grad_(False)
    record = replace(_record(session, len(photographs)), classes=classes)
    if val is not None and session.fabric.is_global_zero:
        record = replace(
            record,
            val=_short_name(config.val or ""),
            val_images=len(val[1]),
            top1=top1(task, network, *val),
        )
    session.finish(Provenance(pretraining=record))
    return network


@dataclass(frozen=True)
class Fit:
    """How a training went that leaves no run behind.

    Attributes:
        steps: batches.
        seconds: how long they took.
        curve: up to 60 points of (step, measure): means over the steps since the point before.
    """

    steps: int
    seconds: float
    curve: tuple[tuple[int, float], ...]


def fit(
    task: Phase,
    trained: nn.Module,
    at: Callable[[int], tuple[Any, ...]],
    recipe: Recipe,
    seconds: float | None = None,
    on_progress: OnProgress = silent,
    what: str = "train",
) -> Fit:
    """Train a task in memory, in this process: no folder, no resume.

    Args:
        task: gives loss and measure of a batch.
        trained: the part of it that is trained; moved to the best device there is.
        at: the batch of each step.
        recipe: its steps are done, or with `seconds` as many as fit, the rate following the clock.
        what: names the training in progress and errors.

    Raises:
        TrainingDiverged: the loss became NaN or infinite.
    """
    fabric = _fabric(Config(recipe=recipe))
    task.to(fabric.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    forward, optimizer = fabric.setup(task, State(task, trained, recipe).optimizer)
    began, share = time.monotonic(), 0.0
    done: list[Tensor] = []
    while share < 1:
        rate = recipe.rate(round(share * recipe.steps))
        done.append(_update(fabric, forward, optimizer, rate, at(len(done))))
        passed = time.monotonic() - began
        share = len(done) / recipe.steps if seconds is None else passed / seconds
        if len(done) % ROW == 0 or share >= 1:
            loss, measure = torch.stack(done[-ROW:]).mean(0).tolist()
            if not math.isfinite(loss):
                raise TrainingDiverged(
                    f"the loss of {what} became {loss} before step {len(done)}: the values may be too large; "
                    f"try a learning rate below {recipe.learning_rate}"
                )
            steps = max(len(done), round(len(done) / share))
            on_progress(what, len(done), steps, f"{task.measure} {task.summarise(measure):.4f}")
    measures, each = torch.stack(done)[:, 1].cpu(), -(-len(done) // 60)
    curve = [
        (i + len(p), task.summarise(float(p.mean())))
        for i, p in zip(range(0, len(done), each), measures.split(each), strict=True)
    ]
    return Fit(len(done), time.monotonic() - began, tuple(curve))


class Session:
    """One run in one process: the engine, the state, and the loop that all phases share.

    Args:
        network: saved as model.safetensors.
        whole: the network with all that is trained; saved as the state.
        trained: the part of `whole` that is trained.
        task: the phase.
        run: the run's folder.
        config: what was asked for; its recipe gets its steps from `minutes` in `fit`.
        resume: whether to go on from the state in the folder.
    """

    def __init__(
        self,
        network: TunnelNetwork,
        whole: nn.Module,
        trained: nn.Module,
        task: Phase,
        run: Path,
        config: Config,
        resume: bool,
    ) -> None:
        if not resume and (run / "config.json").exists():
            raise ValueError(f"{run} holds a run already: go on with --resume {run}, or name another folder")
        self.network, self.task, self.run, self.config = network, task, run, config
        self.started = time.monotonic()
        self.fabric = _fabric(config)
        # Cutting a batch needs as many images for each process.
        if config.recipe.batch % self.fabric.world_size:
            raise ValueError(
                f"{self.fabric.world_size} processes cannot share batches of {config.recipe.batch} evenly"
            )
        whole.to(self.fabric.device)
        whole.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.state = State(whole, trained, config.recipe)
        if resume:
            self.state.load(run)
        self._step, self._optimizer = self.fabric.setup(task, self.state.optimizer)
        self._resumed = resume

    @property
    def most_steps(self) -> int:
        """Steps that the run may come to."""
        return self.config.recipe.steps if self.config.minutes is None else 10**9

    def order(self, images: int) -> Order:
        """This process's share of the batches."""
        recipe, fabric = self.config.recipe, self.fabric
        return Order(
            images, recipe.batch, self.config.seed, recipe.reshuffle, recipe.flips,
            fabric.global_rank, fabric.world_size,
        )  # fmt: skip

    def step(self, number: int, batch: tuple[Any, ...]) -> Float[Tensor, "2"]:
        """Do step `number`, counted from 0: rate, loss, gradient, update; loss and measure of the batch."""
        return _update(self.fabric, self._step, self._optimizer, self.config.recipe.rate(number), batch)

    def fit(
        self,
        feed: Feed,
        on_progress: OnProgress,
        show: Callable[[int], None] = lambda step: None,
        reached: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train from the state's step to the recipe's last.

        Args:
            feed: makes the batches.
            on_progress: told often where the run is.
            show: writes samples.
            reached: whether the run may stop before its last step.
        """
        log = self._begin(feed)
        state, recipe = self.state, self.config.recipe
        every = max(ROW, recipe.steps // 20 // ROW * ROW)
        done: list[Tensor] = []
        saved = row_began = time.monotonic()
        with _interrupts() as interrupted, closing(log):
            while state.step < recipe.steps:
                done.append(self.step(state.step, feed.at(state.step)))
                state.step += 1
                ends, row = state.step == recipe.steps, state.step % ROW == 0
                alone = self.fabric.world_size == 1
                if not (row or ends or (alone and interrupted.is_set())):
                    continue
                # Processes stop together, at the end of a row: a signal reaches them at different steps.
                stop = interrupted.is_set() if alone else self._any(interrupted.is_set())
                loss, measure = self._mean(done)
                speed = len(done) * recipe.batch / (time.monotonic() - row_began)
                note = f"{self.task.measure} {measure:.4f}, {speed:.0f} images/s"
                on_progress("train", state.step, recipe.steps, note)
                enough = not ends and state.step % every == 0 and self._any(reached())
                log.row(state.step, loss, measure, recipe.rate(state.step - 1), speed)
                if log.writes:
                    if ends or stop or enough or time.monotonic() - saved > CHECKPOINT_SECONDS:
                        self._save()
                        saved = time.monotonic()
                    if ends or enough or state.step % every == 0:
                        show(state.step)
                if enough:
                    self.config = replace(self.config, recipe=replace(recipe, steps=state.step))
                    if log.writes:
                        self.config.save(self.run)
                    break
                if stop and not ends:
                    raise TrainingStopped(
                        f"stopped at step {state.step} of {recipe.steps}, saved; "
                        f"go on with: maxtunnel train --resume {self.run}"
                    )
                done, row_began = [], time.monotonic()

    def finish(self, provenance: Provenance) -> None:
        """Write the network with how it came about."""
        self.network.provenance = provenance
        if self.fabric.is_global_zero:
            self.network.save(self.run / "model.safetensors")
        self.fabric.barrier()

    def _begin(self, feed: Feed) -> Log:
        if self.config.minutes is not None:
            per_step = self._seconds_per_step(feed)
            left = self.config.minutes * 60 - (time.monotonic() - self.started)
            # All processes must agree, and each has its own clock.
            mean = torch.tensor(left / per_step, device=self.fabric.device)
            steps = max(1, round(float(self.fabric.all_reduce(mean, reduce_op="mean"))))
            self.config = replace(self.config, recipe=replace(self.config.recipe, steps=steps), minutes=None)
        if self.fabric.is_global_zero:
            if not self._resumed:
                self.network.save(self.run / "model.safetensors")
            self.config.save(self.run)
        return Log(self.run, self.state.step, self.task.measure, self.fabric.is_global_zero)

    def _save(self) -> None:
        self.state.save(self.run)
        self.network.save(self.run / "model.safetensors")

    def _seconds_per_step(self, feed: Feed) -> float:
        """How long a step takes here, measured on some that are undone afterwards."""
        before = {name: tensor.clone() for name, tensor in self.state.tensors().items()}
        seconds = []
        for step in range(25):
            began = time.perf_counter()
            self.step(step, feed.at(step)).tolist()
            seconds.append(time.perf_counter() - began)
        self.state.restore(before)
        # The first ones warm up.
        return sum(seconds[5:]) / 20

    def _mean(self, done: list[Tensor]) -> tuple[float, float]:
        """Loss and summarised measure of the last steps, over all processes; refuses what is not finite."""
        values = self.fabric.all_reduce(torch.stack(done), reduce_op="mean")
        for number, loss in enumerate(values[:, 0].tolist(), self.state.step - len(done) + 1):
            if not math.isfinite(loss):
                raise TrainingDiverged(
                    f"the loss became {loss} at step {number}; the last good state is in {self.run}: "
                    f"try a learning rate below {self.config.recipe.learning_rate}, or precision 32"
                )
        loss, measure = values.mean(0).tolist()
        return loss, self.task.summarise(measure)

    def _any(self, here: bool) -> bool:
        if self.fabric.world_size == 1:
            return here
        flag = torch.tensor(float(here), device=self.fabric.device)
        return float(self.fabric.all_reduce(flag, reduce_op="sum")) > 0


def _update(
    fabric: Any,
    forward: Callable[..., tuple[Tensor, Tensor]],
    optimizer: Any,
    rate: float,
    batch: tuple[Any, ...],
) -> Float[Tensor, "2"]:
    """One step of any training: rate, loss, gradient, update; loss and measure of the batch."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]
    loss, measure = forward(*batch)
    optimizer.zero_grad()
    fabric.backward(loss)
    optimizer.step()
    return torch.stack([loss.detach().float(), measure.detach().float()])


def _fabric(config: Config) -> Any:
    from lightning.fabric import Fabric
    from lightning.fabric.plugins import MixedPrecision

    class Autocast(MixedPrecision):
        def convert_input(self, data: Any) -> Any:
            # Targets keep their precision; layers take what they need.
            return data

    # It announces its precision to everyone.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator="auto",
        devices=config.devices,
        num_nodes=config.nodes,
        strategy="ddp" if config.devices * config.nodes > 1 else "auto",
        plugins=Autocast("bf16-mixed", "cuda" if torch.cuda.is_available() else "cpu")
        if config.recipe.precision == "bf16"
        else None,
    )
    fabric.launch()
    return fabric


def _resident(pixels: Pixels, device: torch.device) -> Pixels:
    """The photographs on the device where they take at most a quarter of its memory."""
    if (
        not isinstance(pixels, Tensor)
        or device.type != "cuda"
        or pixels.numel() > torch.cuda.mem_get_info(device)[0] / 4
    ):
        return pixels
    return pixels.to(device)


def _at_least_one(items: Any) -> Any:
    if len(items) == 0:
        raise ValueError("there are no photographs to train on")
    return items


@torch.no_grad()
def _rmse(session: Session, feed: SwitchFeed, images: int) -> float:
    """RMSE of the first `images` images of a feed, in the precision of training."""
    task = session.task
    squares = [task(*feed.at(step))[1] for step in range(max(1, images // PIECE))]
    return task.summarise(float(torch.stack(squares).mean()))


def _write_samples(network: TunnelNetwork, pixels: Pixels, run: Path, step: int) -> None:
    """A picture: photographs, evenly spread over the set, above their reconstructions."""
    numbers = torch.linspace(0, len(pixels) - 1, min(SAMPLES, len(pixels))).long()
    images = cut(pixels, numbers, torch.zeros_like(numbers, dtype=torch.bool), network.device)
    rows = [torch.cat(list(row), dim=-1) for row in (images, network.reconstruct(images))]
    write_png(run / "samples" / f"{step:06d}.png", torch.cat(rows, dim=-2).cpu())


def _record(session: Session, photographs: int) -> PhaseRecord:
    """How the phase that a session did came about."""
    config = session.config
    settings = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(config.recipe).items()
    }
    return PhaseRecord(
        recipe=settings,
        seed=config.seed,
        encoder=_short_name(config.encoder) if Path(config.encoder).exists() else config.encoder,
        data=_short_name(config.data),
        images=photographs,
        size=config.size,
        resize=config.resize,
        seconds=round(time.monotonic() - session.started, 1),
        torch=torch.__version__,
    )


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
