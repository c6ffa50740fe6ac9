"""The loop that trains every phase: a run in a folder, which can be resumed, or a training in memory."""

import logging
import math
import shlex
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from maxtunnel.data.batches import Order
from maxtunnel.models.provenance import Provenance
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.progress import OnProgress, Stopped, silent
from maxtunnel.training.average import Average
from maxtunnel.training.batch import Batch, Batches
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.engine import Update, check_launched, make_optimizer, place, start_fabric
from maxtunnel.training.feeds import ENDLESS
from maxtunnel.training.history import history_file, is_kept
from maxtunnel.training.log import Log
from maxtunnel.training.peers import connected_peers
from maxtunnel.training.phases import Phase
from maxtunnel.training.recipes import Recipe
from maxtunnel.training.state import State

ROW = 50  # steps a row of metrics.csv
# A run that is bound in time gets other steps to do where its pace became another by more than this.
_STEADY = 0.8, 1.25
_ROWS = 4  # whose pace counts
CHECKPOINT_SECONDS = 10.0
_LOOKS = 20  # in a run, for samples and at the target; at most one a row
# Steps whose pace is measured before a run that is bound in time, and how many of them only warm up.
_TRIED, _WARM_UP = 25, 5
_CURVE = 60  # most points of a training's curve


class TrainingStopped(Stopped):
    """The run was interrupted; everything is saved, and the message says how to go on."""


class TrainingDiverged(ValueError):
    """The loss became NaN or infinite; the message says when, and what to try."""


@dataclass(frozen=True)
class Fit:
    """How a training in memory went.

    Attributes:
        steps: batches.
        seconds: how long they took.
        curve: up to 60 points of (step, metric): means over the steps since the point before.
    """

    steps: int
    seconds: float
    curve: tuple[tuple[int, float], ...]


def fit(
    task: Phase,
    at: Batches,
    recipe: Recipe,
    seconds: float | None = None,
    on_progress: OnProgress = silent,
    name: str = "train",
    stop: Callable[[], bool] = lambda: False,
) -> Fit:
    """Train a task in memory, in this process: no folder, no resume.

    Args:
        task: moved to the best device there is; all its parameters are trained.
        at: the batch of each step.
        recipe: its steps are done, or with `seconds` as many as fit, the rate following the clock.
        seconds: bound on the training.
        on_progress: told often how far the training is, in steps.
        name: of the training, in progress and errors.
        stop: asked after each step whether to end before its time.

    Raises:
        TrainingDiverged: the loss became NaN or infinite.
    """
    recipe = recipe.resolved()
    fabric = start_fabric(recipe)
    place(task, fabric.device)
    update = Update(fabric, task, make_optimizer(task, recipe))
    average = Average(list(task.parameters()), recipe.average) if recipe.average else None
    began, share = time.monotonic(), 0.0
    done: list[Tensor] = []
    while share < 1:
        rate = recipe.rate(round(share * recipe.steps))
        done.append(update(rate, at(len(done))))
        passed = time.monotonic() - began
        share = len(done) / recipe.steps if seconds is None else passed / max(seconds, 1e-9)
        share = 1.0 if stop() else share
        if average is not None:
            average.update(len(done), max(len(done), round(len(done) / max(share, 1e-3))))
        if len(done) % ROW == 0 or share >= 1:
            loss, metric = torch.stack(done[-ROW:]).mean(0).tolist()
            if not math.isfinite(loss):
                raise TrainingDiverged(
                    f"the loss of {name} became {loss} before step {len(done)}: the values may be too large; "
                    f"try a learning rate below {recipe.learning_rate}"
                )
            steps = max(len(done), round(len(done) / share))
            on_progress(name, len(done), steps, f"{task.metric} {task.summarise(metric):.4f}")
    if average is not None:
        average.swap()
    return Fit(len(done), time.monotonic() - began, _curve(task, torch.stack(done)[:, 1].cpu()))


