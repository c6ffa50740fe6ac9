"""The images of `study transplant`: people held apart, and pairs of images that trade their switches.

A folder is a person, or a class of photographs. Every third folder is tested on, and no image of it trained
on. Where files are called as in the Extended Yale Face Database B, such as `yaleB01_P00A+035E+40.pgm`, the
name says where the light comes from: an azimuth of 35 degrees, and 40 above the camera.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxtunnel.data.folders import evenly_spaced, folder_name, label_by_folder, list_names, read_files
from maxtunnel.studies.transplant_config import Settings
from maxtunnel.support.files import FormatError
from maxtunnel.support.progress import OnProgress, silent

# What two images of a pair have in common; `flip` is one image and its own mirror image.
Common = Literal["folder", "light", "nothing", "flip"]
# Where lights are not known, each image counts as in one of its own.
_PARTNERS: dict[Common, str] = {
    "folder": "another image of its folder, in another light where lights are known",
    "light": "one of another folder in the same light",
    "nothing": "one of another folder, in another light where lights are known",
}
_LIGHT = re.compile(r"_P\d\dA([+-]\d{3}E[+-]\d{2})\.[^./]+$")
_EVERY = 3  # every third folder is tested on
_FEWEST = 6  # folders, so that two are tested on
# From one light to another, as file names write them: what is edited.
EDITS = (
    ("+000E+00", "+050E+00"),
    ("+000E+00", "-050E+00"),
    ("+000E+00", "+000E+45"),
    ("+050E+00", "-050E+00"),
)


@dataclass(frozen=True, eq=False)
class Faces:
    """Images of some folders.

    Attributes:
        pixels: grey images have one channel.
        folders: the number of each one's folder.
        lights: where the light of each comes from; empty where names do not say it.
    """

    pixels: UInt8[Tensor, "n c s s"]
    folders: Int64[Tensor, " n"]
    lights: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pixels)

    def part(self, chosen: Sequence[int]) -> "Faces":
        """Some of the images."""
        numbers = torch.tensor(chosen, dtype=torch.long)
        lights = tuple(self.lights[number] for number in chosen) if self.lights else ()
        return Faces(self.pixels[numbers], self.folders[numbers], lights)

    def under(self, light: str) -> dict[int, int]:
        """The number of the image under a light, by the folder."""
        return {
            folder: number
            for number, (folder, found) in enumerate(zip(self.folders.tolist(), self.lights, strict=False))
            if found == light
        }


@dataclass(frozen=True, eq=False)
class Parts:
    """The images of a study.

    Attributes:
        trained: what networks are trained on.
        tested: images of other folders.
        ignored: files that are images but of no known light, where others' lights are known.
    """

    trained: Faces
    tested: Faces
    ignored: int


@dataclass(frozen=True, eq=False)
class Pairs:
    """Images whose features are taken, and as many whose switches are.

    Attributes:
        what: pixels of the former.
        where: pixels of the latter.
    """

    what: UInt8[Tensor, "n c s s"]
    where: UInt8[Tensor, "n c s s"]


def light_of(name: str) -> str:
    """Where the light comes from by a file's name: `+035E+40`; empty where the name does not say it."""
    found = _LIGHT.search(name)
    return found[1] if found else ""


def read_parts(data: str | Path, settings: Settings, on_progress: OnProgress = silent) -> Parts:
    """The images of a folder of folders, every third of which is tested on.

    Where at least half of the names say where the light comes from, the other images are left out.

    Raises:
        FormatError: there are fewer than six folders, one has but one image, or a file cannot be read.
    """
    names = list_names(data)
    lit = [name for name in names if light_of(name)]
    kept = lit if 2 * len(lit) >= len(names) else names
    labels, folders = label_by_folder(kept)
    if len(folders) < _FEWEST:
        raise FormatError(
            f"{data} has images in {len(folders)} folders: give a folder with at least {_FEWEST}, one for "
            "each person"
        )
    chosen: list[int] = []
    for number, folder in enumerate(folders):
        members = (labels == number).nonzero()[0].tolist()
        if len(members) < 2:
            raise FormatError(f"{data}: {folder} has 1 image: expected at least 2, to pair them")
        chosen += _some(members, kept, settings.each)
    files = [Path(data, kept[number]) for number in chosen]
    found = read_files(files, settings.side, "antialias", None, on_progress, folder_name(data))
    if found.skipped:
        raise FormatError(f"{found.skipped[0][1]}; {len(found.skipped)} files of {data} cannot be read")
    lights = tuple(light_of(kept[number]) for number in chosen) if kept is lit else ()
    faces = Faces(_grey(found.pixels), torch.from_numpy(labels[chosen]), lights)
    tested = (faces.folders % _EVERY == _EVERY - 1).tolist()
    return Parts(
        faces.part([number for number, apart in enumerate(tested) if not apart]),
        faces.part([number for number, apart in enumerate(tested) if apart]),
        len(names) - len(kept),
    )


