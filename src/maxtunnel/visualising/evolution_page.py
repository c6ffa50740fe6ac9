"""An evolution as one page that can be mailed: sheets, a chart and a table for each layer."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.report import svg
from maxtunnel.report.html import Cell, Html, element, facts, figure, number, page, table
from maxtunnel.report.pictures import inline
from maxtunnel.report.sheet import Row, sheet
from maxtunnel.support.files import FreeNames, replacing
from maxtunnel.support.numbers import counted
from maxtunnel.visualising.controls import Share
from maxtunnel.visualising.evolution import PARTS, Evolution, LayerEvolution, StepPicture, UnitEvolution
from maxtunnel.visualising.page import file_stem, save_sheet
from maxtunnel.visualising.pictures import TILE, cut_out, shown

if TYPE_CHECKING:
    from PIL import Image

_PARTED = 3  # units whose parts are drawn
_GAP = 4
_NAMES = {"own": "the step's network", "switches": "its switches alone", "filters": "its filters alone"}
_ABOUT = (
    "A picture is made by filters and placed by switches. For the numbers, unit, place and photograph are "
    "those of the last step, and its picture is made again by the network of each step; by the switches of "
    "that step and the last filters; and by the filters of that step and the last switches. Each number is "
    "the share of the last step's picture that is there: 100 % is the same picture."
)  # fmt: skip


def write_evolution(found: Evolution, pixels: UInt8[Tensor, "n 3 h w"], out: str | Path) -> Path:
    """Write OUT/evolution.html, OUT/evolution.json and the layers' sheets; the page's path.

    Args:
        found: what `evolve` gave.
        pixels: the photographs that it was given.
        out: a folder, which is made.
    """
    out = Path(out)
    names, body = FreeNames(), []
    for layer in found.layers:
        stem = names.take(f"{file_stem(layer.name)}-evolution")
        sheets = {stem: draw_evolution(layer, pixels)}
        if layer.poolings:
            sheets[names.take(f"{file_stem(layer.name)}-parts")] = draw_parts(layer)
        files = [save_sheet(picture, out / f"{name}.png") for name, picture in sheets.items()]
        body += _section(layer, files)
    with replacing(out / "evolution.json") as temporary:
        temporary.write_text(json.dumps(as_json(found), indent=1) + "\n", encoding="utf-8")
    with replacing(out / "evolution.html") as temporary:
        temporary.write_text(_page(found, body), encoding="utf-8")
    return out / "evolution.html"


def draw_evolution(layer: LayerEvolution, pixels: UInt8[Tensor, "n 3 h w"]) -> "Image.Image":
    """A row a unit and a column a step: the strongest activation's projection, above what the unit sees."""
    rows = []
    for unit in layer.units:
        tiles = [_strongest(step, pixels) for step in unit.steps]
        rows.append(Row(f"unit {unit.unit}", _kept_since(unit), torch.stack(tiles)))
    return sheet(rows, _heads(layer))


def _strongest(step: StepPicture, pixels: UInt8[Tensor, "n 3 h w"]) -> UInt8[Tensor, "3 _ _"]:
    if step.photograph is None:
        return torch.full((3, 2 * TILE + _GAP, TILE), 255, dtype=torch.uint8)
    top, left, bottom, right = step.box
    size = bottom - top, right - left
    return _stacked([
        cut_out(picture, step.box, size, TILE) for picture in (shown(step.picture), pixels[step.photograph])
    ])  # fmt: skip


def _kept_since(unit: UnitEvolution) -> str:
    """From which step on its strongest photograph is the same."""
    since = unit.steps[-1].step
    for step in reversed(unit.steps):
        if step.photograph != unit.photograph:
            break
        since = step.step
    return f"the same photograph from step {since:,} on"


def draw_parts(layer: LayerEvolution) -> "Image.Image":
    """Of some units the last step's picture by the network of each step, its switches alone, its filters."""
    rows = []
    for unit in layer.units[:_PARTED]:
        top, left, bottom, right = unit.box
        size = bottom - top, right - left
        tiles = [
            _stacked([cut_out(shown(step.made[part]), unit.box, size, TILE) for part in PARTS])
            for step in unit.steps
        ]
        caption = "from above: " + ", ".join(_NAMES[part] for part in PARTS)
        rows.append(Row(f"unit {unit.unit}", caption, torch.stack(tiles)))
    return sheet(rows, _heads(layer))