class Session:
    """One run in one process: the phase, its state and the folder it is saved in.

    Args:
        network: saved as model.safetensors.
        task: the phase; all its parameters are trained.
        run: the run's folder.
        config: what was asked for; its recipe gets its steps from `minutes` in `fit`.
        resume: whether to go on from the state in the folder.
    """

    def __init__(
        self, network: TunnelNetwork, task: Phase, run: Path, config: TrainingConfig, resume: bool = False
    ) -> None:
        self.network, self.task, self.run, self.config = network, task, run, config.begun(run, resume)
        self.started = time.monotonic()
        recipe = self.config.recipe
        check_launched(config.devices, config.nodes)
        self.fabric = start_fabric(recipe, config.devices, config.nodes)
        self.peers = connected_peers(self.fabric.device, config.devices)
        # Cutting a batch needs as many images for each process.
        if recipe.batch % self.fabric.world_size:
            raise ValueError(
                f"{self.fabric.world_size} processes cannot share batches of {recipe.batch} evenly: "
                "change `devices` or `nodes`"
            )
        whole = task.whole(network)
        place(whole, self.fabric.device)
        self.state = State(whole, task, recipe)
        if resume:
            self.state.load(run)
            self._check_same_state()
        self._before = self.state.seconds
        self._update = Update(self.fabric, task, self.state.optimizer)
        # For a run that is bound in time: when it ends, and at which steps and times its last rows ended.
        self._ends_at: float | None = None
        self._rows: deque[tuple[int, float]] = deque(maxlen=_ROWS + 1)
        self._resumed = resume

    @property
    def most_steps(self) -> int:
        """Steps that the run may come to."""
        return self.config.recipe.steps if self.config.minutes is None else ENDLESS

    @property
    def seconds(self) -> float:
        """How long the run has taken so far; what lay between a stop and going on is left out."""
        return self._before + time.monotonic() - self.started

    def order(self, images: int) -> Order:
        """This process's share of the batches."""
        recipe, fabric = self.config.recipe, self.fabric
        return Order(
            images, recipe.batch, self.config.seed, recipe.reshuffle, recipe.flips,
            fabric.global_rank, fabric.world_size,
        )  # fmt: skip

    def step(self, number: int, batch: Batch) -> Float[Tensor, "2"]:
        """Do step `number`, counted from 0, on a batch; its loss and metric."""
        result = self._update(self.config.recipe.rate(number), batch)
        if self.state.average is not None:
            self.state.average.update(number + 1, self.config.recipe.steps)
        return result

    def fit(
        self,
        at: Batches,
        on_progress: OnProgress,
        show: Callable[[int], None] = lambda step: None,
        reached: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train from the state's step to the recipe's last.

        Args:
            at: the batch of each step.
            on_progress: told often how far the run is, in steps.
            show: writes samples of what a step has reached.
            reached: whether the run may stop before its last step.

        Raises:
            TrainingStopped: interrupted by Ctrl-C or SIGTERM; the state is saved.
            TrainingDiverged: the loss became NaN or infinite; the last good state is saved.
        """
        log = self._begin(at)
        state, alone = self.state, self.fabric.world_size == 1
        done: list[Tensor] = []
        saved = row_began = time.monotonic()
        with interrupts() as interrupted, log:
            while not self._ended:
                done.append(self.step(state.step, at(state.step)))
                state.step += 1
                self._note_history()
                if not (self._ended or state.step % ROW == 0 or (alone and interrupted.is_set())):
                    continue
                # Processes stop together, at the end of a row: a signal reaches them at different steps.
                stop = self.peers.any(interrupted.is_set())
                # Wait for the device, whose pace it is.
                done[-1].tolist()
                # It may make this step the last one.
                self._keep_to_time()
                steps, ends = self.config.recipe.steps, self._ended
                looks = state.step % max(ROW, steps // _LOOKS // ROW * ROW) == 0
                self._end_row(done, time.monotonic() - row_began, log, on_progress)
                with state.in_use():
                    enough = looks and not ends and self.peers.any(reached())
                    if log.writes and (ends or looks):
                        show(state.step)
                if enough:
                    # Before the state: a run that is killed in between goes on to this step, and not past it.
                    self._keep(replace(self.config, stopped_at=state.step))
                if log.writes and (ends or stop or enough or time.monotonic() - saved > CHECKPOINT_SECONDS):
                    self._save()
                    saved = time.monotonic()
                if enough:
                    break
                if stop and not ends:
                    raise TrainingStopped(
                        f"stopped at step {state.step} of {steps}, saved; "
                        f"go on with: maxtunnel {self.config.phase} --resume {shlex.quote(str(self.run))}"
                    )
                done, row_began = [], time.monotonic()

    def settle(self) -> None:
        """Leave the network with the weights to use, once all steps are done and saved."""
        if self.state.average is not None:
            self.state.average.swap()

    def finish(self, provenance: Provenance) -> None:
        """Write the network with how it came about, after `settle`."""
        self.network.provenance = provenance
        if self.fabric.is_global_zero:
            self.network.save(self.run / "model.safetensors")
            if self.config.history:
                self.network.save(history_file(self.run, self.state.step))
        self.fabric.barrier()

    @property
    def _ended(self) -> bool:
        """Whether all steps are done."""
        return self.state.step >= self.config.last_step

    def _begin(self, at: Batches) -> Log:
        if self.config.minutes is not None:
            per_step = self._seconds_per_step(at)
            left = self.config.minutes * 60 - (time.monotonic() - self.started)
            steps = max(1, round(self._agreed(left / per_step)))
            self._ends_at = self.started + self.config.minutes * 60
            self._rows.append((self.state.step, time.monotonic()))
            self.config = replace(self.config, recipe=replace(self.config.recipe, steps=steps), minutes=None)
        if self.fabric.is_global_zero:
            if not self._resumed:
                self.network.save(self.run / "model.safetensors")
                self._note_history()
            self.config.save(self.run)
        self._warn_of_lone_folder()
        return Log(
            self.run, self.state.step, self.task.metric, self.fabric.is_global_zero, self.config.logger
        )

    def _check_same_state(self) -> None:
        """Refuse to go on where the machines hold different states of the run."""
        found = self.peers.gather(self.state.step)
        if len(set(found)) > 1:
            raise ValueError(
                f"{self.run} differs between machines: its processes would go on at the steps {found}; "
                "put it on storage that all of them share, or copy it from the machine of the first one"
            )

    def _warn_of_lone_folder(self) -> None:
        """Tell of machines that do not see the run's folder, which the first process writes."""
        self.peers.wait()
        if self.peers.any(not (self.run / "config.json").exists()) and self.fabric.is_global_zero:
            logging.getLogger("maxtunnel").warning(
                "%s is not on storage that all machines share: copy it to each before the run is resumed",
                self.run,
            )

    def _keep_to_time(self) -> None:
        """Change how many steps the run has where they would end at another time than was asked for.

        The first estimate comes from a moment in which the machine may have been busy, or idle. The learning
        rate follows.
        """
        if self._ends_at is None:
            return
        step, now = self.state.step, time.monotonic()
        self._rows.append((step, now))
        per_step = (now - self._rows[0][1]) / (step - self._rows[0][0])
        left = self._agreed((self._ends_at - now) / per_step)
        planned = self.config.recipe.steps - step
        if planned and not _STEADY[0] < left / planned < _STEADY[1]:
            recipe = replace(self.config.recipe, steps=step + max(0, round(left)))
            self._keep(replace(self.config, recipe=recipe))

    def _agreed(self, steps: float) -> float:
        """The mean over all processes, which must go by the same number, and each has its own clock."""
        mean = torch.tensor(steps, device=self.fabric.device)
        return float(self.fabric.all_reduce(mean, reduce_op="mean"))

    def _end_row(self, done: list[Tensor], seconds: float, log: Log, on_progress: OnProgress) -> None:
        """Report the steps of one row, and refuse them where a loss is not finite."""
        loss, metric = self._mean(done)
        step, recipe = self.state.step, self.config.recipe
        speed = len(done) * recipe.batch / seconds
        note = f"{self.task.metric} {metric:.4f}, {speed:.0f} images/s"
        on_progress("train", step, recipe.steps, note)
        log.row(step, loss, metric, recipe.rate(step - 1), speed)

    def _keep(self, config: TrainingConfig) -> None:
        """Let this be what the run was asked for, also where it is resumed or recorded."""
        self.config = config
        if self.fabric.is_global_zero:
            self.config.save(self.run)

    def _save(self) -> None:
        self.state.seconds = self.seconds
        self.state.save(self.run)
        with self.state.in_use():
            self.network.save(self.run / "model.safetensors")

    def _note_history(self) -> None:
        if self.config.history and is_kept(self.state.step) and self.fabric.is_global_zero:
            with self.state.in_use():
                self.network.save(history_file(self.run, self.state.step))

    def _seconds_per_step(self, at: Batches) -> float:
        """How long a step takes here, measured on some that are undone afterwards."""
        before = {name: tensor.clone() for name, tensor in self.state.tensors().items()}
        seconds = []
        for step in range(_TRIED):
            began = time.perf_counter()
            self.step(step, at(step)).tolist()
            seconds.append(time.perf_counter() - began)
        self.state.restore(before)
        self._update.begin_anew()
        return sum(seconds[_WARM_UP:]) / (_TRIED - _WARM_UP)

    def _mean(self, done: list[Tensor]) -> tuple[float, float]:
        """Loss and summarised metric of the last steps, over all processes."""
        values = self.fabric.all_reduce(torch.stack(done), reduce_op="mean")
        for number, loss in enumerate(values[:, 0].tolist(), self.state.step - len(done) + 1):
            if not math.isfinite(loss):
                raise TrainingDiverged(
                    f"the loss became {loss} at step {number}; the last good state is in {self.run}: "
                    f"try a learning rate below {self.config.recipe.learning_rate}, or `precision` 32"
                )
        loss, metric = values.mean(0).tolist()
        return loss, self.task.summarise(metric)


def _curve(task: Phase, metrics: Float[Tensor, " steps"]) -> tuple[tuple[int, float], ...]:
    """The metric over the steps, thinned to a few points."""
    each = -(-len(metrics) // _CURVE)
    starts = range(0, len(metrics), each)
    return tuple(
        (start + len(part), task.summarise(float(part.mean())))
        for start, part in zip(starts, metrics.split(each), strict=True)
    )


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; the second one acts as always."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _: object) -> None:
        event.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
