"""What switches say, drawn: the mean patch of every channel and cell of a level, as one picture."""

import math
from pathlib import Path

from torch.nn import functional as F

from maxtunnel.data import read_photographs
from maxtunnel.data.images import to_float
from maxtunnel.evaluation.triggers import Triggers, find_triggers, paint
from maxtunnel.report.sheet import Row, sheet
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import replacing
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.support.tables import Column, Table
from maxtunnel.zoo.names import load

_PLACES = ("top left", "top right", "bottom left", "bottom right")
_DIRECTIONS = (("across", "left/right"), ("down", "top/bottom"), ("diagonal", "diagonals"))
_DRAWN = 96  # pixels of a patch's side, about


def draw_triggers(
    model: str | Path,
    data: str | Path,
    out: str | Path,
    level: int = 1,
    size: int = 128,
    resize: Resize = "bilinear",
    limit: int | None = 200,
    on_progress: OnProgress = silent,
) -> Triggers:
    """Find the triggers of a model on photographs, and write them as one picture.

    It has a row for each channel, and a column for each place of the maximum in its window.

    Args:
        model: what `load` takes.
        data: folder or store of photographs.
        out: a PNG.
        level: from 1, the finest.
        size, resize: the photographs are warped to a square of `size` pixels.
        limit: take only so many photographs, evenly spread.
        on_progress: told what is done.

    Raises:
        FormatError: there is no such model or folder.
        ValueError: there is no such level, no photograph, or `size` is no multiple of the network's.
    """
    network = load(model)
    photographs = read_photographs(data, size, resize, limit, on_progress)
    photographs.warn_of_skipped()
    found = find_triggers(network, to_float(photographs.pixels[:]), level)
    times = max(1, _DRAWN // found.patches.shape[-1])
    rows = []
    for channel, (share, bits) in enumerate(zip(found.share.tolist(), found.bits.tolist(), strict=True)):
        large = F.interpolate(paint(found, channel), scale_factor=times)
        told = ", ".join(f"{part:.0%}" for part in share)
        rows.append(Row(f"channel {channel + 1}", f"{told}; {bits:.2f} bits", large))
    with replacing(out) as temporary:
        sheet(rows, _PLACES).save(temporary, "PNG")
    return found


def tabulate(found: Triggers) -> Table:
    """One row a channel."""
    columns = (
        Column("channel", "channel", "d"),
        *(Column(f"share_{cell}", place, ".0%") for cell, place in enumerate(_PLACES)),
        Column("bits", "bits", ".2f"),
        Column("colourfulness", "colour", ".0%"),
        *(Column(name, head, ".0%") for name, head in _DIRECTIONS),
    )
    each = (found.share, found.bits, found.colourfulness, found.directions)
    rows = tuple(
        (number, *share, bits, *map(_known, (colour, *directions)))
        for number, (share, bits, colour, directions) in enumerate(
            zip(*(values.tolist() for values in each), strict=True), 1
        )
    )
    return Table(
        f"Level {found.level}: where maxima lie, and what the patches around them show", columns, rows
    )


def _known(value: float) -> float | None:
    """None for the NaN of a channel that tells nothing."""
    return None if math.isnan(value) else value
