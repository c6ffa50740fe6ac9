"""The training runs that a reproduction needs: which are left, how long they take, and doing them."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch

from maxtunnel.data import open_store
from maxtunnel.evaluation.metrics import measure
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.checkpoint import read_header
from maxtunnel.models.classifier import Classifier
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.colours import more_colourful
from maxtunnel.paper.table import Row
from maxtunnel.support.progress import OnProgress
from maxtunnel.training.loop import Config, TrainingStopped
from maxtunnel.training.phases import Classification, Phase, Reconstruction
from maxtunnel.training.recipes import RECIPES, PhaseName
from maxtunnel.training.runs import make_config, resume_run, start_run

RecipeName = Literal["fast", "paper"]
CHROMA = 4.0  # of the experiment on dull colours
_TRIAL = 4  # images on which a step is timed


@dataclass(frozen=True)
class Job:
    """One run of one phase.

    Attributes:
        row: the row of Table II that needs it.
        phase: `pretrain` makes the encoder of a pretrained row, `train` the decoder of any.
        seed: draws the encoder, the decoder and the order of the photographs.
        steps: batches.
        folder: of the run.
        chroma: how much stronger the encoder sees colours; 1 but in the experiment on dull colours.
    """

    row: Row
    phase: PhaseName
    seed: int
    steps: int
    folder: Path
    chroma: float = 1.0

    @property
    def name(self) -> str:
        """What progress calls it."""
        kind = "encoder of " if self.phase == "pretrain" else "colourful " if self.chroma != 1 else ""
        return f"{kind}{self.row.name}, seed {self.seed}"


@dataclass(frozen=True)
class Training:
    """How all runs of a reproduction are made.

    Attributes:
        train, test: prepared stores.
        out: the reproduction's folder; the runs lie in its `runs`.
        recipe: one of `maxtunnel.recipes`.
        steps: of every run; None for the recipe's.
        size: side of the photographs in pixels.
        images: number of training photographs.
    """

    train: Path
    test: Path
    out: Path
    recipe: RecipeName
    steps: int | None
    size: int
    images: int

    def jobs(self, row: Row, seed: int) -> list[Job]:
        """The runs behind one network, in order."""
        phases: tuple[PhaseName, ...] = ("pretrain", "train") if row.pretrained else ("train",)
        return [
            Job(
                row,
                phase,
                seed,
                self.steps or RECIPES[phase][self.recipe].steps,
                self.folder(row, seed, phase),
            )
            for phase in phases
        ]

    def colourful(self, row: Row) -> Job:
        """The run whose encoder is that of seed 0 but sees colours stronger."""
        plain = self.jobs(row, 0)[-1]
        return replace(plain, chroma=CHROMA, folder=self.out / "runs" / f"{row.name}-colourful" / "seed0")

    def folder(self, row: Row, seed: int, phase: PhaseName = "train") -> Path:
        """Where a run lies."""
        name = f"{row.architecture}-encoder" if phase == "pretrain" else row.name
        return self.out / "runs" / name / f"seed{seed}"

    def seconds(self, job: Job) -> float:
        """About how long a run takes on this machine, from a trial of a few images."""
        recipe = RECIPES[job.phase][self.recipe]
        bf16 = recipe.precision == "bf16"
        step = _seconds_per_image(job.row.architecture, job.phase, self.size, bf16) * recipe.batch
        once = _seconds_per_image(job.row.architecture, "encode", self.size) if job.phase == "train" else 0.0
        return job.steps * step + min(self.images, job.steps * recipe.batch) * once

    def run(self, job: Job, on_progress: OnProgress) -> None:
        """Do a run, or what is left of it.

        Raises:
            TrainingStopped: interrupted; the same command goes on.
            ValueError: the folder holds a run of another recipe, length or data.
        """
        config = self._config(job)
        if job.chroma != 1 and not (job.folder.parent / "encoder.safetensors").exists():
            mean = open_store(self.train).mean
            plain = TunnelNetwork(job.row.architecture, mean, config.recipe.scale, job.seed)
            more_colourful(plain, job.chroma).save(config.encoder)
        try:
            if (job.folder / "config.json").exists():
                _check_same(job.folder, config)
                resume_run(job.folder, on_progress)
            else:
                start_run(str(job.row.architecture), config, job.folder, on_progress)
        except TrainingStopped:
            raise TrainingStopped(
                f"stopped in {job.name}; everything is saved, and the same command goes on"
            ) from None

    def _config(self, job: Job) -> Config:
        encoder = "random"
        if job.chroma != 1:
            encoder = str(job.folder.parent / "encoder.safetensors")
        elif job.row.pretrained and job.phase == "train":
            encoder = str(self.folder(job.row, job.seed, "pretrain"))
        return make_config(
            job.phase,
            self.recipe,
            self.train,
            # Decoders are measured afterwards, all alike; the accuracy of an encoder only now.
            self.test if job.phase == "pretrain" else None,
            steps=job.steps,
            precision=None,
            seed=job.seed,
            size=self.size,
            encoder=encoder,
        )


def is_finished(run: Path) -> bool:
    """Whether a run came to its end, which is when its network is told how it came about."""
    path = run / "model.safetensors"
    if not path.exists():
        return False
    found = read_header(path).provenance
    pretrained = Config.load(run).phase == "pretrain"
    return (found.pretraining if pretrained else found.training) is not None


def share(minutes: float, jobs: Sequence[Job], training: Training) -> int:
    """Steps a run, the same for all, so that all of them together take about so many minutes.

    Raises:
        ValueError: there is no time for even 50 steps each.
    """
    once = training.images * sum(
        _seconds_per_image(job.row.architecture, "encode", training.size)
        for job in jobs
        if job.phase == "train"
    )
    per_step = sum(_per_step(job, training) for job in jobs)
    steps = int((60 * minutes - once) / per_step)
    if steps < 50:
        need = (once + 50 * per_step) / 60
        raise ValueError(
            f"{minutes:g} minutes are too few for {len(jobs)} runs: they need {need:.0f} at the least; "
            "choose rows with --only, or fewer --seeds"
        )
    return steps


def _per_step(job: Job, training: Training) -> float:
    recipe = RECIPES[job.phase][training.recipe]
    bf16 = recipe.precision == "bf16"
    return recipe.batch * _seconds_per_image(job.row.architecture, job.phase, training.size, bf16)


def do_all(jobs: Sequence[Job], training: Training, on_progress: OnProgress) -> None:
    """Do runs one after the other; told of are each run's progress and, in estimated seconds, that of all."""
    seconds = [training.seconds(job) for job in jobs]
    total, done = math.ceil(sum(seconds)), 0.0
    for job, expected in zip(jobs, seconds, strict=True):
        training.run(job, _along(on_progress, job, done, expected, total))
        done += expected
        on_progress("all runs, seconds", math.ceil(done), total, "")


