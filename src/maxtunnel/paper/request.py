"""What a reproduction is asked for, whether it can be done, and what there is to do."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from maxtunnel.data import Store, is_store, open_store
from maxtunnel.data.image_set import refuse_trained_on
from maxtunnel.models.checkpoint import read_header
from maxtunnel.models.strong import WIDTH
from maxtunnel.paper.jobs import (
    COARSE,
    COLOURFUL,
    Job,
    Training,
    evaluation_seconds,
    finished_runs,
    is_finished,
    pending,
    refuse_unequal,
    steps_in,
)
from maxtunnel.paper.readings import READERS
from maxtunnel.paper.table import ROWS, Row, select
from maxtunnel.paper.trial import duration
from maxtunnel.support.choices import DecoderKind, RecipeName
from maxtunnel.support.files import FormatError, replacing
from maxtunnel.support.numbers import counted
from maxtunnel.support.records import from_json, to_json
from maxtunnel.training.config import TrainingConfig
from maxtunnel.zoo.names import WEIGHTS, shipped

_PLAN = "plan.json"


@dataclass(frozen=True)
class Reproduction:
    """What is asked for.

    Attributes:
        test: prepared store of the photographs to measure on.
        out: folder of the report, and of the runs, which a later call goes on with.
        train: prepared store to train on; without one, only what ships is measured.
        recipe: of all runs; a strong decoder has one of its own, in the place of `fast`.
        decoder: what to train: the paper's decoder, a strong one, or both. What is there is measured, of
            either kind.
        width: channels of strong decoders.
        only: rows such as `8-8-8,16-16-16-pretrained`; None for all fourteen.
        seeds: networks a row, from seed 0 up.
        steps: batches of every run; None for the recipe's.
        batch: photographs a step, of every run; None for the recipe's.
        minutes: bound on training, instead of `steps`; all runs get the same number of steps.
        use_shipped: take the networks in the package where there are any, instead of training seed 0.
        snapshots: folder of the authors' `.caffemodel` files, to measure too.
        photographs: how many the claims are measured on, drawn by `seed`; the table takes all.
        seed: draws photographs and channels for figures and claims.
        command: what was typed, for the report.
    """

    test: Path
    out: Path
    train: Path | None = None
    recipe: RecipeName = "fast"
    decoder: DecoderKind | Literal["both"] = "mirrored"
    width: int = WIDTH
    only: str | None = None
    seeds: int = 1
    steps: int | None = None
    batch: int | None = None
    minutes: float | None = None
    use_shipped: bool = False
    snapshots: Path | None = None
    photographs: int = 400
    seed: int = 0
    command: str = "maxtunnel reproduce"

    @property
    def decoders(self) -> tuple[DecoderKind, ...]:
        """The kinds of decoder to train, the paper's first: a strong one reads the switches of its run."""
        return READERS if self.decoder == "both" else (self.decoder,)


@dataclass(frozen=True)
class Plan:
    """What there is to do.

    Attributes:
        jobs: the runs that are left.
        training: how runs are made, with their steps settled; None without photographs to train on.
    """

    jobs: tuple[Job, ...]
    training: Training | None


@dataclass(frozen=True)
class _Bound:
    """A bound in minutes, and the steps of every run that it became in the first call."""

    minutes: float
    steps: int


def open_prepared(path: Path, name: str) -> Store:
    """A prepared store; ValueError calls a folder that is none by `name`, the argument it came in."""
    if not is_store(path):
        raise ValueError(
            f"`{name}` is {path}, no prepared store: make one with: maxtunnel prepare {path} STORE"
        )
    return open_store(path)


def check(asked: Reproduction, test: Store, train: Store | None) -> None:
    """Raise ValueError where stores and bounds do not fit together."""
    if asked.steps is not None and asked.minutes is not None:
        raise ValueError("`steps` and `minutes` both bound the runs: give one of them")
    if train is None:
        if not asked.use_shipped:
            raise ValueError(f"there is nothing to do: {what_to_give(asked)}")
        return
    if asked.recipe != "fast" and "strong" in asked.decoders:
        raise ValueError(
            f"`recipe` is {asked.recipe!r}, which is of the paper's decoder: a strong one takes 'fast'"
        )
    refuse_trained_on(train.path, test.path, ("train", "test"))
    one, two = train.manifest, test.manifest
    if (one.size, one.resize) != (two.size, two.resize):
        raise ValueError(
            f"{asked.train} has photographs of {one.size} pixels, {one.resize}, but {asked.test} of "
            f"{two.size}, {two.resize}: prepare both alike"
        )


def what_to_give(asked: Reproduction) -> str:
    """What to ask for where there is nothing to train or to measure."""
    advice = "give `train`, a store to train networks on, or `use_shipped` to take those in the package"
    return f"{advice} (of {asked.only}, none ships)" if asked.use_shipped and asked.only else advice


