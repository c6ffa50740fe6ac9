"""The sets that learning with few labels is measured on, by name, wherever a person keeps a copy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from maxtunnel.data.binaries import (
    cifar_files,
    holds_cifar,
    holds_stl10,
    read_cifar,
    read_stl10,
    stl10_files,
)
from maxtunnel.data.folders import folder_name, label_by_folder, read_files
from maxtunnel.data.idx import holds_mnist, mnist_files, read_mnist
from maxtunnel.data.images import read_image
from maxtunnel.data.labelled import LabelledSet, Split, check_memory
from maxtunnel.data.manifest import is_store
from maxtunnel.data.store import open_store
from maxtunnel.data.survey import survey
from maxtunnel.data.svhn import holds_svhn, read_svhn, svhn_files
from maxtunnel.support.choices import LabelledSetName
from maxtunnel.support.files import FormatError, check_file
from maxtunnel.support.numbers import counted
from maxtunnel.support.progress import OnProgress, silent


@dataclass(frozen=True)
class SetFacts:
    """What a set is.

    Attributes:
        title: as people write its name.
        channels, side: of an image, side in pixels.
        classes: how many there are.
    """

    title: str
    channels: int
    side: int
    classes: int


SETS: dict[LabelledSetName, SetFacts] = {
    "mnist": SetFacts("MNIST", 1, 28, 10),
    "cifar10": SetFacts("CIFAR-10", 3, 32, 10),
    "cifar100": SetFacts("CIFAR-100", 3, 32, 100),
    "svhn": SetFacts("SVHN", 3, 32, 10),
    "stl10": SetFacts("STL-10", 3, 96, 10),
}


@dataclass(frozen=True)
class _OwnFiles:
    """How a set's own files are found and read.

    Attributes:
        lie_in: whether a folder has them.
        names: of those of a split.
        read: a split of them.
    """

    lie_in: Callable[[Path], bool]
    names: Callable[[Split], tuple[str, ...]]
    read: Callable[[Path, Split], LabelledSet]


def _cifar(name: str) -> _OwnFiles:
    return _OwnFiles(
        lambda folder: holds_cifar(folder, name),
        lambda split: cifar_files(name, split),
        lambda folder, split: read_cifar(folder, name, split),
    )


_OWN: dict[LabelledSetName, _OwnFiles] = {
    "mnist": _OwnFiles(holds_mnist, mnist_files, read_mnist),
    "cifar10": _cifar("cifar10"),
    "cifar100": _cifar("cifar100"),
    "svhn": _OwnFiles(holds_svhn, svhn_files, read_svhn),
    "stl10": _OwnFiles(holds_stl10, stl10_files, read_stl10),
}


def read_set(
    folder: str | Path, name: LabelledSetName, split: Split = "train", on_progress: OnProgress = silent
) -> LabelledSet:
    """The images of one split of a set.

    Args:
        folder: holds the set's own files (MNIST: idx; CIFAR: the binary version; SVHN: .mat; STL-10: .bin),
            or `train`, `test` and their like: folders of class folders of images, or stores made of these.
        name: which set.
        split: which part of it.
        on_progress: told, as phase `read`, how many of a folder's files are done.

    Raises:
        FormatError: nothing of the kind lies there, or it is damaged, or other than that set.
        ValueError: the set has no such split, or there is no memory for it.
    """
    facts, own = SETS[name], _OWN[name]
    if own.lie_in(Path(folder)):
        found = own.read(Path(folder), split)
    else:
        found = _read_listed(_listed(folder, name, split), split, on_progress)
    here = found.pixels.shape[1], *found.size, len(found.class_names)
    if here != (facts.channels, facts.side, facts.side, facts.classes):
        raise FormatError(
            f"{folder} is no {facts.title}: it has {here[0]} channels of {here[2]}x{here[1]} pixels and "
            f"{here[3]} classes, expected {facts.channels} of {facts.side}x{facts.side} and {facts.classes}: "
            f"give a folder with {facts.title}, or the name of the set that this is"
        )
    return found


def read_labels(
    folder: str | Path, name: LabelledSetName, split: Split = "train"
) -> Int64[Tensor, " n"] | None:
    """The labels of the images that `read_set` would give, before any but one of these is decoded.

    None where the set's own files lie there, which are read at once.

    Raises:
        FormatError: as `read_set`, as far as names and the first image tell.
    """
    return None if _OWN[name].lie_in(Path(folder)) else _listed(folder, name, split).labels


def list_classes(folder: str | Path) -> tuple[str, ...]:
    """The classes of class folders or of a store, in the order of their labels; no image is decoded.

    Raises:
        FormatError: there are no images, or they have no classes.
    """
    return _list(folder).class_names


@dataclass(frozen=True, eq=False)
class _Listed:
    """The images of class folders or of a store, none of them decoded.

    Attributes:
        folder: they lie in.
        files: relative to the folder; none of a store.
        labels, class_names: see `LabelledSet`.
    """

    folder: Path
    files: tuple[str, ...]
    labels: Int64[Tensor, " n"]
    class_names: tuple[str, ...]


def _listed(folder: str | Path, name: LabelledSetName, split: Split) -> _Listed:
    """The images of a split, where the number of classes and the size of the first are the set's."""
    place, facts = Path(folder, split), SETS[name]
    if not place.is_dir():
        check_file(folder, f"a folder with {facts.title}")
        names = ", ".join(_OWN[name].names(split))
        own = f", nor {facts.title}'s own files, {names}" if names else ""
        raise FormatError(
            f"{folder} has no {split}{own}; {_holding(Path(folder), split)}: give a folder in which {split} "
            "is a folder of class folders or a store" + (", or one with these files" if names else "")
        )
    found = _list(place)
    if found.files:
        height, width = read_image(place / found.files[0]).shape[1:]
        here = width, height, len(found.class_names)
        if here != (facts.side, facts.side, facts.classes):
            raise FormatError(
                f"{folder} is no {facts.title}: {split} has {here[2]} classes, and {found.files[0]} "
                f"{width}x{height} pixels; expected {facts.classes}, and {facts.side}x{facts.side}: give a "
                f"folder with {facts.title}, or the name of the set that this is"
            )
    return found