def _stacked(tiles: list[UInt8[Tensor, "3 s s"]]) -> UInt8[Tensor, "3 _ s"]:
    """One below the other, white between them."""
    gap = torch.full((3, _GAP, TILE), 255, dtype=torch.uint8)
    parts = [part for tile in tiles for part in (gap, tile)]
    return torch.cat(parts[1:], dim=1)


def _heads(layer: LayerEvolution) -> list[str]:
    return [f"{step.step:,}" for step in layer.units[0].steps]


def as_json(found: Evolution) -> dict[str, object]:
    """All that was found but the pictures; null where a picture is empty."""
    return {
        "target": found.target,
        "config": asdict(found.config),
        "photographs": found.photographs,
        "size": found.size,
        "layers": [
            {
                "name": layer.name,
                "channels": layer.channels,
                "poolings": layer.poolings,
                "settled": {part: layer.settled(part) for part in PARTS},
                "units": [_unit_as_json(unit) for unit in layer.units],
            }
            for layer in found.layers
        ],
    }


def _unit_as_json(unit: UnitEvolution) -> dict[str, object]:
    return {
        "unit": unit.unit,
        "photograph": unit.photograph,
        "box": unit.box,
        "random": _known(unit.random),
        "steps": [
            {
                **{name: getattr(step, name) for name in ("step", "photograph", "strength", "box")},
                "shares": {part: _known(share) for part, share in step.shares.items()},
            }
            for step in unit.steps
        ],
    }


def _known(share: float | None) -> float | None:
    return None if share is None or math.isnan(share) else share


def _page(found: Evolution, body: list[Html]) -> str:
    height, width = found.size
    return page(
        f"How units of {found.target} came about",
        "audit",
        element("p", _ABOUT),
        *body,
        element("h2", "How"),
        facts(
            [
                ("run", found.target, ""),
                ("photographs", f"{found.photographs:,}", f"{width}x{height} pixels, width x height"),
                ("method", "deconvnet", "Zeiler and Fergus, 2014"),
                ("overlapping windows", found.config.overlap, "what a cell gets that several chose"),
            ]
        ),
        mark=svg.COLOURS[0],
    )


def _section(layer: LayerEvolution, files: list[bytes]) -> list[Html]:
    captions = [
        "At each step the projection of a unit's strongest activation on any photograph, above what the unit "
        "sees of that photograph; white where it is silent.",
        "The last step's picture again, by the network of each step, by its switches alone, and by its "
        "filters alone.",
    ]
    return [
        element("h2", f"{layer.name}: {len(layer.units)} of {counted(layer.channels, 'unit')}"),
        *(
            figure(inline(file, "image/png", f"{layer.name}: {caption}"), caption)
            for file, caption in zip(files, captions, strict=False)
        ),
        *([element("p", _settled(layer))] if layer.poolings else []),
        _table(layer),
    ]


def _settled(layer: LayerEvolution) -> str:
    """From which step on half of the pictures are there, in words."""
    found = [
        f"{_NAMES[part]} from step {step:,} on" for part in PARTS if (step := layer.settled(part)) is not None
    ]
    if not found:
        return "Nothing of the last step's pictures comes back to the pixels."
    random = layer.random
    least = "" if random is None else f" Random switches with the last filters make {random.mean:.1%}."
    return f"At least half of the last step's pictures is made by {', by '.join(found)}.{least}"


def _table(layer: LayerEvolution) -> Html:
    heads = ["step", "same photograph", *(_NAMES[part] for part in PARTS)]
    rows: list[list[str | Cell]] = [
        [
            f"{step.step:,}",
            number(layer.same_photograph(place), ".0%"),
            *(_cell(layer.share(part, place)) for part in PARTS),
        ]
        for place, step in enumerate(layer.units[0].steps)
    ]
    return table(heads, rows, f"{layer.name}: share of the last step's pictures at each step")


def _cell(share: Share | None) -> Cell:
    return number(None, "") if share is None else number(share.mean, ".1%", share.ci95)
