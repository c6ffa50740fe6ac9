"""The sets that learning with few labels is measured on, by name, wherever a person keeps a copy."""

from dataclasses import dataclass
from pathlib import Path

import torch

from maxtunnel.data.binaries import holds_cifar, holds_stl10, read_cifar, read_stl10
from maxtunnel.data.folders import folder_name, label_by_folder, read_files
from maxtunnel.data.idx import holds_mnist, read_mnist
from maxtunnel.data.labelled import LabelledSet, Split, check_memory
from maxtunnel.data.manifest import is_store
from maxtunnel.data.store import open_store
from maxtunnel.data.survey import survey
from maxtunnel.data.svhn import holds_svhn, read_svhn
from maxtunnel.support.choices import LabelledSetName
from maxtunnel.support.files import FormatError
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
    found = _own_files(Path(folder), name, split) or _pictures(Path(folder), split, on_progress)
    facts = SETS[name]
    here = found.pixels.shape[1], *found.size, len(found.class_names)
    if here != (facts.channels, facts.side, facts.side, facts.classes):
        raise FormatError(
            f"{folder} is no {facts.title}: it has {here[0]} channels of {here[2]}x{here[1]} pixels and "
            f"{here[3]} classes, expected {facts.channels} of {facts.side}x{facts.side} and {facts.classes}"
        )
    return found


def _own_files(folder: Path, name: LabelledSetName, split: Split) -> LabelledSet | None:
    """What the set's own files hold; None where there are none."""
    if name == "mnist":
        return read_mnist(folder, split) if holds_mnist(folder) else None
    if name == "svhn":
        return read_svhn(folder, split) if holds_svhn(folder) else None
    if name == "stl10":
        return read_stl10(folder, split) if holds_stl10(folder) else None
    return read_cifar(folder, name, split) if holds_cifar(folder, name) else None


def _pictures(folder: Path, split: Split, on_progress: OnProgress) -> LabelledSet:
    place = folder / split
    if not place.is_dir():
        raise FormatError(
            f"{folder} has no {split}, nor the set's own files: give a folder in which {split} is a folder "
            "of class folders or a store"
        )
    return read_class_folders(place, split, on_progress)


def read_class_folders(folder: str | Path, split: Split, on_progress: OnProgress = silent) -> LabelledSet:
    """The images of class folders, all of one size, or those of a store; of one channel where all are grey.

    60,000 small PNG files take half a minute; a store of them, made with `prepare`, is there at once.

    Raises:
        FormatError: it is neither, or one of the files cannot be read.
        ValueError: two images differ in size, or there is no memory for a store.
    """
    if is_store(folder):
        store = open_store(folder)
        check_memory(Path(folder), store.pixels.shape.numel())
        pixels, labels, names = store.pixels.load(), store.labels, store.class_names
    else:
        files = survey(folder).images
        numbers, names = label_by_folder(files)
        photographs = read_files(
            [Path(folder, file) for file in files], None, on_progress=on_progress, note=folder_name(folder)
        )
        # Which images are labelled is drawn by number: a set with holes would be another one.
        for _, reason in photographs.skipped:
            raise FormatError(reason)
        pixels, labels = photographs.pixels, torch.from_numpy(numbers)
    if not names:
        raise FormatError(f"{folder} has no classes: give a folder with a folder for each class")
    grey = bool((pixels[:, 0] == pixels[:, 1]).all() and (pixels[:, 0] == pixels[:, 2]).all())
    return LabelledSet(pixels[:, :1].clone() if grey else pixels, labels, names, split)
