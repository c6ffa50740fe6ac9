"""A visualisation as one page that can be mailed: no network, no scripts, pictures inside."""

import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.report import svg
from maxtunnel.report.html import Cell, Html, element, facts, figure, number, page, table
from maxtunnel.report.pictures import inline
from maxtunnel.support.files import FreeNames, replacing
from maxtunnel.support.numbers import counted
from maxtunnel.visualising.controls import Share
from maxtunnel.visualising.outcome import LayerPictures, Tunnel, Visualisation
from maxtunnel.visualising.pictures import draw_controls, draw_units

if TYPE_CHECKING:
    from PIL import Image

_METHODS = {
    "deconvnet": "Everything in the layer but one activation is set to 0; from there on down each pooling is "
    "undone by its switches, what comes back is rectified at each ReLU, and each convolution is undone by "
    "its transposed filters (Zeiler and Fergus, 2014).",
    "guided": "The derivative of one activation, rectified at each ReLU besides (Springenberg and others, "
    "2015).",
    "gradient": "The derivative of one activation with respect to the pixels.",
    "occlusion": "By how much a grey square lowers the sum of a unit's map, wherever it covers the "
    "photograph (Zeiler and Fergus, 2014): white is most.",
}  # fmt: skip
_TUNNEL = (
    "The same picture again, with the switches of another photograph, with random ones, and with its own "
    "switches but the same constant in all units, so that nothing of the feature is left. What the first two "
    "lose of the picture's energy the switches drew; what the third shows is there without the feature."
)


def write_visualisation(found: Visualisation, pixels: UInt8[Tensor, "n 3 h w"], out: str | Path) -> Path:
    """Write OUT/visualise.html, OUT/visualise.json and the layers' sheets; the page's path.

    Args:
        found: what `visualise` gave.
        pixels: the photographs that it was given.
        out: a folder, which is made.
    """
    out = Path(out)
    names, body = FreeNames(), []
    for layer in found.layers:
        name = names.take(file_stem(layer.name))
        sheets = {name: draw_units(layer, pixels, found.config.method)}
        if (controls := draw_controls(layer, pixels)) is not None:
            sheets[f"{name}-controls"] = controls
        files = {stem: save_sheet(picture, out / f"{stem}.png") for stem, picture in sheets.items()}
        body += _section(layer, found, list(files.values()))
    with replacing(out / "visualise.json") as temporary:
        temporary.write_text(json.dumps(as_json(found), indent=1) + "\n", encoding="utf-8")
    with replacing(out / "visualise.html") as temporary:
        temporary.write_text(_page(found, body), encoding="utf-8")
    return out / "visualise.html"


def as_json(found: Visualisation) -> dict[str, object]:
    """All that was found but the pictures."""
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
                "tunnel": [asdict(tunnel) for tunnel in layer.tunnel],
                "units": [
                    {
                        name: getattr(unit, name)
                        for name in ("unit", "photographs", "strengths", "places", "boxes", "shares")
                    }
                    for unit in layer.units
                ],
            }
            for layer in found.layers
        ],
    }


def _page(found: Visualisation, body: list[Html]) -> str:
    height, width = found.size
    return page(
        f"What units of {found.target} see",
        "audit",
        element("p", _METHODS[found.config.method]),
        *([_tunnel_table(found)] if any(layer.tunnel for layer in found.layers) else []),
        *body,
        element("h2", "How"),
        facts(
            [
                ("model", found.target, ""),
                ("photographs", f"{found.photographs:,}", f"{width}x{height} pixels, width x height"),
                ("method", found.config.method, ""),
                ("overlapping windows", _overlap(found), "what a cell gets that several chose"),
            ]
        ),
        mark=svg.COLOURS[0],
    )


def _overlap(found: Visualisation) -> str:
    return found.config.overlap if found.config.method == "deconvnet" else "sum"


def _tunnel_table(found: Visualisation) -> Html:
    heads = [
        "layer",
        "poolings below",
        "lost with others' switches",
        "lost with random",
        "there without the feature",
    ]
    rows = [[_named(layer, tunnel), *_shares(layer, tunnel)] for layer, tunnel in tunnels(found)]
    return element(
        "div",
        element("h2", "How much of it the switches drew"),
        element("p", _TUNNEL),
        *([element("p", found.unpooled)] if found.unpooled else []),
        table(heads, rows, "Shares of the energy of pictures, by layer"),
    )


def tunnels(found: Visualisation) -> Iterator[tuple[LayerPictures, Tunnel]]:
    """Each layer's numbers: of a unit, and of all its activations together."""
    for layer in found.layers:
        for tunnel in layer.tunnel:
            yield layer, tunnel


def _named(layer: LayerPictures, tunnel: Tunnel) -> str:
    return f"{layer.name}, a unit" if tunnel.of == "unit" else f"{layer.name}, all of it"


def _shares(layer: LayerPictures, tunnel: Tunnel) -> list[str | Cell]:
    shares = (tunnel.lost_other, tunnel.lost_random, tunnel.without_feature)
    return [str(layer.poolings), *(_cell(share) for share in shares)]


def _cell(share: Share | None) -> Cell:
    return Cell("–") if share is None else number(share.mean, ".1%", share.ci95)


def _section(layer: LayerPictures, found: Visualisation, files: list[bytes]) -> list[Html]:
    shown = max((len(unit.photographs) for unit in layer.units), default=0)
    captions = [
        f"Of each unit the {counted(shown, 'photograph')} on which it fires most strongly, and what it "
        "becomes at their pixels; cut to what the unit sees.",
        "Of some units the strongest photograph, its projection, and the same with other switches or without "
        "the feature; how much of the projection's energy each of these shows.",
    ]
    return [
        element("h2", f"{layer.name}: {len(layer.units)} of {counted(layer.channels, 'unit')}"),
        *(
            figure(inline(file, "image/png", f"{layer.name}: {caption}"), caption)
            for file, caption in zip(files, captions, strict=False)
        ),
    ]


def file_stem(layer: str) -> str:
    """The name of a layer, as a file may be called."""
    return "".join(sign if sign.isalnum() or sign in "._-" else "_" for sign in layer)


def save_sheet(picture: "Image.Image", path: Path) -> bytes:
    """Write a PNG file; the bytes of it."""
    file = io.BytesIO()
    picture.save(file, format="PNG")
    with replacing(path) as temporary:
        temporary.write_bytes(file.getvalue())
    return file.getvalue()