def make_plan(asked: Reproduction, train: Store | None) -> Plan:
    """The runs that are left. A bound in minutes becomes steps, which are kept for later calls."""
    if train is None or asked.train is None:
        return Plan((), None)
    size, images = train.manifest.size, train.manifest.images
    training = Training(
        asked.train,
        asked.test,
        asked.out,
        asked.recipe,
        _steps(asked),
        size,
        images,
        asked.width,
        asked.batch,
    )
    jobs = _list_jobs(asked, training)
    if asked.minutes is not None and training.steps is None and jobs:
        steps = steps_in(asked.minutes, jobs, training)
        training = replace(training, steps=steps)
        bound = _Bound(asked.minutes, steps)
        with replacing(asked.out / _PLAN) as temporary:
            temporary.write_text(json.dumps(to_json(bound)) + "\n")
        jobs = _list_jobs(asked, training)
    return Plan(jobs, training)


def _steps(asked: Reproduction) -> int | None:
    # A bound in minutes was turned into steps by the first call; going on must not change them.
    path = asked.out / _PLAN
    if asked.minutes is None or not path.exists():
        return asked.steps
    try:
        return from_json(_Bound, json.loads(path.read_text())).steps
    except ValueError as error:
        raise FormatError(f"{path} is damaged ({error}): delete it, and steps are counted anew") from None


def _list_jobs(asked: Reproduction, training: Training) -> tuple[Job, ...]:
    there = set(shipped()) if asked.use_shipped else set()
    wanted = [
        job
        for decoder in asked.decoders
        for row in select(asked.only)
        for seed in range(asked.seeds)
        # More seeds than one are compared with each other, so then seed 0 is trained like the rest.
        if asked.seeds > 1 or row.network(decoder) not in there
        for job in training.jobs(row, seed, decoder)
    ]
    for decoder in asked.decoders:
        if any((job.row, job.seed, job.decoder) == (COLOURFUL, 0, decoder) for job in wanted):
            wanted.append(training.colourful(COLOURFUL, decoder))
    if any((job.row, job.seed, job.decoder) == (COARSE, 0, "strong") for job in wanted):
        wanted.append(training.coarse(COARSE))
    # A bound in minutes is for the runs that are left.
    if asked.minutes is None:
        _check_finished(wanted, training)
    return tuple(pending(list(dict.fromkeys(wanted))))


def _check_finished(jobs: Sequence[Job], training: Training) -> None:
    """Refuse to take finished decoders for such as are asked for with other steps, or another batch.

    Encoders that are there serve decoders of any length.
    """
    for job in jobs:
        if job.phase == "train" and is_finished(job.folder):
            there = TrainingConfig.load(job.folder).recipe
            wanted = ("steps", job.steps, there.steps), ("batch", training.recipe_for(job).batch, there.batch)
            refuse_unequal(job.folder, wanted)


class Found(NamedTuple):
    """A network that is there.

    `origin` is as in `Result`, `model` what `load` takes, and `width` the channels of a strong decoder.
    """

    row: Row
    origin: str
    model: str
    width: int | None


def find_networks(asked: Reproduction) -> list[Found]:
    """Every network that there is, with either decoder: the shipped ones and all finished runs."""
    return [found for row in ROWS for decoder in READERS for found in _find(asked, row, decoder)]


def _find(asked: Reproduction, row: Row, decoder: DecoderKind) -> list[Found]:
    found, name = [], row.network(decoder)
    if asked.use_shipped and name in shipped() and row in select(asked.only):
        width = read_header(WEIGHTS / f"{name}.safetensors").strong_width
        found.append(Found(row, "shipped", name, width))
    for folder in finished_runs(asked.out, row, decoder):
        width = read_header(folder / "model.safetensors").strong_width
        found.append(Found(row, folder.name, str(folder), width))
    return found


def estimate(asked: Reproduction, plan: Plan, there: Sequence[tuple[Row, int | None]], test: Store) -> str:
    """What there is to do, part by part, and about how long it takes on this machine as it is now.

    Args:
        asked: what is asked for.
        plan: the runs that are left.
        there: for each network that is there already, snapshots too: its row, and the width of its strong
            decoder, or None.
        test: the photographs to measure on.
    """
    coming = [
        (job.row, asked.width if job.decoder == "strong" else None)
        for job in plan.jobs
        if job.phase == "train" and job.chroma == 1 and not job.withheld
    ]
    networks, images, size = [*there, *coming], test.manifest.images, test.manifest.size
    measuring = sum(evaluation_seconds(row.architecture, images, size, width) for row, width in networks)
    shown = min(asked.photographs, images)
    return (
        f"{_estimate_training(plan)}; then {counted(len(networks), 'network')} to measure on {images:,} "
        f"photographs, about {duration(measuring)} less what was measured before; then claims and figures on "
        f"{shown:,} photographs, which is not estimated"
    )


def _estimate_training(plan: Plan) -> str:
    if plan.training is None or not plan.jobs:
        return "nothing to train"
    parts = [(job, plan.training.seconds(job)) for job in plan.jobs]
    named = "; ".join(f"{job.name}, about {duration(seconds)}" for job, seconds in parts)
    whole = duration(sum(seconds for _, seconds in parts))
    return f"{counted(len(parts), 'run')} to train, about {whole} in all ({named})"
