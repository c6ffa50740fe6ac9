"""One run over the paper: train or take its networks, measure them, draw, and write the report."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maxtunnel.data import Store
from maxtunnel.data.batches import Pixels
from maxtunnel.evaluation.compression import compress
from maxtunnel.evaluation.records import Evaluation
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper import figures
from maxtunnel.paper.canvas import save
from maxtunnel.paper.cards import write_cards
from maxtunnel.paper.claims import evaluate_claims, write_claims
from maxtunnel.paper.colours import more_colourful
from maxtunnel.paper.curve import curve, marks_of
from maxtunnel.paper.drawing import draw_all
from maxtunnel.paper.evidence import Colourful, Evidence, gather
from maxtunnel.paper.facts import Facts, gather_facts, remember_command
from maxtunnel.paper.frontier import Frontier
from maxtunnel.paper.frontier import gather as gather_frontier
from maxtunnel.paper.frontier_figure import draw_frontier
from maxtunnel.paper.jobs import (
    CHROMA,
    COLOURFUL,
    coarse_folder,
    colourful_folder,
    do_all,
    is_finished,
    run_folder,
)
from maxtunnel.paper.networks import LabelledNetwork, find_snapshots
from maxtunnel.paper.page import Report, write_report
from maxtunnel.paper.readings import READERS
from maxtunnel.paper.request import (
    Reproduction,
    check,
    estimate,
    find_networks,
    make_plan,
    open_prepared,
    what_to_give,
)
from maxtunnel.paper.results import Result, TableRow, measure_once, tabulate
from maxtunnel.paper.table import ROWS, Row, select
from maxtunnel.paper.table_files import write_table
from maxtunnel.support.parts import Spread, here
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.zoo.names import load


def reproduce(
    asked: Reproduction,
    on_progress: OnProgress = silent,
    announce: Callable[[str], None] = lambda text: None,
    spread: Spread = here,
) -> tuple[Path, list[TableRow]]:
    """Train what is missing, measure everything, and write table2.csv, table2.json, figures and report.html.

    Args:
        asked: what to do.
        on_progress: told often where it is.
        announce: told beforehand what there is to do and about how long each part takes, and again where
            that turns out wrong.
        spread: does the trainings. The workers of an engine write into `out`, and read the stores.

    Returns:
        The report and the table.

    Raises:
        ValueError: rows, stores or bounds that do not fit together.
        TrainingStopped: interrupted; the same call goes on.
    """
    began = time.monotonic()
    select(asked.only)
    test = open_prepared(asked.test, "test")
    train = None if asked.train is None else open_prepared(asked.train, "train")
    check(asked, test, train)
    snapshots = {} if asked.snapshots is None else find_snapshots(asked.snapshots)
    plan = make_plan(asked, train)
    there = [(found.row, found.width) for found in find_networks(asked)]
    there += [(row, None) for row in ROWS if row.name in snapshots]
    announce(estimate(asked, plan, there, test))
    if plan.training is not None:
        do_all(plan.jobs, plan.training, on_progress, announce, spread)
    networks = _load_all(asked, snapshots, train)
    table = tabulate(_measure_all(networks, test, asked.out / "evaluations", on_progress))
    commands = remember_command(asked)
    shown = _shown(networks, table)
    few = figures.choose(test.pixels, asked.photographs, asked.seed)
    pairs = _colourful_pairs(asked.out)
    frontier = gather_frontier(_with_series(table), compress(test.pixels[:], on_progress))
    coarse = _coarse_networks(asked.out, table)
    evidence = gather(table, shown, pairs, coarse, few, len(test.pixels), commands, on_progress)
    facts = gather_facts(asked, commands, (test, train), table, time.monotonic() - began)
    return _write(asked, evidence, shown, test.pixels, frontier, facts), table


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A network to be measured: for which row, and where it comes from."""

    row: Row
    origin: str
    network: TunnelNetwork

    @property
    def name(self) -> str:
        """Of the row and the decoder."""
        return self.row.network(self.network.decoder_kind)