def _holding(folder: Path, split: Split) -> str:
    """What lies in a folder, in a few words, and whether the folder that it lies in has the split."""
    if not folder.is_dir():
        return "it is a file"
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    folders = [entry.name for entry in entries if entry.is_dir()]
    files = [entry.name for entry in entries if not entry.is_dir()]
    kinds = [_some(names, kind) for names, kind in ((folders, "folder"), (files, "file")) if names]
    above = folder.resolve().parent
    meant = f" (is {above} meant, which has {split}?)" if (above / split).is_dir() else ""
    return f"it holds {' and '.join(kinds) or 'nothing'}{meant}"


def _some(names: Sequence[str], kind: str) -> str:
    """`10 folders: 0, 1, 2, …`."""
    return f"{counted(len(names), kind)}: {', '.join([*names[:3], *['…'] * (len(names) > 3)])}"


def _list(folder: str | Path) -> _Listed:
    if is_store(folder):
        store = open_store(folder)
        found = _Listed(Path(folder), (), store.labels, store.class_names)
    else:
        files = survey(folder).images
        numbers, names = label_by_folder(files)
        found = _Listed(Path(folder), tuple(files), torch.from_numpy(numbers), names)
    if not found.class_names:
        raise FormatError(f"{folder} has no classes: give a folder with a folder for each class")
    return found


def read_class_folders(folder: str | Path, split: Split, on_progress: OnProgress = silent) -> LabelledSet:
    """The images of class folders, all of one size, or those of a store; of one channel where all are grey.

    60,000 small PNG files take half a minute; a store of them, made with `prepare`, is there at once.

    Raises:
        FormatError: it is neither, or one of the files cannot be read.
        ValueError: two images differ in size, or there is no memory for a store.
    """
    return _read_listed(_list(folder), split, on_progress)


def _read_listed(found: _Listed, split: Split, on_progress: OnProgress) -> LabelledSet:
    if not found.files:
        store = open_store(found.folder)
        check_memory(found.folder, store.pixels.shape.numel())
        pixels = store.pixels.load()
    else:
        photographs = read_files(
            [found.folder / file for file in found.files], None, on_progress=on_progress,
            note=folder_name(found.folder),
        )  # fmt: skip
        # Which images are labelled is drawn by number: a set with holes would be another one.
        for _, reason in photographs.skipped:
            raise FormatError(reason)
        pixels = photographs.pixels
    grey = bool((pixels[:, 0] == pixels[:, 1]).all() and (pixels[:, 0] == pixels[:, 2]).all())
    return LabelledSet(pixels[:, :1].clone() if grey else pixels, found.labels, found.class_names, split)
