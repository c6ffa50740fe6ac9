"""One run over the paper: train or take its networks, measure them, draw, and write the report."""

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import maxtunnel
from maxtunnel.data import Store, is_store, open_store
from maxtunnel.data.batches import Pixels
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper import claims, figures
from maxtunnel.paper.cards import write_cards
from maxtunnel.paper.drawing import draw_all
from maxtunnel.paper.evidence import Evidence, gather
from maxtunnel.paper.figures import Named
from maxtunnel.paper.jobs import (
    Job,
    RecipeName,
    Training,
    do_all,
    evaluation_seconds,
    is_finished,
    pending,
    share,
)
from maxtunnel.paper.report import Report, write_report
from maxtunnel.paper.results import Result, TableRow, measure_once, tabulate, write_table
from maxtunnel.paper.table import ROWS, Row, find_snapshots, select
from maxtunnel.support.files import replacing
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.zoo.names import load, shipped

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


def reproduce(
    asked: Reproduction, on_progress: OnProgress = silent, announce: Callable[[str], None] = lambda text: None
) -> tuple[Path, list[TableRow]]:
    """Train what is missing, measure everything, and write table2.csv, table2.json, figures and report.html.

    Args:
        asked: what to do.
        on_progress: told often where it is.
        announce: told once, beforehand, what there is to do and about how long it takes.

    Returns:
        The report and the table.

    Raises:
        ValueError: rows, stores or bounds that do not fit together.
        TrainingStopped: interrupted; the same call goes on.
    """
    began = time.monotonic()
    rows = select(asked.only)
    test, train = _store(asked.test), None if asked.train is None else _store(asked.train)
    _check(asked, test, train)
    snapshots = {} if asked.snapshots is None else find_snapshots(asked.snapshots)
    training = None if train is None else _training(asked, train)
    jobs, training = _plan(asked, rows, training)
    there = [row for row, _, _ in _networks(asked)]
    announce(_estimate(jobs, training, there, [row for row in ROWS if row.name in snapshots], test))
    if training is not None:
        do_all(jobs, training, on_progress)
    networks = _networks(asked)
    if not networks:
        raise ValueError(f"there is no network to measure: {_what_to_do(asked)}")
    models = [(row, origin, load(path)) for row, origin, path in networks]
    mean = models[0][2].mean if train is None else train.mean
    models += [(row, "snapshot", load(snapshots[row.name], mean)) for row in ROWS if row.name in snapshots]
    table = tabulate(_measure_all(models, test, asked.out / "evaluations", on_progress))
    best = {(line.row, line.ours.origin) for line in table if line.ours is not None}
    shown = [Named(row.name, model) for row, origin, model in models if (row, origin) in best]
    few = figures.choose(test.pixels, asked.photographs, asked.seed)
    pair = _colourful_pair(asked.out)
    commands = _remember(asked)
    evidence = gather(table, shown, pair, few, len(test.pixels), commands, on_progress)
    provenance = [
        ("commands", "\n".join(commands)),
        *_provenance(asked, test, train, table, time.monotonic() - began),
    ]
    return _write(asked, table, evidence, shown, test.pixels, provenance), table


def _measure_all(
    models: Sequence[tuple[Row, str, TunnelNetwork]], test: Store, folder: Path, on_progress: OnProgress
) -> list[Result]:
    """Every network on every test photograph; told of is how many are done."""
    results = []
    for done, (row, origin, model) in enumerate(models):
        on_progress("networks measured", done, len(models), row.name)
        sha256 = test.manifest.content_sha256
        results.append(measure_once(model, row, origin, test.pixels, sha256, folder, on_progress))
    return results


def _write(
    asked: Reproduction,
    table: list[TableRow],
    evidence: Evidence,
    shown: Sequence[Named],
    photographs: Pixels,
    provenance: list[tuple[str, str]],
) -> Path:
    """Draw the figures and write every file; the page comes last."""
    drawn = draw_all(shown, photographs, asked.out, asked.seed)
    drawn.append(figures.save(figures.curve(_marks(table)), asked.out / "rmse-and-bits"))
    found = claims.hold(evidence)
    write_table(table, asked.out, dict(provenance))
    claims.write_claims(found, asked.out / "claims.md", provenance)
    write_cards(table, asked.out / "models.md", evidence.commands[-1], len(photographs))
    report = Report(table, found, drawn, provenance, len(photographs), asked.seed)
    return write_report(report, asked.out / "report.html")


def _store(path: Path) -> Store:
    if not is_store(path):
        raise ValueError(f"{path} is no prepared store: make one with: maxtunnel prepare {path} STORE")
    return open_store(path)


def _check(asked: Reproduction, test: Store, train: Store | None) -> None:
    if asked.steps is not None and asked.minutes is not None:
        raise ValueError("steps and minutes both bound the runs: give one of them")
    if train is None:
        if not asked.use_shipped:
            raise ValueError(f"there is nothing to do: {_what_to_do(asked)}")
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


def _what_to_do(asked: Reproduction) -> str:
    return "give --train STORE to train networks, or --use-shipped to take those in the package " + (
        f"(of {asked.only}, none ships)" if asked.use_shipped and asked.only else ""
    )


def _training(asked: Reproduction, train: Store) -> Training:
    steps = asked.steps
    # A bound in minutes was turned into steps by the first call; going on must not change them.
    if asked.minutes is not None and (asked.out / _PLAN).exists():
        steps = int(json.loads((asked.out / _PLAN).read_text())["steps"])
    size = train.manifest.size
    return Training(
        asked.train or Path(), asked.test, asked.out, asked.recipe, steps, size, train.manifest.images
    )


