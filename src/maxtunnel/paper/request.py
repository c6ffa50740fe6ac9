"""What a reproduction is asked for, whether it can be done, and what there is to do."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maxtunnel.data import Store, is_store, open_store
from maxtunnel.paper.jobs import Job, Training, evaluation_seconds, is_finished, pending, steps_in
from maxtunnel.paper.table import ROWS, Row, select
from maxtunnel.paper.trial import duration
from maxtunnel.support.choices import RecipeName
from maxtunnel.support.files import replacing
from maxtunnel.zoo.names import shipped

_PLAN = "plan.json"


@dataclass(frozen=True)
class Reproduction:
    """What is asked for.

    Attributes:
        test: prepared store of the photographs to measure on.
        out: folder of the report, and of the runs, which a later call goes on with.
        train: prepared store to train on; without one, only what ships is measured.
        recipe: of all runs.
        only: rows such as `8-8-8,16-16-16-pretrained`; None for all fourteen.
        seeds: networks a row, from seed 0 up.
        steps: batches of every run; None for the recipe's.
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
    only: str | None = None
    seeds: int = 1
    steps: int | None = None
    minutes: float | None = None
    use_shipped: bool = False
    snapshots: Path | None = None
    photographs: int = 400
    seed: int = 0
    command: str = "maxtunnel reproduce"


@dataclass(frozen=True)
class Plan:
    """What there is to do.

    Attributes:
        jobs: the runs that are left.
        training: how runs are made, with their steps settled; None without photographs to train on.
    """

    jobs: tuple[Job, ...]
    training: Training | None


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
    one, two = train.manifest, test.manifest
    if one.content_sha256 == two.content_sha256:
        raise ValueError(
            f"{asked.test} is the training data: measure on photographs that were not trained on"
        )
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
    training = Training(asked.train, asked.test, asked.out, asked.recipe, _steps(asked), size, images)
    jobs = _list_jobs(asked, training)
    if asked.minutes is not None and training.steps is None and jobs:
        training = replace(training, steps=steps_in(asked.minutes, jobs, training))
        with replacing(asked.out / _PLAN) as temporary:
            temporary.write_text(json.dumps({"minutes": asked.minutes, "steps": training.steps}) + "\n")
        jobs = _list_jobs(asked, training)
    return Plan(jobs, training)


def _steps(asked: Reproduction) -> int | None:
    # A bound in minutes was turned into steps by the first call; going on must not change them.
    if asked.minutes is not None and (asked.out / _PLAN).exists():
        return int(json.loads((asked.out / _PLAN).read_text())["steps"])
    return asked.steps


def _list_jobs(asked: Reproduction, training: Training) -> tuple[Job, ...]:
    there = set(shipped()) if asked.use_shipped else set()
    wanted = [
        job
        for row in select(asked.only)
        for seed in range(asked.seeds)
        # More seeds than one are compared with each other, so then seed 0 is trained like the rest.
        if asked.seeds > 1 or row.name not in there
        for job in training.jobs(row, seed)
    ]
    plain = ROWS[0]
    if any((job.row, job.seed) == (plain, 0) for job in wanted):
        wanted.append(training.colourful(plain))
    return tuple(pending(wanted))


def find_networks(asked: Reproduction) -> list[tuple[Row, str, str]]:
    """Row, origin and model of every network that there is: the shipped ones and all finished runs."""
    found: list[tuple[Row, str, str]] = []
    rows = select(asked.only)
    for row in ROWS:
        if asked.use_shipped and row.name in shipped() and row in rows:
            found.append((row, "shipped", row.name))
        # Runs of an earlier call with other rows count too.
        folders = (asked.out / "runs" / row.name).glob("seed*")
        by_seed = sorted(folders, key=lambda path: int(path.name.removeprefix("seed")))
        found += [(row, folder.name, str(folder)) for folder in by_seed if is_finished(folder)]
    return found


def estimate(asked: Reproduction, plan: Plan, there: Sequence[Row], test: Store) -> str:
    """What there is to do, part by part, and about how long it takes on this machine as it is now.

    Args:
        asked: what is asked for.
        plan: the runs that are left.
        there: the rows of the networks to measure that are there already, snapshots too.
        test: the photographs to measure on.
    """
    coming = [job.row for job in plan.jobs if job.phase == "train" and job.chroma == 1]
    rows, images, size = [*there, *coming], test.manifest.images, test.manifest.size
    measuring = sum(evaluation_seconds(row.architecture, images, size) for row in rows)
    shown = min(asked.photographs, images)
    return (
        f"{_estimate_training(plan)}; then {_counted(len(rows), 'network')} to measure on {images:,} "
        f"photographs, about {duration(measuring)} less what was measured before; then claims and figures on "
        f"{shown:,} photographs, which is not estimated"
    )


def _estimate_training(plan: Plan) -> str:
    if plan.training is None or not plan.jobs:
        return "nothing to train"
    parts = [(job, plan.training.seconds(job)) for job in plan.jobs]
    named = "; ".join(f"{job.name}, about {duration(seconds)}" for job, seconds in parts)
    whole = duration(sum(seconds for _, seconds in parts))
    return f"{_counted(len(parts), 'run')} to train, about {whole} in all ({named})"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