def _load_all(asked: Reproduction, snapshots: dict[str, Path], train: Store | None) -> list[_Candidate]:
    """Every network that there is, then the snapshots with the mean image of the training photographs."""
    found = [_Candidate(one.row, one.origin, load(one.model)) for one in find_networks(asked)]
    if not found:
        raise ValueError(f"there is no network to measure: {what_to_give(asked)}")
    mean = found[0].network.mean if train is None else train.mean
    rows = (row for row in ROWS if row.name in snapshots)
    return found + [_Candidate(row, "snapshot", load(snapshots[row.name], mean)) for row in rows]


def _measure_all(
    networks: Sequence[_Candidate], test: Store, folder: Path, on_progress: OnProgress
) -> list[Result]:
    """Every network on every test photograph; `on_progress` is told how many networks are done."""
    results = []
    for done, one in enumerate(networks):
        on_progress("networks measured", done, len(networks), one.name)
        sha256 = test.manifest.content_sha256
        results.append(
            measure_once(one.network, one.row, one.origin, test.pixels, sha256, folder, on_progress)
        )
    return results


def _shown(networks: Sequence[_Candidate], table: Sequence[TableRow]) -> list[LabelledNetwork]:
    """The network of each row that the table has as ours, and beside it that with a strong decoder."""
    results = [result for line in table for result in (line.ours, line.strong) if result is not None]
    ours = {(result.row.network(result.decoder), result.origin) for result in results}
    return [
        LabelledNetwork(one.name, one.network, f"{one.name} ({one.origin})")
        for one in networks
        if (one.name, one.origin) in ours
    ]


def _with_series(table: Sequence[TableRow]) -> list[tuple[str, Evaluation]]:
    """What the networks that the table has as ours reached, by either decoder, each with its series."""
    return [
        (f"{'pretrained' if line.row.pretrained else 'random'}, {result.decoder}", result.evaluation)
        for line in table
        for result in (line.ours, line.strong)
        if result is not None
    ]


def _colourful_pairs(out: Path) -> Colourful:
    """The plain run of the experiment on colours, and that with more chroma, by the kind of decoder."""
    found = {}
    for decoder in READERS:
        plain_run = run_folder(out, COLOURFUL, 0, decoder=decoder)
        folders = plain_run, colourful_folder(out, COLOURFUL, decoder)
        if all(map(is_finished, folders)):
            plain, rich = map(load, folders)
            # An encoder or a length that was changed in between would be taken for what chroma does.
            same = more_colourful(plain, CHROMA).encoder_hash() == rich.encoder_hash()
            if same and _steps(plain) == _steps(rich):
                found[decoder] = plain, rich
    return found


def _coarse_networks(out: Path, table: Sequence[TableRow]) -> dict[str, TunnelNetwork]:
    """Those whose strong decoders learned to do without the finer levels, by the names of their rows."""
    found = {}
    for line in table:
        folder = coarse_folder(out, line.row)
        if is_finished(folder):
            network = load(folder)
            # Readers are compared only where they read the same switches.
            if line.ours is None or line.ours.switches == network.identity().hex():
                found[line.row.name] = network
    return found


def _steps(network: TunnelNetwork) -> int | None:
    training = network.provenance.training
    return None if training is None else training.steps


def _write(
    asked: Reproduction,
    evidence: Evidence,
    shown: Sequence[LabelledNetwork],
    photographs: Pixels,
    frontier: Frontier,
    facts: Facts,
) -> Path:
    """Draw the figures and write every file; the page comes last."""
    table = evidence.table
    drawn = draw_all(shown, photographs, asked.out, asked.seed)
    drawn.append(save(curve(marks_of(table)), asked.out / "rmse-and-bits"))
    frontier.save(asked.out)
    drawn.append(save(draw_frontier(frontier), asked.out / "frontier"))
    claims = evaluate_claims(evidence)
    write_table(table, asked.out, dict(facts))
    write_claims(claims, asked.out / "claims.md", facts)
    write_cards(table, asked.out / "models.md", evidence.commands[-1], len(photographs))
    report = Report(table, claims, drawn, facts, len(photographs), asked.seed)
    return write_report(report, asked.out / "report.html")
