"""Names to networks: what ships, saved files, run folders and published snapshots."""

import logging
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor

from maxtunnel.data import is_store, open_store
from maxtunnel.data.folders import read_folder
from maxtunnel.data.mean import mean_image
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.checkpoint import hash_encoder, hash_tensors, read_header
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.models.dense_file import DENSE
from maxtunnel.models.provenance import EncoderKind
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import DecoderKind, Resize, VggInputs, meant
from maxtunnel.support.files import FormatError, check_file
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.zoo.caffe import load_caffemodel, read_caffemodel
from maxtunnel.zoo.dense_files import find_published, shipped_dense
from maxtunnel.zoo.foreign import refuse_foreign, refuse_missing
from maxtunnel.zoo.vgg import load_vgg

WEIGHTS = Path(__file__).with_name("weights")
SHIPPED = "the name of a network that ships (maxtunnel models lists them)"  # ends what is expected


def shipped() -> list[str]:
    """Names of the networks that ship with the package, fewest switches first, as in Table II."""
    names = sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))
    shapes = {name: shipped_architecture(name) for name in names}
    return sorted(names, key=lambda name: (shapes[name].bits_per_pixel(), -shapes[name].widths[0]))


def shipped_architecture(name: str) -> Architecture:
    """The architecture of a shipped network, as its file says: names leave out what is special about blocks.

    They are filters per block and, where the encoder is no random one, how it was made: `8-8-8`,
    `8-8-8-pretrained`, both with `-strong` behind it where the decoder is; `8-8-8-learned`, whose decoder is
    strong.
    """
    return _architecture(WEIGHTS / f"{name}.safetensors")


@cache
def _architecture(path: Path) -> Architecture:
    return read_header(path).architecture


def load(model: str | Path, mean: Float[Tensor, "3 h w"] | None = None) -> TunnelNetwork:
    """The network that `model` names.

    Args:
        model: a shipped name (`16-16-16`), a saved file, a run folder, or a `.caffemodel`.
        mean: the mean image to use with a `.caffemodel`, which carries none; by default ImageNet's channel
            means, which costs 5 to 9 % in RMSE.

    Raises:
        FormatError: there is no such model, its file is damaged, or it is another program's: never unpickled,
            and named for what it is.
        ValueError: a mean is given for a network that carries its own.
    """
    path = Path(model)
    if str(model) in shipped_dense() or (path.is_file() and DENSE.holds(path)):
        raise FormatError(
            f"{model} answers for every pixel, for `contours` or `segment`: expected one that rebuilds "
            f"photographs, a network's file, the folder of a run, or {SHIPPED}"
        )
    if str(model) not in shipped():
        refuse_missing(model, f"a network's file, the folder of a run, or {SHIPPED}")
        if path.is_file():
            refuse_foreign(path)
    if path.suffix == ".caffemodel":
        network = load_caffemodel(path, mean)
        if mean is None:
            _warn_of_channel_means(path)
        return network
    if mean is not None:
        raise ValueError(f"{model} carries its own mean image: `mean` is for .caffemodel files alone")
    if str(model) in shipped():
        return TunnelNetwork.load(WEIGHTS / f"{model}.safetensors")
    if path.is_dir():
        path = path / "model.safetensors"
        if path.is_file():
            refuse_foreign(path)
        elif str(model):
            raise FormatError(
                f"{model} is a folder without model.safetensors: give the folder of a run, or a file"
            )
    if not path.exists():
        raise FormatError(
            f"no model {str(model)!r}{meant(str(model), shipped())}: there is no such file or run folder; "
            f"give one, or {SHIPPED}"
        )
    return TunnelNetwork.load(path)


def load_decoder(model: str | Path, mean: Float[Tensor, "3 h w"] | None = None) -> TunnelNetwork:
    """The network that `model` names, as `load` gives it, for pictures that its decoder is to make.

    Raises:
        ValueError: nobody has trained the decoder.
    """
    network = load(model, mean)
    if network.untrained:
        raise ValueError(untrained(str(model), network.architecture))
    return network


def untrained(model: str, architecture: Architecture, file: str | None = None) -> str:
    """That the decoder of `model` is untrained, and how to train one; `file`, if given, names its file."""
    return (
        f"the decoder of {model} is untrained, as its encoder came alone: train one with "
        f"maxtunnel train {architecture} --encoder {file or model}"
    )


def _warn_of_channel_means(path: Path) -> None:
    logging.getLogger("maxtunnel").warning(
        "%s carries no mean image: ImageNet's channel means take its place, which costs 5-9 %% in RMSE; "
        "store one with it: maxtunnel import FILE OUT --mean FOLDER",
        path,
    )


@dataclass(frozen=True)
class Shipped:
    """What is known of a network in the package; stored bits as measured when it was trained.

    `encoder` says how that came about, and `decoder` is one of the two kinds.
    """

    name: str
    architecture: Architecture
    encoder: EncoderKind
    decoder: DecoderKind
    parameters: int
    file_bytes: int
    bits_per_pixel: float
    stored_bits_per_pixel: float | None
    rmse: float
    measured_on: str


def list_shipped() -> list[Shipped]:
    """The networks in the package, from their files' headers: both kinds of decoder."""
    return [_describe(name) for name in shipped()]


