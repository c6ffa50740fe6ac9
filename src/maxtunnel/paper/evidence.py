"""What the claims rest on, gathered; and the form of a claim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maxtunnel.data.batches import Pixels
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.colours import Colours, measure_colours
from maxtunnel.paper.measurements import ReadOut, Replaced, from_coarsest, read_out, replace_switches
from maxtunnel.paper.networks import LabelledNetwork
from maxtunnel.paper.readings import DECODERS, READERS, Outcome, Reading, judge
from maxtunnel.paper.results import Result, TableRow
from maxtunnel.support.choices import DecoderKind
from maxtunnel.support.progress import OnProgress


@dataclass(frozen=True)
class Claim:
    """One claim against evidence.

    Attributes:
        question: what the paper says, as a question.
        statement: the same as a statement of which a reader can say that it holds; empty for a question
            that is no claim of the paper.
        readings: what the paper's decoder says and what the strong one says; or one answer for a question
            about both together.
        measurement: what was measured, on what.
        columns: heads of the evidence.
        evidence: rows of the same length.
        command: makes the evidence.
    """

    question: str
    statement: str
    readings: tuple[Reading, ...]
    measurement: str
    columns: tuple[str, ...]
    evidence: tuple[tuple[str, ...], ...]
    command: str

    @property
    def outcome(self) -> Outcome | None:
        """Whether it is about the switches or about the paper's decoder; None for a question about both."""
        return judge(self.readings) if self.statement else None


@dataclass(frozen=True)
class Measured:
    """What was measured of the networks with one kind of decoder, by the names of their rows.

    Attributes:
        colours, replaced: of every network.
        read_outs: of the paper's decoder, after each of its blocks; of strong ones, those that learned to do
            without the finer levels.
        colourful: of the experiment on colours: the plain network, and that whose encoder sees more chroma.
    """

    colours: Mapping[str, Colours]
    replaced: Mapping[str, Replaced]
    read_outs: Mapping[str, list[ReadOut]]
    colourful: tuple[Colours, Colours] | None = None


@dataclass(frozen=True)
class Evidence:
    """All that the claims rest on.

    Attributes:
        table: the rows of Table II.
        measured: what was measured besides, by the kind of decoder.
        tested: how many test photographs the table rests on.
        measured_on: how many the measurements rest on.
        commands: what was run, the last one being this call, which measured everything.
    """

    table: Sequence[TableRow]
    measured: Mapping[DecoderKind, Measured]
    tested: int
    measured_on: int
    commands: tuple[str, ...]

    def command(self, results: Sequence[Result]) -> str:
        """What makes a claim about these networks: all calls, or the last one alone if all of them ship."""
        ship = all(result.origin == "shipped" for result in results)
        return self.commands[-1] if ship else "\n".join(self.commands)

    def rows(self, reader: DecoderKind) -> list[TableRow]:
        """Table II with the networks of one kind of decoder."""
        return [line.read_by(reader) for line in self.table]

    def switches(self, reader: DecoderKind) -> dict[str, str]:
        """Which switches the measurements beyond the table are of, by the names of rows."""
        return {line.row.name: line.ours.switches for line in self.rows(reader) if line.ours is not None}

    def results(self) -> list[Result]:
        """The networks that the measurements beyond the table are of."""
        found = [
            line.ours
            for reader in READERS
            for line in self.rows(reader)
            if line.row.name in self.measured[reader].colours
        ]
        return [result for result in found if result is not None]


Colourful = Mapping[DecoderKind, tuple[TunnelNetwork, TunnelNetwork]]


def gather(
    table: Sequence[TableRow],
    networks: Sequence[LabelledNetwork],
    colourful: Colourful,
    coarse: Mapping[str, TunnelNetwork],
    few: Pixels,
    images: int,
    commands: tuple[str, ...],
    on_progress: OnProgress,
) -> Evidence:
    """Measure everything that the claims need beyond the table, on the `few` photographs.

    Of each kind of decoder the networks with random encoders are measured, or if there are none, all.

    Args:
        table: the rows of Table II.
        networks: those of the table, with either decoder.
        colourful: of the experiment on colours, by the kind of decoder: the plain network, and the other.
        coarse: networks whose strong decoders learned to do without the finer levels, by the names of rows.
        few: photographs, uint8.
        images: how many photographs the table rests on.
        commands: what was run.
        on_progress: told how many networks are measured.
    """
    found: dict[DecoderKind, Measured] = {}
    for reader in READERS:
        mine = [labelled for labelled in networks if labelled.decoder == reader]
        mine = [labelled for labelled in mine if not labelled.pretrained] or mine
        colours, read_outs, replaced = {}, {}, {}
        for done, labelled in enumerate(mine):
            on_progress(f"claims, {DECODERS[reader]}", done, len(mine), labelled.name)
            name = labelled.row_name
            colours[name] = measure_colours(labelled.network, few)
            replaced[name] = replace_switches(labelled.network, few)
            if reader == "mirrored":
                read_outs[name] = read_out(labelled.network, few)
        if reader == "strong":
            read_outs = {name: from_coarsest(network, few) for name, network in coarse.items()}
        if mine:
            on_progress(f"claims, {DECODERS[reader]}", len(mine), len(mine), "")
        pair = colourful.get(reader)
        both = None if pair is None else (measure_colours(pair[0], few), measure_colours(pair[1], few))
        found[reader] = Measured(colours, replaced, read_outs, both)
    return Evidence(table, found, images, len(few), commands)