def _plan(
    asked: Reproduction, rows: Sequence[Row], training: Training | None
) -> tuple[list[Job], Training | None]:
    """The runs that are left, and the training with its steps settled."""
    if training is None:
        return [], None
    there = set(shipped()) if asked.use_shipped else set()

    def list_jobs(training: Training) -> list[Job]:
        wanted = [
            job
            for row in rows
            for seed in range(asked.seeds)
            # More seeds than one are compared with each other, so then seed 0 is trained like the rest.
            if asked.seeds > 1 or row.name not in there
            for job in training.jobs(row, seed)
        ]
        plain = ROWS[0]
        if any((job.row, job.seed) == (plain, 0) for job in wanted):
            wanted.append(training.colourful(plain))
        return list(pending(wanted))

    jobs = list_jobs(training)
    if asked.minutes is not None and training.steps is None and jobs:
        settled = Training(**{**vars(training), "steps": share(asked.minutes, jobs, training)})
        with replacing(asked.out / _PLAN) as temporary:
            temporary.write_text(json.dumps({"minutes": asked.minutes, "steps": settled.steps}) + "\n")
        return list_jobs(settled), settled
    return jobs, training


def _estimate(
    jobs: Sequence[Job],
    training: Training | None,
    there: Sequence[Row],
    snapshots: Sequence[Row],
    test: Store,
) -> str:
    """What there is to do, and about how long it takes on this machine."""
    train = sum(training.seconds(job) for job in jobs) if training is not None else 0.0
    coming = [job.row for job in jobs if job.phase == "train" and job.chroma == 1]
    rows, images = [*there, *coming, *snapshots], test.manifest.images
    measure = sum(evaluation_seconds(row.architecture, images, test.manifest.size) for row in rows)
    return (
        f"{len(jobs)} runs to train, about {_minutes(train)}; then {len(rows)} networks to measure on "
        f"{images:,} photographs, about {_minutes(measure)} less what was measured before"
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _networks(asked: Reproduction) -> list[tuple[Row, str, str]]:
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


def _remember(asked: Reproduction) -> tuple[str, ...]:
    """The commands that made this folder, this one last: runs of earlier ones count too."""
    path = asked.out / "commands.txt"
    before = path.read_text().splitlines() if path.exists() else []
    commands = [line for line in before if line != asked.command] + [asked.command]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(commands) + "\n")
    return tuple(commands)


def _colourful_pair(out: Path) -> tuple[TunnelNetwork, TunnelNetwork] | None:
    """8-8-8 of seed 0 trained here, and the same with an encoder that sees more chroma."""
    folders = [out / "runs" / name / "seed0" for name in ("8-8-8", "8-8-8-colourful")]
    return (load(folders[0]), load(folders[1])) if all(map(is_finished, folders)) else None


def _marks(table: Sequence[TableRow]) -> list[figures.Mark]:
    marks = []
    for line in table:
        kind = "pretrained" if line.row.pretrained else "random"
        marks.append(figures.Mark(f"paper, {kind}", line.row, line.row.rmse))
        if line.ours is not None:
            marks.append(figures.Mark(kind, line.row, line.ours.evaluation.rmse))
        if line.snapshot is not None:
            marks.append(figures.Mark(f"snapshot, {kind}", line.row, line.snapshot.evaluation.rmse))
    return marks


def _provenance(
    asked: Reproduction, test: Store, train: Store | None, table: Sequence[TableRow], seconds: float
) -> list[tuple[str, str]]:
    """What a reader needs to judge or repeat the numbers; nothing about who ran it."""
    ships = [line.ours for line in table if line.ours is not None and line.ours.origin == "shipped"]
    runs = [result for line in table for result in line.runs]
    trainings = (result.provenance.training for result in [*ships, *runs])
    steps = sorted(training.steps for training in trainings if training is not None)
    found = []
    for name, store in (("test photographs", test), ("training photographs", train)):
        if store is not None:
            manifest = store.manifest
            found.append(
                (name, f"{manifest.images:,} of {'/'.join(Path(manifest.source).parts[-2:])}, "
                 f"{manifest.size}x{manifest.size}, {manifest.resize} resize, "
                 f"{len(manifest.class_names)} classes; content SHA-256 {manifest.content_sha256[:16]}…")
            )  # fmt: skip
    return [
        *found,
        (
            "recipe",
            f"{asked.recipe}, {steps[0]:,} to {steps[-1]:,} steps of 16 photographs (the paper: 50,000); "
            "those of each network are in table2.json",
        ),
        (
            "seeds",
            "encoder, decoder and order: the number of the run (of what ships: in table2.json); photographs "
            f"and channels shown: {asked.seed}",
        ),
        ("rows without a network", ", ".join(line.row.name for line in table if line.ours is None) or "none"),
        ("rows with a snapshot", ", ".join(line.row.name for line in table if line.snapshot) or "none"),
        ("hardware", f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads used"),
        (
            "versions",
            f"maxtunnel {maxtunnel.__version__}, PyTorch {torch.__version__}, Python "
            f"{platform.python_version()}",
        ),
        (
            "time",
            f"{_minutes(seconds)} for this call; {_minutes(_trained(runs))} of decoder training in the runs "
            f"here, {_minutes(_trained(ships))} in what ships",
        ),
        ("date", time.strftime("%Y-%m-%d", time.gmtime())),
    ]


def _trained(results: Sequence[Result]) -> float:
    trainings = (result.provenance.training for result in results)
    return sum((training.seconds for training in trainings if training is not None), 0.0)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
