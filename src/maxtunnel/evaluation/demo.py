"""Photographs in, pictures out: the reconstructions of files, and the demonstration."""

from collections.abc import Sequence
from pathlib import Path

import torch

from maxtunnel.data.images import demo_photographs, list_images, read_image, to_float, write_png
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.evaluation.records import Evaluation
from maxtunnel.models.tiling import reconstruct
from maxtunnel.report.sheet import Row, sheet
from maxtunnel.support.files import FormatError, check_folder, replacing
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.zoo.names import load, shipped


def run_demo(
    out: str | Path, models: Sequence[str] = (), on_progress: OnProgress = silent
) -> tuple[Path, list[Evaluation]]:
    """Rebuild the photographs in the package.

    Args:
        out: folder for the picture.
        models: what `load` takes; without any, every shipped network.
        on_progress: told the networks done and their total.

    Returns:
        The picture, `out`/demo.png, and one evaluation a network.
    """
    check_folder(out)
    models = models or shipped()
    pixels = torch.stack(list(demo_photographs().values()))
    rows, evaluations = [Row("originals", "8 bits per pixel and colour channel", pixels)], []
    for done, name in enumerate(models, 1):
        network = load(name)
        result = evaluate(network, pixels, model=name)
        bits = result.bits_per_pixel["nominal"]
        caption = f"{bits:.4g} bits per pixel and colour channel, RMSE {result.rmse:.3f}"
        rows.append(Row(name, caption, network.reconstruct(to_float(pixels))))
        evaluations.append(result)
        on_progress("demo", done, len(models), "")
    picture = Path(out) / "demo.png"
    with replacing(picture) as temporary:
        sheet(rows).save(temporary, format="PNG")
    return picture, evaluations


def reconstruct_files(
    paths: Sequence[Path],
    model: str,
    out: str | Path,
    side_by_side: bool = False,
    on_progress: OnProgress = silent,
) -> tuple[list[tuple[Path, float]], list[tuple[Path, str]]]:
    """Rebuild each photograph at its own size as `out`/NAME-MODEL.png.

    Args:
        paths: files, or folders of them.
        model: what `load` takes.
        out: folder for the pictures.
        side_by_side: put the original on the left.
        on_progress: told the files done and their total.

    Returns:
        The pictures with their RMSE, and the unreadable files with the reason.
    """
    check_folder(out)
    network, label = load(model), Path(model).name.removesuffix(".safetensors").removesuffix(".caffemodel")
    files = [file for path in paths for file in (list_images(path) if path.is_dir() else [path])]
    written: list[tuple[Path, float]] = []
    skipped: list[tuple[Path, str]] = []
    taken: set[str] = set()
    for done, file in enumerate(files, 1):
        try:
            image = read_image(file)
        except FormatError as error:
            if [file] == list(paths):
                raise
            skipped.append((file, str(error)))
            continue
        output, rmse = reconstruct(network, image)
        target = Path(out) / f"{_free_name(f'{file.stem}-{label}', taken)}.png"
        write_png(target, torch.cat([image, output], dim=-1) if side_by_side else output)
        written.append((target, rmse))
        on_progress("reconstruct", done, len(files), "")
    return written, skipped


def _free_name(name: str, taken: set[str]) -> str:
    """`name`, or with a number where another photograph of this call has it."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free