def _some(members: Sequence[int], names: Sequence[str], each: int | None) -> list[int]:
    """At most so many of a folder's images: those that are edited, and of the others evenly spaced ones."""
    edited = {light for edit in EDITS for light in edit}
    first = [number for number in members if light_of(names[number]) in edited][:each]
    others = [number for number in members if number not in first]
    room = len(others) if each is None else each - len(first)
    return sorted(first + [others[place] for place in evenly_spaced(len(others), room or None)[:room]])


def _grey(pixels: UInt8[Tensor, "n 3 s s"]) -> Tensor:
    """One channel where all three are the same."""
    same = bool((pixels[:, :1] == pixels[:, 1:]).all())
    return pixels[:, :1].clone() if same else pixels


def fingerprint(parts: Parts) -> str:
    """16 hexadecimal digits that name the images, their folders and lights, in their order."""
    digest = hashlib.sha256()
    for faces in (parts.trained, parts.tested):
        for tensor in (faces.pixels, faces.folders):
            digest.update(tensor.contiguous().numpy().data)
        digest.update(" ".join(faces.lights).encode())
    return digest.hexdigest()[:16]


def commons(faces: Faces) -> tuple[Common, ...]:
    """Which pairs there are: those of one light only where lights are known."""
    return ("folder", "light", "nothing", "flip") if faces.lights else ("folder", "nothing", "flip")


def draw_pairs(faces: Faces, common: Common, count: int) -> Pairs:
    """Pairs of images, the same ones for every network.

    The first images are of one folder after the other, and none is twice the first: pairs that share it are
    not two. A pair of one folder has two lights where lights are known; one with nothing in common has too.

    Args:
        faces: to draw from.
        common: what both images of a pair have in common.
        count: how many pairs, or as many as there are images where these are fewer.

    Raises:
        ValueError: an image has no partner.
    """
    generator = torch.Generator().manual_seed(0)
    first = _in_turn(faces, count, generator)
    if common == "flip":
        whole = faces.pixels[first]
        return Pairs(whole.flip(-1), whole)
    lights = list(dict.fromkeys(faces.lights))
    light = torch.tensor([lights.index(each) for each in faces.lights] or range(len(faces)))
    second = []
    for number in first:
        same_folder, same_light = faces.folders == faces.folders[number], light == light[number]
        fits = {
            "folder": same_folder & ~same_light,
            "light": ~same_folder & same_light,
            "nothing": ~same_folder & ~same_light,
        }[common]
        others = fits.nonzero()[:, 0]
        if not len(others):
            raise ValueError(
                f"an image of folder {int(faces.folders[number]) + 1}, by name, has no partner: expected "
                f"{_PARTNERS[common]}; give more images"
            )
        second.append(int(others[int(torch.randint(len(others), (), generator=generator))]))
    return Pairs(faces.pixels[first], faces.pixels[second])


def _in_turn(faces: Faces, count: int, generator: torch.Generator) -> list[int]:
    """Numbers of images, none twice, of one folder after the other, in an order of each folder's own."""
    orders = []
    for folder in faces.folders.unique().tolist():
        members = (faces.folders == folder).nonzero()[:, 0]
        orders.append(members[torch.randperm(len(members), generator=generator)].tolist())
    return [number for turn in zip_longest(*orders) for number in turn if number is not None][:count]
