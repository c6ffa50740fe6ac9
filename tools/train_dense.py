"""Trains networks that answer for every pixel, in one process, from files that `tools/pack_dense.py` packed.

    python tools/train_dense.py OUT camvid.zip horses.zip bsds.zip --minutes 1

Of each file a network of every kind (`studies.dense_conditions`): with known switches, fixed ones, bilinear
upsampling, and decoders of switches alone, on the first one's encoder and on an untrained one. Each goes to
OUT/SET.tar as it ends, in half precision, and what it reached is printed and written to OUT/reached.txt. An
archive has at most 16 MiB; SET-2.tar goes on. What is in an archive already is not trained again.

SegNet's layers for classes, CEDN's with batches normalised for contours (`studies.contours_networks`).
"""

import argparse
import copy
import io
import json
import tarfile
import tempfile
import time
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from train_rows import Box

from maxtunnel.data.dense import UNCOUNTED, balance_classes
from maxtunnel.evaluation.segmentation import count_pixels, score
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.models.dense_shape import VGG_MEAN
from maxtunnel.models.segnet import segnet
from maxtunnel.studies.contours_networks import narrow
from maxtunnel.studies.dense_conditions import ALONE, UNPOOLINGS, Trained
from maxtunnel.training.dense import DenseData, train_dense
from maxtunnel.training.loop import Fit
from maxtunnel.training.recipes import DENSE_FAST

DEVIATION = 58.0  # of photographs, in grey levels
PIECE = 32
KINDS: tuple[Trained, ...] = get_args(Trained)
WIDTHS = {"camvid": 16, "horses": 16, "bsds": 12}  # below 4 MB in half precision


@dataclass(frozen=True, eq=False)
class Packed:
    """A set as it was packed: its name, its classes, and images and masks of each part."""

    name: str
    class_names: tuple[str, ...]
    parts: dict[str, tuple[Tensor, Tensor]]

    @classmethod
    def read(cls, path: Path) -> "Packed":
        """The set of a file."""
        with zipfile.ZipFile(path) as archive:
            found = json.loads(archive.read("set.json"))
            names = [name for name in archive.namelist() if name.endswith(".jpg")]
            parts = {}
            for part in dict.fromkeys(name.split("/")[0] for name in names):
                mine = [name for name in names if name.startswith(f"{part}/")]
                images = torch.stack([_pixels(archive.read(name)).permute(2, 0, 1) for name in mine])
                masks = torch.stack([_pixels(archive.read(f"{name[:-4]}.png")) for name in mine])
                parts[part] = images, masks
        return cls(found["name"], tuple(found["class_names"]), parts)


def main(arguments: list[str] | None = None) -> None:
    """Train all that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the archives")
    parser.add_argument("sets", type=Path, nargs="+", help="files of tools/pack_dense.py")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of networks")
    parser.add_argument("--seeds", default="0", help="of networks of each kind")
    parser.add_argument("--minutes", type=float, help="of each network; by default --steps count")
    parser.add_argument("--steps", type=int, default=DENSE_FAST.steps, help="of each network")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=DENSE_FAST.learning_rate)
    parser.add_argument("--width", type=int, help="filters of the first stage; by default 16, of BSDS500 12")
    parser.add_argument("--zoom", type=float, default=1.5, help="most by which images are enlarged")
    asked = parser.parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    # In order of use, so that time that runs out costs the last seeds.
    for seed in map(int, asked.seeds.split(",")):
        for path in asked.sets:
            train_set(Packed.read(path), seed, asked)


def train_set(packed: Packed, seed: int, asked: argparse.Namespace) -> None:
    """Train the networks of a set with one seed, but for those that are there."""
    there = kept(asked.out, packed.name)
    box = Box(asked.out, packed.name)
    with tempfile.TemporaryDirectory() as work:
        for name, data in there.items():
            Path(work, name).write_bytes(data)
            box.add(Path(work, name))
        for kind in asked.kinds:
            file = Path(work, f"{packed.name}-{kind}-{seed}.safetensors")
            if file.name in there:
                continue
            network = draw(packed, kind, seed, asked)
            if kind == "alone":
                first = DenseNetwork.load(Path(work, f"{packed.name}-switches-{seed}.safetensors"))
                network.encoder = copy.deepcopy(first.encoder)
            began = time.monotonic()
            done = train(network, packed, kind, seed, asked)
            network.cpu().save(file, half=True)
            box.add(file)
            line = f"{file.stem}: {reached(file, packed, kind, done)}, {time.monotonic() - began:.1f} s"
            print(line, flush=True)
            with open(asked.out / "reached.txt", "a", encoding="utf-8") as log:
                log.write(line + "\n")


def kept(out: Path, name: str) -> dict[str, bytes]:
    """The files in the archives of a set that are there."""
    found = {}
    for path in sorted(out.glob(f"{name}*.tar")):
        with tarfile.open(path) as archive:
            for member in archive.getmembers():
                file = archive.extractfile(member)
                assert file is not None
                found[member.name] = file.read()
    return found


def draw(packed: Packed, kind: Trained, seed: int, asked: argparse.Namespace) -> DenseNetwork:
    """The untrained network of a kind."""
    width, unpooling = asked.width or WIDTHS[packed.name], UNPOOLINGS[kind]
    if packed.name == "bsds":
        return narrow(width, unpooling, seed)
    return segnet(len(packed.class_names), width, unpooling, seed).with_inputs(VGG_MEAN, DEVIATION)


def train(network: DenseNetwork, packed: Packed, kind: Trained, seed: int, asked: argparse.Namespace) -> Fit:
    """Train one, on pieces of images that are mirrored and enlarged."""
    images, masks = packed.parts["train"]
    # Pieces of a fixed size, as large as an image that is not enlarged.
    zoom = (1.0, asked.zoom)
    data = DenseData(images, masks, crop=(images.shape[2], images.shape[3]), zoom=zoom)
    weights = None
    if packed.name == "camvid":
        weights = balance_classes(masks, len(packed.class_names))
    recipe = replace(DENSE_FAST, steps=asked.steps, batch=asked.batch, learning_rate=asked.rate)
    return train_dense(
        network, data, recipe, seed=seed, weights=weights, what=kind not in ALONE,
        seconds=None if asked.minutes is None else 60 * asked.minutes, name=f"{packed.name} {kind}",
    )  # fmt: skip


def reached(file: Path, packed: Packed, kind: Trained, done: Fit) -> str:
    """What the network of a file says of the images that it was not trained on."""
    told = f"{done.steps} steps, while training {done.curve[-1][1]:.4f}"
    if "test" not in packed.parts:
        return told
    network, (images, masks) = DenseNetwork.load(file), packed.parts["test"]
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    classes, device = len(packed.class_names), network.mean.device
    found = torch.cat(
        [
            network.answer(piece.to(device).float() / 255, what=kind not in ALONE).argmax(1).cpu()
            for piece in images.split(PIECE)
        ]
    )
    whole = score(count_pixels(found, masks, classes, UNCOUNTED))
    low, high = whole.iou_interval
    return (
        f"{told}; test: global {whole.global_accuracy:.4f}, classes {whole.class_accuracy:.4f}, "
        f"mean IoU {whole.mean_iou:.4f} ({low:.4f} to {high:.4f})"
    )


def _pixels(data: bytes) -> Tensor:
    return torch.from_numpy(np.array(Image.open(io.BytesIO(data))))


if __name__ == "__main__":
    main()
