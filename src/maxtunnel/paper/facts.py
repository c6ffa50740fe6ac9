"""Where a reproduction's numbers come from: what a reader needs to judge or repeat them."""

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from maxtunnel.data import Store
from maxtunnel.models.provenance import PhaseRecord
from maxtunnel.paper.readings import READERS
from maxtunnel.paper.request import Reproduction
from maxtunnel.paper.results import Result, TableRow
from maxtunnel.paper.trial import duration
from maxtunnel.support.choices import DecoderKind
from maxtunnel.support.files import replacing
from maxtunnel.support.machine import processor, versions

Facts = list[tuple[str, str]]


def remember_command(asked: Reproduction) -> tuple[str, ...]:
    """The commands that made the reproduction's folder, this one last: the runs of earlier ones count too."""
    path = asked.out / "commands.txt"
    before = path.read_text().splitlines() if path.exists() else []
    commands = [line for line in before if line != asked.command] + [asked.command]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(commands) + "\n")
    return tuple(commands)


def gather_facts(
    asked: Reproduction,
    commands: Sequence[str],
    stores: tuple[Store, Store | None],
    table: Sequence[TableRow],
    seconds: float,
) -> Facts:
    """Names and values, as rows for people; nothing about who ran it.

    Args:
        asked: what was asked for.
        commands: that made the reproduction's folder.
        stores: of the test photographs, and of the training photographs if there are any.
        table: what was measured.
        seconds: that this call took.
    """
    test, train = stores
    return [
        ("commands", "\n".join(commands)),
        ("test photographs", _describe(test)),
        *([] if train is None else [("training photographs", _describe(train))]),
        *_training_facts(asked, table),
        ("rows without a network", _names(line for line in table if line.ours is None)),
        ("rows with a strong decoder", _names(line for line in table if line.strong)),
        ("rows with a snapshot", _names(line for line in table if line.snapshot)),
        *_machine_facts(),
        ("time", _time(table, seconds)),
        ("date", time.strftime("%Y-%m-%d", time.gmtime())),
    ]


def _describe(store: Store) -> str:
    manifest = store.manifest
    return (
        f"{manifest.images:,} of {'/'.join(Path(manifest.source).parts[-2:])}, "
        f"{manifest.size}x{manifest.size}, {manifest.resize} resize, "
        f"{len(manifest.class_names)} classes; content SHA-256 {manifest.content_sha256[:16]}…"
    )


def _training_facts(asked: Reproduction, table: Sequence[TableRow]) -> Facts:
    return [
        *(fact for decoder in READERS for fact in _recipe_facts(asked, table, decoder)),
        (
            "seeds",
            "encoder, decoder and order: the number of the run (of what ships: in table2.json); photographs "
            f"and channels shown: {asked.seed}",
        ),
    ]


def _recipe_facts(asked: Reproduction, table: Sequence[TableRow], decoder: DecoderKind) -> Facts:
    """How the networks with one kind of decoder were trained; nothing without such."""
    results = [result for found in _networks(table) for result in found if result.decoder == decoder]
    records = _records(results)
    if not records:
        return []
    steps = _range(record.steps for record in records)
    batches = _range(record.batch for record in records)
    text = f"{steps} steps of {batches} photographs"
    if decoder == "mirrored":
        name, text = "recipe", f"{asked.recipe}, {text} (the paper: 50,000 of 16)"
    else:
        widths = _range(result.width for result in results if result.width is not None)
        name = "recipe of strong decoders"
        text = f"{widths} channels, {text} (in their last phase, where there were two)"
    return [(name, f"{text}; those of each network are in table2.json")]


def _range(values: Iterable[int]) -> str:
    """The least and the greatest of some numbers, or the only one."""
    found = sorted(set(values))
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"


def _machine_facts() -> Facts:
    made_with = versions()
    return [
        ("hardware", f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads used"),
        (
            "versions",
            f"maxtunnel {made_with['maxtunnel']}, PyTorch {made_with['torch']}, Python {made_with['python']}",
        ),
    ]


def _time(table: Sequence[TableRow], seconds: float) -> str:
    ships, runs = (sum((record.seconds for record in _records(found)), 0.0) for found in _networks(table))
    return (
        f"{duration(seconds)} for this call; {duration(runs)} of decoder training in the runs here, "
        f"{duration(ships)} in what ships"
    )


def _networks(table: Sequence[TableRow]) -> tuple[list[Result], list[Result]]:
    """Those that ship, and those that were trained here."""
    ours = [result for line in table for result in (line.ours, line.strong) if result is not None]
    ships = [result for result in ours if result.origin == "shipped"]
    return ships, [result for line in table for result in (*line.runs, *line.strong_runs)]


def _records(results: Sequence[Result]) -> list[PhaseRecord]:
    records = (result.provenance.training for result in results)
    return [record for record in records if record is not None]


def _names(lines: Iterable[TableRow]) -> str:
    return ", ".join(line.row.name for line in lines) or "none"
