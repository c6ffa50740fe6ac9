"""Photographs through a network that answers for every pixel, to pictures of what it says."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.codec.replacement import NOTE, maker_of_picture, name_pictures
from maxtunnel.data.dense import resize_labels
from maxtunnel.data.images import read_image, resize, shrink, to_float
from maxtunnel.models.checkpoint import hash_tensors
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.report.classes import class_colours, class_names, class_sheet, colour, overlay
from maxtunnel.support.choices import DenseGiven, DenseShown
from maxtunnel.support.files import FormatError, check_folder, replacing
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.window import Pair
from maxtunnel.zoo.dense_files import load_dense

SIDE = 480  # longest side of pictures, and of what a network is given that names none: CamVid's, in pixels
GIVEN: dict[DenseGiven, str] = {
    "known": "its own switches",
    "fixed": "fixed switches",
    "other": "another image's switches",
    "constant": "its switches, no features",
}
Skipped = list[tuple[Path, str]]


@dataclass(frozen=True, eq=False)
class Answered:
    """A photograph and what a network says of it.

    Attributes:
        whole: its pixels.
        pixels: the same, or shrunk: as it is shown.
        given: (height, width) in pixels of what the network was given.
        answers: before any softmax or sigmoid, by what the decoder was given, at that size.
    """

    whole: UInt8[Tensor, "3 H W"]
    pixels: UInt8[Tensor, "3 h w"]
    given: Pair
    answers: dict[DenseGiven, Float[Tensor, "classes h w"]]


@dataclass(frozen=True)
class Drawn:
    """A picture, and a line about it."""

    picture: Image.Image
    about: str


def segment_files(
    images: str | Path | Sequence[str | Path],
    model: str | Path,
    out: str | Path = ".",
    switches: DenseShown = "known",
    other: str | Path | None = None,
    side: int = SIDE,
    masks: bool = False,
    force: bool = False,
    on_progress: OnProgress = silent,
) -> tuple[list[tuple[Path, str]], Skipped]:
    """Draw the classes of photographs as `out`/NAME-classes.png: photograph, classes, both, and a legend.

    Args:
        images: a file or a folder of them, or several.
        model: what `load_dense` takes, of two classes at least.
        out: folder for the pictures.
        switches: what the decoder is given; `all` shows all of these.
        other: the image whose switches `other` is; by default each image's is the next one that was given.
        side: longest side in pixels of pictures, at most that of the photograph. The network is given as many
            as its file says, otherwise as large as pictures are.
        masks: write `out`/NAME-mask.png too: the number of each pixel's class, at the photograph's own size,
            in the colours of the classes.
        force: replace pictures that another network made, and files that are no pictures of ours, too.
        on_progress: told the files done and their total.

    Returns:
        The pictures with a line about each, and the unreadable images with the reason.

    Raises:
        FormatError: the network cannot be read, or the one image that was asked for.
        ValueError: the network answers otherwise, there is no other image, or a picture would take the place
            of what this network did not make.
    """
    check_folder(out)
    network = load_dense(model)
    classes = network.shape.classes
    if classes < 2:
        raise ValueError(f"{model} has one answer a pixel, as for contours: take `maxtunnel contours`")

    def draw(found: Answered) -> dict[str, Drawn]:
        said = {given: answers.argmax(0) for given, answers in found.answers.items()}
        first = next(iter(said.values()))
        drawn = {"classes": Drawn(_draw(found.pixels, said, classes), _shares(first, classes))}
        if masks:
            drawn["mask"] = Drawn(_mask(first, found.whole, classes), "class of each pixel")
        return drawn

    kinds = ("classes", "mask") if masks else ("classes",)
    return draw_files(network, images, Path(out), kinds, draw, switches, other, side, force, on_progress)


def draw_files(
    network: DenseNetwork,
    images: str | Path | Sequence[str | Path],
    out: Path,
    kinds: Sequence[str],
    draw: Callable[[Answered], dict[str, Drawn]],
    switches: DenseShown,
    other: str | Path | None,
    side: int,
    force: bool,
    on_progress: OnProgress = silent,
) -> tuple[list[tuple[Path, str]], Skipped]:
    """Write what is drawn of a network's answers as `out`/NAME-KIND.png; as for `segment_files`.

    Args:
        network: answers.
        kinds: of pictures, the first of which names them; `draw` gives one of each.
        draw: makes the pictures of a photograph.
    """
    named = name_pictures(images, out, f"-{kinds[0]}")
    # The last label is ours: a photograph's own name may hold the same word.
    pictures = {
        target: {
            kind: target.with_name(f"-{kind}".join(target.name.rsplit(f"-{kinds[0]}", 1))) for kind in kinds
        }
        for _, target in named
    }
    note = check_targets([path for paths in pictures.values() for path in paths.values()], network, force)
    written: list[tuple[Path, str]] = []
    skipped: Skipped = []
    for target, found in answer_files(network, named, switches, other, side, skipped, on_progress):
        for kind, drawn in draw(found).items():
            save_picture(pictures[target][kind], drawn.picture, note)
            height, width = found.given
            written.append((pictures[target][kind], f"{drawn.about}; read at {width}x{height}"))
    return written, skipped


def check_targets(targets: Sequence[Path], network: DenseNetwork, force: bool) -> str:
    """What pictures are to say of the network that made them.

    Raises:
        ValueError: one is there that says otherwise, or nothing, and `force` is not set.
    """
    note = hash_tensors(network.state_dict())
    for path in targets:
        if not force and path.exists() and maker_of_picture(path) != note:
            raise ValueError(
                f"{path} is there, and was not made by this network: name another folder (`out`), or replace "
                "it all the same (`force`)"
            )
    return note


def answer_files(
    network: DenseNetwork,
    targets: Sequence[tuple[Path, Path]],
    switches: DenseShown,
    other: str | Path | None,
    side: int,
    skipped: Skipped,
    on_progress: OnProgress = silent,
) -> Iterator[tuple[Path, Answered]]:
    """What a network says of each file that can be read; the others are added to `skipped`.

    Args:
        network: answers.
        targets: see `name_pictures`.
        switches, other, side: see `segment_files`.
        skipped: is added to.
        on_progress: told the files done and their total.

    Raises:
        FormatError: one file alone was asked for, and it cannot be read; or the other image cannot.
        ValueError: one file alone was asked for, and is too small; or there is no other image.
    """
    if network.shape.channels != 3:
        raise ValueError(f"`model` takes images of {network.shape.channels} channels: expected 3, for colour")
    if side < 1:
        raise ValueError(f"`side` is {side}: expected at least 1 pixel")
    shown = get_args(DenseGiven) if switches == "all" else (switches,)
    files = [file for file, _ in targets]
    if other is None and len(files) < 2 and "other" in shown:
        if switches == "other":
            raise ValueError("`switches` other needs another image: give it (`other`), or two images")
        shown = tuple(given for given in shown if given != "other")
    # Before any picture: what cannot be read would be said of each.
    given_other = None if other is None else read_image(other)
    for number, (file, target) in enumerate(targets):
        try:
            whole, beside = read_image(file), given_other
            if beside is None and "other" in shown:
                beside = _next_readable(files, number)
            possible = [given for given in shown if given != "other" or beside is not None]
            if not possible:
                raise ValueError("no other image can be read, whose switches `switches` other needs")
            yield target, _answer(network, whole, beside, possible, side)
        except ValueError as error:
            if len(files) == 1:
                raise
            skipped.append((file, str(error) if isinstance(error, FormatError) else f"{file}: {error}"))
        on_progress("images", number + 1, len(targets), "")


def _next_readable(files: Sequence[Path], number: int) -> UInt8[Tensor, "3 _ _"] | None:
    """The first image that can be read of those that follow a file, round to those before it."""
    for file in (*files[number + 1 :], *files[:number]):
        with suppress(FormatError):
            return read_image(file)
    return None


def save_picture(path: Path, picture: Image.Image, note: str) -> None:
    """Write a PNG file in one step that says what network made it."""
    texts = PngInfo()
    texts.add_text(NOTE, note)
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=texts)


def _answer(
    network: DenseNetwork,
    whole: Tensor,
    beside: Tensor | None,
    shown: Sequence[DenseGiven],
    side: int,
) -> Answered:
    pixels, small = shrink(whole, side), shrink(whole, network.side or side)
    image, size = to_float(small)[None], (small.shape[1], small.shape[2])
    network.shape.sizes(size)
    answers: dict[DenseGiven, Tensor] = {}
    for given in shown:
        others = None
        if given == "other" and beside is not None:
            others = to_float(resize(beside, size, "antialias"))[None]
        said = network.answer(image, what=given != "constant", where=given != "fixed", switches_of=others)
        answers[given] = widen(said, (pixels.shape[1], pixels.shape[2]))[0].cpu()
    return Answered(whole, pixels, size, answers)


def widen(answers: Float[Tensor, "n classes _ _"], size: Pair) -> Float[Tensor, "n classes H W"]:
    """Answers at another size than that at which they were given, by bilinear interpolation."""
    if tuple(answers.shape[2:]) == size:
        return answers
    return F.interpolate(answers, size, mode="bilinear", align_corners=False)


def _draw(pixels: Tensor, said: dict[DenseGiven, Tensor], classes: int) -> Image.Image:
    """The sheet of one photograph."""
    shown = sorted({int(each) for labels in said.values() for each in labels.unique()})
    pictures = [("photograph", pixels)]
    if len(said) == 1:
        [(given, labels)] = said.items()
        pictures += [
            (f"classes: {GIVEN[given]}", colour(labels, classes)),
            ("both", overlay(pixels, labels, classes)),
        ]
    else:
        pictures += [(GIVEN[given], colour(labels, classes)) for given, labels in said.items()]
    return class_sheet(pictures, shown, classes)


def _mask(labels: Tensor, whole: Tensor, classes: int) -> Image.Image:
    numbers = resize_labels(labels[None].to(torch.uint8), (whole.shape[1], whole.shape[2]))[0]
    picture = Image.fromarray(numbers.numpy())
    picture.putpalette(class_colours(classes).flatten().tolist())
    return picture


def _shares(labels: Tensor, classes: int) -> str:
    """The classes that are found most, in words."""
    counts = torch.bincount(labels.flatten(), minlength=classes)
    names = class_names(classes)
    order = counts.argsort(descending=True, stable=True)[:3].tolist()
    return ", ".join(f"{names[n]} {counts[n] / labels.numel():.0%}" for n in order if counts[n])
