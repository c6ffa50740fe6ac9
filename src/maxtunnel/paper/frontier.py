"""The rate-distortion frontier: how close a picture comes for so many bits, of switches or of image files."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from maxtunnel.data import read_photographs
from maxtunnel.evaluation.compression import Compressed, compress
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.evaluation.intervals import Interval, bootstrap
from maxtunnel.evaluation.records import Evaluation
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.table import ROWS
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import FormatError, replacing
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.support.records import from_json, to_json
from maxtunnel.support.tables import Column, Table
from maxtunnel.zoo.labels import labels as make_labels
from maxtunnel.zoo.names import load, shipped

FILE = "frontier.json"
SIZE = 128  # of Table II's photographs


@dataclass(frozen=True)
class Point:
    """One way to keep photographs.

    Attributes:
        name: of the network, or of the kind of file.
        series: `random, mirrored` and the like for a network: what its encoder and its decoder are, and
            `refined` where its pictures were; else `JPEG` or `WebP`.
        nominal: bits of the switches, 2 each, per pixel and colour channel; None for files.
        stored: bits of each photograph's file, the mean; None where a network's were not measured.
        stored_ci95: bootstrap interval over photographs.
        rmse, rmse_ci95: values in [0, 1]; a network's output is not clipped.
    """

    name: str
    series: str
    nominal: float | None
    stored: float | None
    stored_ci95: Interval | None
    rmse: float
    rmse_ci95: Interval


@dataclass(frozen=True)
class Frontier:
    """All that was measured on the same photographs.

    Attributes:
        images, size, resize: how many photographs, how high and wide in pixels, and how they came to that.
        bits_images: on how many of them stored bits of networks were measured.
        points: networks, fewest nominal bits first; then files.
    """

    images: int
    size: int
    resize: str
    bits_images: int
    points: tuple[Point, ...]

    @property
    def beside_the_paper(self) -> bool:
        """Whether Table II is of photographs of this size."""
        return self.size == SIZE

    def of_the_paper(self, point: Point) -> float | None:
        """RMSE by the lowest that Table II has at as many nominal bits; None where it has none."""
        if point.nominal is None or not self.beside_the_paper:
            return None
        budget = [row.rmse for row in ROWS if math.isclose(row.bits_per_pixel, point.nominal, rel_tol=0.01)]
        return point.rmse / min(budget) if budget else None

    def save(self, folder: Path) -> Path:
        """Write frontier.json into a folder."""
        path = folder / FILE
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(to_json(self), indent=1) + "\n", encoding="utf-8")
        return path


def measure_frontier(
    data: str | Path,
    models: Sequence[str] = (),
    *,
    size: int = 128,
    resize: Resize = "bilinear",
    limit: int | None = None,
    labels: Sequence[str] = (),
    bits_images: int = 200,
    refine: int = 0,
    on_progress: OnProgress = silent,
) -> Frontier:
    """Measure networks on photographs, and JPEG and WebP on the very same.

    Args:
        data: folder or store of photographs that no network was trained on.
        models: what `load` takes, each; by default all that ship.
        size, resize: the photographs are warped to a square of `size` pixels.
        limit: take only so many, evenly spread.
        labels: what to call the models, in order; those without one are called by what they are.
        bits_images: stored bits of networks are measured on at most so many.
        refine: rounds; above 0, every network is measured a second time, its pictures refined.
        on_progress: told of each network, and how many of them are done.

    Raises:
        FormatError: there is no such model or folder.
        ValueError: there are no photographs.
    """
    models = list(models) or shipped()
    names = make_labels(models, labels)
    photographs = read_photographs(data, size, resize, limit, on_progress)
    photographs.warn_of_skipped()
    pixels = photographs.pixels
    if len(pixels) == 0:
        raise ValueError(f"there are no photographs in {data}: give a folder or a store of some")
    networks = []
    for done, (model, name) in enumerate(zip(models, names, strict=True)):
        on_progress("networks measured", done, len(models), name)
        network = load(model)
        found = evaluate(
            network, pixels, model=name, resize=resize, bits_images=bits_images, on_progress=on_progress
        )
        networks.append((_series(network), found))
        if refine:
            moved = evaluate(
                network, pixels, model=name, resize=resize, bits_images=0, refine=refine,
                on_progress=on_progress,
            )  # fmt: skip
            networks.append((f"{_series(network)}, refined", _with_bits(moved, found)))
    return gather(networks, compress(pixels[:], on_progress))


def gather(networks: Sequence[tuple[str, Evaluation]], files: Sequence[Compressed]) -> Frontier:
    """The frontier of what was measured already, each network with its series."""
    points = sorted((_of_network(series, found) for series, found in networks), key=_order)
    first = networks[0][1]
    return Frontier(
        images=first.images,
        size=first.size,
        resize=first.resize,
        bits_images=max(found.bits_images for _, found in networks),
        points=(*points, *map(_of_file, files)),
    )


def read_frontier(path: Path) -> Frontier:
    """What `Frontier.save` wrote.

    Raises:
        FormatError: there is no such file, or it holds something else.
    """
    try:
        return from_json(Frontier, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} holds no frontier ({error}): make one with `maxtunnel frontier`") from None


def tabulate(frontier: Frontier) -> Table:
    """One row a point."""
    columns = (
        Column("name", "name", text=True),
        Column("series", "encoder, decoder", text=True),
        Column("nominal_bits", "nominal", ".4g"),
        Column("stored_bits", "stored", ".3f"),
        Column("stored_bits_ci95", "stored, 95 %", ".3f", interval=True),
        Column("rmse", "RMSE", ".4f"),
        Column("rmse_ci95", "RMSE, 95 %", ".4f", interval=True),
        Column("of_the_paper", "of Table II", ".0%"),
    )
    rows = tuple(
        (
            point.name, point.series, point.nominal, point.stored, point.stored_ci95, point.rmse,
            point.rmse_ci95, frontier.of_the_paper(point),
        )
        for point in frontier.points
    )  # fmt: skip
    where = f"{frontier.images:,} photographs at {frontier.size}x{frontier.size}"
    title = f"Bits per pixel and colour channel, and RMSE, on {where}"
    if not frontier.beside_the_paper:
        title += f"\nTable II is of {SIZE}x{SIZE} pixels: nothing is put beside it"
    return Table(title, columns, rows)


def _series(network: TunnelNetwork) -> str:
    return f"{network.provenance.encoder}, {network.decoder_kind}"


def _with_bits(found: Evaluation, of: Evaluation) -> Evaluation:
    """The same with the stored bits of another: refining changes pictures, no switches."""
    return replace(
        found, bits_per_pixel=of.bits_per_pixel, stored_ci95=of.stored_ci95, bits_images=of.bits_images
    )


def _of_network(series: str, found: Evaluation) -> Point:
    return Point(
        name=found.model,
        series=series,
        nominal=found.bits_per_pixel.nominal,
        stored=found.bits_per_pixel.stored,
        stored_ci95=found.stored_ci95,
        rmse=found.rmse,
        rmse_ci95=found.rmse_ci95,
    )


def _of_file(found: Compressed) -> Point:
    return Point(
        name=found.name,
        series=found.format,
        nominal=None,
        stored=float(found.bits.mean()),
        stored_ci95=bootstrap(found.bits),
        rmse=math.sqrt(found.squared_errors.mean()),
        rmse_ci95=bootstrap(found.squared_errors, torch.sqrt),
    )


def _order(point: Point) -> tuple[float, str, float]:
    return (point.nominal or 0.0, point.series, point.rmse)