def _along(on_progress: OnProgress, job: Job, before: float, expected: float, total: int) -> OnProgress:
    def both(phase: str, done: int, of: int, note: str) -> None:
        on_progress(phase, done, of, note)
        if phase == "train":
            on_progress("all runs, seconds", round(before + expected * done / of), total, job.name)

    return both


def _check_same(run: Path, asked: Config) -> None:
    """Refuse to go on with a run that was asked for differently."""
    there = Config.load(run)
    for what, mine, old in (
        ("recipe", asked.recipe.name, there.recipe.name),
        ("steps", asked.recipe.steps, there.recipe.steps),
        ("training data", asked.data, there.data),
        ("size", asked.size, there.size),
    ):
        if mine != old:
            raise ValueError(
                f"{run} holds a run with {what} {old}, but {what} {mine} is asked for: ask for the former, "
                "or name another --out"
            )


def evaluation_seconds(architecture: Architecture, images: int, size: int) -> float:
    """About how long it takes to measure a network on so many images."""
    return images * _seconds_per_image(architecture, "evaluate", size)


@lru_cache(maxsize=256)
def _seconds_per_image(
    architecture: Architecture,
    work: Literal["train", "pretrain", "encode", "evaluate"],
    size: int,
    bf16: bool = False,
) -> float:
    """Timed on four random images, after a first go."""
    generator = torch.Generator().manual_seed(0)
    network = TunnelNetwork(architecture, torch.full((3, 1, 1), 0.5))
    images = torch.rand(_TRIAL, 3, size, size, generator=generator)
    return min(_timed(_work(network, work, images, bf16)) for _ in range(2)) / _TRIAL


def _work(network: TunnelNetwork, work: str, images: torch.Tensor, bf16: bool) -> Callable[[], Any]:
    if work == "encode":
        return lambda: network.encode(images)
    if work == "evaluate":
        return lambda: measure(network.reconstruct(images), images)
    x = network.normalise(images)
    task: Phase
    if work == "pretrain":
        network.encoder.requires_grad_(True)
        size = images.shape[-2], images.shape[-1]
        task = Classification(network, Classifier(network.architecture, 10, size))
        batch: tuple[Any, ...] = (x, torch.arange(len(images)))
    else:
        task = Reconstruction(network.decoder, network.scale)
        batch = ([level.codes for level in network.encode(images).levels], x)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = task(*batch)[0]
        loss.backward()

    return step


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def pending(jobs: Sequence[Job]) -> Iterator[Job]:
    """The runs that are not finished."""
    return (job for job in jobs if not is_finished(job.folder))
