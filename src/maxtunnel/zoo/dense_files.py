"""Names to networks that answer for every pixel: what ships, our files, and published ones of Caffe."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from maxtunnel.models.cedn import cedn
from maxtunnel.models.deconvnet import deconvnet
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.models.dense_file import DENSE
from maxtunnel.models.segnet import segnet, segnet_basic
from maxtunnel.support.choices import OUTLINES, STREETS, meant
from maxtunnel.support.files import FormatError, check_file
from maxtunnel.zoo.dense import read_convolutions, take_caffemodel
from maxtunnel.zoo.foreign import refuse_foreign, refuse_missing

WEIGHTS = Path(__file__).with_name("dense_weights")
_KINDS: tuple[Callable[[int, int, int], DenseNetwork], ...] = (
    lambda classes, width, side: segnet(classes, width),
    lambda classes, width, side: segnet_basic(classes, width),
    lambda classes, width, side: deconvnet(classes, width, side=side),
    lambda classes, width, side: cedn(width, side=side),
)
_EXPECTED = (
    "the file of a network that answers for every pixel, such as `study` keeps in runs, a .caffemodel of "
    f"SegNet, DeconvNet or CEDN, or {STREETS} or {OUTLINES}, which ship"
)
_VGG = 13  # convolutions


def shipped_dense() -> list[str]:
    """Names of the networks that ship with the package."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def shipped_file(name: str) -> Path:
    """The file of a network that ships."""
    return WEIGHTS / f"{name}.safetensors"


@dataclass(frozen=True)
class ShippedDense:
    """What is known of a network in the package.

    Attributes:
        name: what it is called wherever such a network is asked for.
        classes: its answers a pixel; 1 for the strength of a contour.
        parameters: how many.
        file_bytes: of its file.
        about: see `DenseNetwork`.
    """

    name: str
    classes: int
    parameters: int
    file_bytes: int
    about: str


def list_shipped_dense() -> list[ShippedDense]:
    """The networks in the package."""
    return [_describe(name) for name in shipped_dense()]


def _describe(name: str) -> ShippedDense:
    path = shipped_file(name)
    network = DenseNetwork.load(path)
    parameters = sum(each.numel() for each in network.parameters())
    return ShippedDense(name, network.shape.classes, parameters, path.stat().st_size, network.about)


def load_dense(model: str | Path) -> DenseNetwork:
    """The network that `model` names: one that ships, a file of `DenseNetwork.save`, or a `.caffemodel`.

    Of a `.caffemodel` the shapes of its convolutions say whether it is SegNet, SegNet-Basic, DeconvNet or
    CEDN, how wide, and of how many classes.

    Raises:
        FormatError: there is no such file, it is damaged, or of another kind.
    """
    path = Path(model)
    if str(model) in shipped_dense():
        return DenseNetwork.load(shipped_file(str(model)))
    refuse_missing(model, _EXPECTED)
    if not path.exists() and WEIGHTS.with_name("weights").joinpath(f"{model}.safetensors").is_file():
        raise FormatError(f"{model} rebuilds photographs, for `reconstruct`: expected {_EXPECTED}")
    if not path.exists():
        raise FormatError(
            f"no network {str(model)!r}{meant(str(model), shipped_dense())}: there is no such file; give "
            f"{_EXPECTED}"
        )
    check_file(path, _EXPECTED)
    if path.is_dir():
        raise FormatError(f"{model} is a folder: expected {_EXPECTED}")
    if path.suffix == ".caffemodel":
        network = find_published(path)
        if network is None:
            raise FormatError(
                f"{path} has other layers than SegNet, SegNet-Basic, DeconvNet and CEDN have, of whatever "
                "width: give a file of one of these"
            )
        return network
    if DENSE.holds(path):
        return DenseNetwork.load(path)
    refuse_foreign(path)
    raise FormatError(
        f"{path} is no network that answers for every pixel: give one that `study segmentation` or `study "
        "contours` trained; those that rebuild photographs are for `reconstruct`"
    )


def find_published(path: str | Path) -> DenseNetwork | None:
    """SegNet, SegNet-Basic, DeconvNet or CEDN with the weights of a `.caffemodel`; None where it is none.

    Raises:
        FormatError: the file is damaged, or has layers that none of them has.
    """
    found = read_convolutions(path)
    if not found:
        return None
    classes, width = len(found[-1].bias), len(found[0].bias)
    # Behind VGG's thirteen stands the one layer of DeconvNet and CEDN whose side may be another.
    sizes = classes, width, found[_VGG].weight.shape[-1] if len(found) > _VGG else 1
    for make in _KINDS:
        if _shapes(make, *sizes) == [tuple(each.weight.shape) for each in found]:
            return take_caffemodel(make(*sizes), path)
    return None


def _shapes(
    make: Callable[[int, int, int], DenseNetwork], classes: int, width: int, side: int
) -> list[tuple[int, ...]]:
    """Of the weights of a kind's layers; none where there is no network of these sizes."""
    try:
        # Nothing is allocated for a network that the file may not be of.
        with torch.device("meta"):
            return [tuple(layer.weight.shape) for layer in make(classes, width, side).layers]
    except ValueError:
        return []
