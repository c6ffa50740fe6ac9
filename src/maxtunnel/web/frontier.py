"""Below the table: what the same bits give, of the networks that ship, and of JPEG and WebP."""

from functools import cache
from importlib.resources import as_file, files

from maxtunnel.paper.frontier import FILE, Frontier, Point, read_frontier
from maxtunnel.report import svg
from maxtunnel.report.html import Html, element

_AREA = svg.Area(height=380.0, left=76.0, right=18.0, top=14.0, bottom=56.0)
_CLASSES = {"mirrored": "mt-filled", "strong": "mt-strong"}
_EXPLANATION = """
Switches are a poor way to keep a photograph: JPEG and WebP (lines) reach the same error with a fraction of
the bits. Of the marks, the lower row is of strong decoders, squares are of pretrained encoders, and hollow
ones of pictures that were refined, by either decoder; each says its name. What the switches show is not how
to compress, but how much leaves a network that hands out its pooling indices. Bits are those of whole files,
without loss: `.mxt` for switches. Of {images:,} photographs; made by `maxtunnel frontier`.
"""


@cache
def measured() -> Frontier:
    """The frontier that ships, as `maxtunnel frontier` measured it."""
    with as_file(files("maxtunnel.paper") / FILE) as path:
        return read_frontier(path)


def explanation() -> str:
    """What the plot shows, in Markdown."""
    return _EXPLANATION.format(images=measured().images)


def show() -> Html:
    """RMSE against stored bits: files as lines, networks as marks that say their names."""
    found = [point for point in measured().points if point.stored is not None and point.rmse > 0]
    bits = [point.stored for point in found if point.stored is not None]
    x = _AREA.across(min(bits) / 1.2, max(bits) * 1.2, log=True)
    y = _AREA.up(*svg.round_limits([0.0, *(point.rmse for point in found)]))
    parts = [svg.frame(_AREA, x, y, "stored bits per pixel and channel", "RMSE")]
    for name in ("JPEG", "WebP"):
        line = [point for point in found if point.series == name]
        places = " ".join(f"{x(point.stored or 1):.1f},{y(point.rmse):.1f}" for point in line)
        parts.append(element("polyline", class_=f"mt-line mt-{name.lower()}", fill="none", points=places))
        # At the upper end, where the lines are furthest apart.
        parts.append(svg.text(x(line[0].stored or 1) + 6, y(line[0].rmse) - 6, name, "start"))
    parts += [_mark(point, x, y) for point in found if point.nominal is not None]
    return element("div", _AREA.drawing("RMSE against stored bits", *parts), class_="mt-plot")


def _mark(point: Point, x: svg.Axis, y: svg.Axis) -> Html:
    encoder, decoder, *refined = point.series.split(", ")
    name = ", ".join((point.name, *refined))
    about = f"{name}: {point.rmse:.4f} at {point.stored:.3f} bits"
    return svg.mark(
        x(point.stored or 1), y(point.rmse), square=encoder == "pretrained", about=about,
        classes="mt-hollow" if refined else _CLASSES[decoder],
    )  # fmt: skip
