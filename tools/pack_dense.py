"""Packs a set with an answer for every pixel into one small file, for `tools/train_dense.py`.

    python tools/pack_dense.py camvid CamVid camvid.zip
    python tools/pack_dense.py horses weizmann horses.zip
    python tools/pack_dense.py bsds BSDS500/data bsds.zip

Photographs go in as JPEG at --size pixels (240x180, of BSDS500 240x160), labels as PNG: about 20 KB an image.
CamVid has its published `train` and `test`; every third of the horses, who have no such parts, is `test`; of
BSDS500 train and val are `train`, with what at least half of the annotators drew, and there is no `test`: its
contours are to be measured at their own size.
"""

import argparse
import io
import json
import zipfile
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from maxtunnel.data.bsds import read_bsds
from maxtunnel.data.camvid import read_camvid
from maxtunnel.data.dense import UNCOUNTED, DenseSet, load_contours, resize_labels
from maxtunnel.data.horses import read_horses
from maxtunnel.data.images import resize

SIZES = {"camvid": "240x180", "horses": "240x180", "bsds": "240x160"}
QUALITY = 92


def main(arguments: list[str] | None = None) -> None:
    """Write the file that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=SIZES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", help="WIDTHxHEIGHT in pixels")
    parser.add_argument("--most", type=int, help="images of each part, the first ones; by default all")
    asked = parser.parse_args(arguments)
    width, height = map(int, (asked.size or SIZES[asked.set]).split("x"))
    names: tuple[str, ...] = ()
    counts: dict[str, int] = {}
    with zipfile.ZipFile(asked.out, "w") as archive:
        for part, dense in parts(asked.set, asked.folder):
            start = counts.get(part, 0)
            dense, names = dense.part(range(min(len(dense), asked.most or len(dense)))), dense.class_names
            for number in range(len(dense)):
                image, mask = pair(asked.set, dense, number, (height, width))
                archive.writestr(f"{part}/{start + number:04d}.jpg", encoded(image, "JPEG"))
                archive.writestr(f"{part}/{start + number:04d}.png", encoded(mask[None], "PNG"))
            counts[part] = start + len(dense)
        archive.writestr("set.json", json.dumps({"name": asked.set, "class_names": names}))
    print(f"{asked.out}: {counts}, {asked.out.stat().st_size / 1e6:.1f} MB")


def parts(name: str, folder: Path) -> list[tuple[str, DenseSet]]:
    """The splits of a set, and the part that each goes to."""
    if name == "camvid":
        return [(split, read_camvid(folder, split)) for split in ("train", "test")]
    if name == "bsds":
        return [("train", read_bsds(folder, split)) for split in ("train", "val")]
    horses = read_horses(folder / "rgb", folder / "figure_ground")
    numbers = range(len(horses))
    return [
        ("train", horses.part([number for number in numbers if number % 3 != 1])),
        ("test", horses.part(numbers[1::3])),
    ]


def pair(name: str, dense: DenseSet, number: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Image and labels of one, at the size; 255 is what does not count."""
    if name == "bsds":
        images, masks = load_contours(dense.part([number]), size)
        return images[0], masks[0]
    mask = resize_labels(dense.labels(number)[:1], size)[0]
    mask = mask if dense.void is None else torch.where(mask == dense.void, UNCOUNTED, mask)
    return resize(dense.image(number), size, "antialias"), mask


def encoded(planes: Tensor, kind: str) -> bytes:
    """The bytes of an image file."""
    file, array = io.BytesIO(), planes.permute(1, 2, 0).contiguous().numpy()
    picture = Image.fromarray(array if len(planes) == 3 else array[..., 0])
    picture.save(file, kind, **({"quality": QUALITY, "subsampling": 0} if kind == "JPEG" else {}))
    return file.getvalue()


if __name__ == "__main__":
    main()