def _describe(name: str) -> Shipped:
    path = WEIGHTS / f"{name}.safetensors"
    header = read_header(path)
    training = header.provenance.training
    if training is None or training.rmse is None:
        raise FormatError(f"{path} does not say what it reached: train it with val photographs")
    return Shipped(
        name=name,
        architecture=header.architecture,
        encoder=header.provenance.encoder,
        decoder="mirrored" if header.strong_width is None else "strong",
        parameters=sum(math.prod(shape) for key, shape in header.shapes.items() if key != "mean"),
        file_bytes=path.stat().st_size,
        bits_per_pixel=header.architecture.bits_per_pixel(),
        stored_bits_per_pixel=training.stored_bits_per_pixel,
        rmse=training.rmse,
        measured_on=f"{training.val_images:,} photographs of {training.val}, stored bits on "
        f"{training.bits_images:,} of them",
    )


def find_shipped(identity: bytes) -> str | None:
    """Name of the shipped network with this `TunnelNetwork.identity`, or None.

    A strong decoder shares its encoder with the paper's, which comes first in `shipped` and is the one named.
    """
    return next((name for name in shipped() if _identity(name) == identity), None)


@cache
def _encoder_hash(name: str) -> str:
    """`TunnelNetwork.encoder_hash` of a shipped network; only the encoder is read of its file."""
    with safe_open(WEIGHTS / f"{name}.safetensors", framework="pt") as file:
        names = [key for key in file.keys() if key.startswith("encoder.")]  # noqa: SIM118
        return hash_tensors({key.removeprefix("encoder."): file.get_tensor(key) for key in names})


@cache
def _identity(name: str) -> bytes:
    with safe_open(WEIGHTS / f"{name}.safetensors", framework="pt") as file:
        scale = float(file.metadata()["scale"])
        return hash_encoder(_encoder_hash(name), file.get_tensor("mean"), scale, shipped_architecture(name))


def architecture_of(name: str) -> Architecture:
    """The architecture that `name` writes out, or that the model of this name has."""
    try:
        return Architecture.parse(name)
    except ValueError as error:
        refuse_missing(name, f"filters per block, such as 16-16-16, a network's file, or {SHIPPED}")
        if not (Path(name).exists() or name in shipped()):
            raise ValueError(f"{error}; nor is it a model") from None
        return load(name).architecture


def read_mean(
    source: Path, size: int, resize: Resize = "bilinear", on_progress: OnProgress = silent
) -> Float[Tensor, "3 h w"]:
    """The mean image of a folder's photographs, of a store, or the one in a .npy file.

    Raises:
        FormatError: neither, or an array that is no (3, h, w) RGB image in [0, 1].
    """
    if is_store(source):
        return open_store(source).mean
    if source.suffix != ".npy":
        return mean_image(read_folder(source, size, resize, on_progress=on_progress).pixels)
    try:
        array = np.load(source, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) else "it is damaged, of another kind, or pickled"
        )
        raise FormatError(f"{source} cannot be read as a .npy array: {reason}") from None
    if array.ndim != 3 or array.shape[0] != 3 or 0 in array.shape or array.dtype.kind != "f":
        raise FormatError(f"{source} is {array.dtype} {array.shape}: expected floats of shape (3, h, w)")
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
        raise FormatError(f"{source} goes from {array.min():g} to {array.max():g}: expected RGB in [0, 1]")
    return torch.from_numpy(array.astype(np.float32))


def import_network(
    source: Path,
    target: Path,
    mean: Path | None = None,
    inputs: VggInputs | None = None,
    size: int = 128,
    on_progress: OnProgress = silent,
) -> TunnelNetwork | DenseNetwork:
    """Store a network of another program as a file of ours.

    Args:
        source: a snapshot of the paper's authors, a `.caffemodel` of SegNet, DeconvNet or CEDN, or a file
            with a VGG, whose encoder alone is taken (`zoo.vgg`).
        target: the file of ours.
        mean: for a snapshot, where its mean image comes from.
        inputs: for a VGG, what it was given.
        size: of the mean image, where it is that of photographs.
        on_progress: told how many photographs are read.

    Raises:
        ValueError: `target` has another suffix, or an option is for the other kind of file.
        FormatError: `source` is neither, or damaged.
    """
    if target.suffix != ".safetensors":
        raise ValueError(f"`target` is {target}, which is to hold a network: name it .safetensors")
    check_file(source, "a .caffemodel, or a file with a VGG")
    dense = _published(source)
    if dense is not None:
        if inputs is not None or mean is not None:
            name = "inputs" if inputs is not None else "mean"
            raise ValueError(f"`{name}` is for other networks: {source} answers for every pixel")
        dense.save(target)
        return dense
    snapshot = source.suffix == ".caffemodel" and any(
        name.startswith("deconv") for name in read_caffemodel(source)
    )
    if snapshot and inputs is not None:
        raise ValueError(f"`inputs` is for a VGG: {source} is a snapshot, which takes grey levels")
    if not snapshot and mean is not None:
        raise ValueError(f"`mean` is for a snapshot of the paper's authors: {source} is none (`inputs`)")
    if snapshot:
        network = load(source, None if mean is None else read_mean(mean, size, on_progress=on_progress))
    else:
        network = load_vgg(source, inputs)
    network.save(target)
    return network


def _published(source: Path) -> DenseNetwork | None:
    """A published network that answers for every pixel; None for any other, or what cannot be read as one."""
    if source.suffix != ".caffemodel":
        return None
    try:
        return find_published(source)
    except FormatError:
        # Layers of another kind: what else the file is, its own reader says.
        return None
