"""A visualisation by names: a model, files or folders of photographs, and a folder for the pictures."""

from collections.abc import Sequence
from pathlib import Path

from maxtunnel.data.folders import list_images, read_files
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import check_folder
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.training.history import read_history
from maxtunnel.visualising.config import DEFAULTS, VisualisingConfig
from maxtunnel.visualising.evolution import Evolution, evolve
from maxtunnel.visualising.evolution_page import write_evolution
from maxtunnel.visualising.loading import load_layers
from maxtunnel.visualising.outcome import Visualisation
from maxtunnel.visualising.page import write_visualisation
from maxtunnel.visualising.run import visualise
from maxtunnel.visualising.units import parse_units

Skipped = tuple[tuple[Path, str], ...]


def visualise_files(
    target: str,
    images: Sequence[str | Path],
    layers: Sequence[str],
    out: Path,
    units: str = "top",
    config: VisualisingConfig = DEFAULTS,
    *,
    size: int = 224,
    resize: Resize = "bilinear",
    limit: int | None = None,
    preprocess: str | None = None,
    on_progress: OnProgress = silent,
) -> tuple[Visualisation, Path, Skipped]:
    """`visualise` a model by name on photographs by name, and write the page.

    Args:
        target: what `load_target` takes; of a network of ours the encoder, its layers conv1_1 to the last
            pool.
        images: files, and folders of them.
        layers: names of layers.
        out: folder for visualise.html, visualise.json and the sheets.
        units: `top`, or numbers from 0 and commas.
        config: the method, and its settings.
        size, resize: photographs are warped to a square of `size` pixels.
        limit: look at so many photographs, evenly spread.
        preprocess: what `load_target` takes.
        on_progress: told of reading, looking and picturing.

    Returns:
        What was found, the page, and the files that could not be read.
    """
    check_folder(out)
    chosen = parse_units(units)
    model = load_layers(target, preprocess)
    photographs = read_files(_files(images), size, resize, limit, on_progress)
    found = visualise(model, photographs.pixels, layers, chosen, config, on_progress=on_progress)
    return found, write_visualisation(found, photographs.pixels, out), photographs.skipped


def evolve_files(
    run: str | Path,
    images: Sequence[str | Path],
    layers: Sequence[str],
    out: Path,
    units: str = "top",
    config: VisualisingConfig = DEFAULTS,
    *,
    size: int = 224,
    resize: Resize = "bilinear",
    limit: int | None = None,
    on_progress: OnProgress = silent,
) -> tuple[Evolution, Path, Skipped]:
    """`evolve` a run that kept its history on photographs by name, and write the page.

    Args:
        run: folder of it.
        images, layers, units, config, size, resize, limit, on_progress: as for `visualise_files`.
        out: folder for evolution.html, evolution.json and the sheets.

    Returns:
        What was found, the page, and the files that could not be read.

    Raises:
        FormatError: the run kept no history.
    """
    check_folder(out)
    chosen = parse_units(units)
    history = dict(read_history(run))
    photographs = read_files(_files(images), size, resize, limit, on_progress)
    found = evolve(
        list(history),
        lambda step: load_layers(str(history[step])),
        photographs.pixels,
        layers,
        chosen,
        config,
        name=Path(run).resolve().name,
        on_progress=on_progress,
    )
    return found, write_evolution(found, photographs.pixels, out), photographs.skipped


def _files(images: Sequence[str | Path]) -> list[Path]:
    """Files, and those of folders."""
    return [
        file for place in map(Path, images) for file in (list_images(place) if place.is_dir() else [place])
    ]
