"""Photographs through a network that draws contours, to pictures of them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from maxtunnel.evaluation.ridges import thin
from maxtunnel.report.classes import class_sheet
from maxtunnel.report.contours import lines, over
from maxtunnel.report.dense_files import (
    GIVEN,
    SIDE,
    Answered,
    Drawn,
    Skipped,
    draw_files,
    widen,
)
from maxtunnel.support.choices import DenseGiven, DenseShown
from maxtunnel.support.files import check_folder
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.zoo.dense_files import load_dense

_CLEAR = 0.5  # strength from which on a pixel counts as a contour in what is said of a picture


def contour_files(
    images: str | Path | Sequence[str | Path],
    model: str | Path,
    out: str | Path = ".",
    switches: DenseShown = "known",
    other: str | Path | None = None,
    side: int = SIDE,
    thick: bool = False,
    strengths: bool = False,
    force: bool = False,
    on_progress: OnProgress = silent,
) -> tuple[list[tuple[Path, str]], Skipped]:
    """Draw the contours of photographs as `out`/NAME-contours.png: photograph, contours, both.

    What `segment_files` does for classes; the rest of the arguments, what is returned and the errors are as
    there.

    Args:
        model: what `load_dense` takes, of one answer a pixel.
        thick: leave contours as wide as the network draws them; otherwise they are thinned (`ridges`).
        strengths: write `out`/NAME-strength.png too: grey levels at the photograph's own size, 255 for the
            strongest contour there can be.
    """
    check_folder(out)
    network = load_dense(model)
    classes = network.shape.classes
    if classes > 1:
        raise ValueError(f"{model} has {classes} answers a pixel, as for classes: take `maxtunnel segment`")

    def draw(found: Answered) -> dict[str, Drawn]:
        strength = {given: _strength(answers, thick) for given, answers in found.answers.items()}
        clear = float((next(iter(strength.values())) >= _CLEAR).double().mean())
        drawn = {"contours": Drawn(_draw(found, strength), f"{clear:.1%} of the pixels are contours")}
        if strengths:
            drawn["strength"] = Drawn(_grey(found, thick), "strength of each pixel")
        return drawn

    kinds = ("contours", "strength") if strengths else ("contours",)
    return draw_files(network, images, Path(out), kinds, draw, switches, other, side, force, on_progress)


def _strength(answers: Float[Tensor, "1 h w"], thick: bool) -> Float[Tensor, "h w"]:
    strength = answers[0].sigmoid()
    return strength if thick else thin(strength)


def _draw(found: Answered, drawn: dict[DenseGiven, Tensor]) -> Image.Image:
    """The sheet of one photograph."""
    pictures = [("photograph", found.pixels)]
    if len(drawn) == 1:
        [(given, strength)] = drawn.items()
        pictures += [
            (f"contours: {GIVEN[given]}", lines(strength)), ("both", over(strength, found.pixels)),
        ]  # fmt: skip
    else:
        pictures += [(GIVEN[given], lines(strength)) for given, strength in drawn.items()]
    return class_sheet(pictures, (), 1)


def _grey(found: Answered, thick: bool) -> Image.Image:
    """The strengths at the photograph's own size: brought to it first, and thinned then."""
    answers = next(iter(found.answers.values()))
    size = (found.whole.shape[1], found.whole.shape[2])
    wide = widen(answers[None].sigmoid(), size)[0, 0]
    strength = wide if thick else thin(wide)
    return Image.fromarray((255 * strength).round().to(torch.uint8).numpy())
