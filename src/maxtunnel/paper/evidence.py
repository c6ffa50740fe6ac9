"""What the claims rest on, gathered; and the form of a claim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maxtunnel.data.batches import Pixels
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.colours import Colours, measure_colours
from maxtunnel.paper.measurements import ReadOut, Replaced, read_out, replace_switches
from maxtunnel.paper.networks import LabelledNetwork
from maxtunnel.paper.results import Result, TableRow
from maxtunnel.support.progress import OnProgress


@dataclass(frozen=True)
class Claim:
    """One claim against evidence.

    Attributes:
        question: what the paper says, as a question.
        verdict: the answer in a word or a few.
        answer: one or two sentences with the decisive numbers.
        measurement: what was measured, on what.
        columns: heads of the evidence.
        evidence: rows of the same length.
        command: makes the evidence.
    """

    question: str
    verdict: str
    answer: str
    measurement: str
    columns: tuple[str, ...]
    evidence: tuple[tuple[str, ...], ...]
    command: str


@dataclass(frozen=True)
class Evidence:
    """All that the claims rest on.

    Attributes:
        table: the rows of Table II.
        colours, read_outs, replaced: what was measured of each network, by its name.
        colourful: of the experiment on colours: the plain network, and that whose encoder sees more chroma.
        photographs: how many test photographs the table rests on, and how many the measurements.
        commands: what was run, the last one being this call, which measured everything.
    """

    table: Sequence[TableRow]
    colours: Mapping[str, Colours]
    read_outs: Mapping[str, list[ReadOut]]
    replaced: Mapping[str, Replaced]
    colourful: tuple[Colours, Colours] | None
    photographs: tuple[int, int]
    commands: tuple[str, ...]

    def command(self, results: Sequence[Result]) -> str:
        """What makes a claim about these networks: all calls, or the last one alone if all of them ship."""
        ship = all(result.origin == "shipped" for result in results)
        return self.commands[-1] if ship else "\n".join(self.commands)

    def measured(self) -> list[Result]:
        """The networks that the measurements beyond the table are of."""
        lines = (line.ours for line in self.table if line.row.name in self.colours)
        return [result for result in lines if result is not None]


def gather(
    table: Sequence[TableRow],
    networks: Sequence[LabelledNetwork],
    colourful: tuple[TunnelNetwork, TunnelNetwork] | None,
    few: Pixels,
    images: int,
    commands: tuple[str, ...],
    on_progress: OnProgress,
) -> Evidence:
    """Measure everything that the claims need beyond the table, on the `few` photographs.

    The networks with random encoders are measured, or if there are none, all.
    """
    measured = [labelled for labelled in networks if not labelled.pretrained] or list(networks)
    colours, read_outs, replaced = {}, {}, {}
    for done, labelled in enumerate(measured):
        on_progress("claims", done, len(measured), labelled.name)
        colours[labelled.name] = measure_colours(labelled.network, few)
        read_outs[labelled.name] = read_out(labelled.network, few)
        replaced[labelled.name] = replace_switches(labelled.network, few)
    on_progress("claims", len(measured), len(measured), "")
    pair = None
    if colourful is not None:
        pair = measure_colours(colourful[0], few), measure_colours(colourful[1], few)
    return Evidence(table, colours, read_outs, replaced, pair, (images, len(few)), commands)
