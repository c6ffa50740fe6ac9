"""The figures by number: for the report all four, for the command line one."""

from collections.abc import Sequence
from pathlib import Path

from maxtunnel.data import read_photographs
from maxtunnel.data.batches import Pixels
from maxtunnel.models.architecture import Architecture
from maxtunnel.paper import figures
from maxtunnel.paper.canvas import save
from maxtunnel.paper.networks import LabelledNetwork
from maxtunnel.paper.schematic import schematic
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import check_folder
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.zoo.labels import labels as make_labels
from maxtunnel.zoo.names import architecture_of, load, shipped

# What the paper drew: Figures 1, 2 and 4.
_FIGURE_1, _FIGURE_2, _FIGURE_4 = "48-96-192", "12-24-48", "12-24-48"


def draw_figure(
    number: int,
    out: Path,
    data: Path | None = None,
    models: Sequence[str] = (),
    count: int = 8,
    seed: int = 0,
    size: int = 128,
    resize: Resize = "bilinear",
    labels: Sequence[str] = (),
    on_progress: OnProgress = silent,
) -> tuple[Path, Path]:
    """Draw Figure 1, 2, 3 or 4 of the paper.

    Args:
        number: which.
        out: folder for the PNG and the PDF.
        data: folder or store that photographs are drawn from, of which files that cannot be read are skipped
            with a warning; Figure 2 needs none.
        models: what `load` takes, or for Figure 2 an architecture; several for Figure 3 alone. By default
            the paper's where it ships, else the largest that does, and for Figure 3 all, with either decoder.
        count: photographs in Figures 1 and 3.
        seed: draws the photographs, and the channels of Figure 4.
        size, resize: how photographs are read.
        labels: what to call the models, in order; those without one are called by what they are.
        on_progress: told what is done.

    Returns:
        The PNG and the PDF.

    Raises:
        ValueError: there is no such figure, or it does not show what is given, or `out` is no folder.
    """
    if number not in (1, 2, 3, 4):
        raise ValueError(f"`number` is {number}: the paper's figures that can be drawn are 1, 2, 3 and 4")
    if number != 3 and len(models) > 1:
        raise ValueError(f"`models` has {len(models)}: Figure {number} shows one, and Figure 3 several")
    check_folder(out)
    if number == 2:
        if labels:
            raise ValueError("`labels` are for networks: Figure 2 shows an architecture, by its own name")
        name = models[0] if models else _FIGURE_2
        return save(schematic(architecture_of(name), size), out / "figure2")
    if data is None:
        raise ValueError(
            f"Figure {number} shows photographs: give `data`, a folder or store to draw them from"
        )
    found = read_photographs(data, size, resize, on_progress=on_progress)
    found.warn_of_skipped()
    wanted = list(models) or (shipped() if number == 3 else [_favourite(shipped(), number)])
    networks = [
        LabelledNetwork(Path(model).name, load(model), name)
        for model, name in zip(wanted, make_labels(wanted, labels), strict=True)
    ]
    return draw(number, networks, found.pixels, out, count, seed)


def draw(
    number: int,
    networks: Sequence[LabelledNetwork],
    photographs: Pixels,
    out: Path,
    count: int = 8,
    seed: int = 0,
) -> tuple[Path, Path]:
    """Draw Figure 1, 3 or 4 from networks; Figures 1 and 4 take the first.

    Raises:
        ValueError: Figure 4, which shows the layers of the paper's decoder, of a network with another.
    """
    if number == 3:
        chosen = figures.choose(photographs, count, seed)
        return save(figures.gallery(networks, chosen), out / "figure3")
    if number == 1:
        chosen = figures.choose(photographs, count, seed)
        return save(figures.reconstructions(networks[0], chosen), out / "figure1")
    chosen = figures.choose(photographs, 1, seed)
    return save(figures.layers(networks[0], chosen[0], seed), out / "figure4")


def draw_all(
    networks: Sequence[LabelledNetwork], photographs: Pixels, out: Path, seed: int
) -> list[tuple[Path, Path]]:
    """All four, each with the paper's network where it is among these, else the largest random one.

    Figures 1 and 4 are of the paper's decoder alone, and left out where there is none.
    """
    by_name = {labelled.name: labelled for labelled in networks if labelled.decoder == "mirrored"}
    second = save(schematic(Architecture.parse(_FIGURE_2), photographs.shape[-1]), out / "figure2")
    third = draw(3, networks, photographs, out, seed=seed)
    if not by_name:
        return [second, third]
    first, fourth = (
        draw(number, [by_name[_favourite(list(by_name), number)]], photographs, out, seed=seed)
        for number in (1, 4)
    )
    return [first, second, third, fourth]


def _favourite(names: Sequence[str], number: int) -> str:
    """The paper's network for a figure, or else the last random one of a list that grows."""
    wanted = _FIGURE_1 if number == 1 else _FIGURE_4
    mirrored = [name for name in names if not name.endswith("-strong")]
    random = [name for name in mirrored if not name.endswith("-pretrained")]
    return wanted if wanted in names else (random or mirrored)[-1]
