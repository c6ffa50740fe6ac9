"""The networks of the page: an encoder, the paper's decoder and a strong one each, as ONNX files."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from maxtunnel.codec.arithmetic import squash_table
from maxtunnel.codec.prior import PRIORS, prior_of_encoder
from maxtunnel.export.networks import export_network
from maxtunnel.models import tiling
from maxtunnel.models.checkpoint import hash_tensors
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import Part
from maxtunnel.support.records import Json
from maxtunnel.zoo.names import list_shipped, load, shipped

FOLDER = "networks"


def check_names(names: Sequence[str]) -> None:
    """Refuse what are no names of networks that ship with the paper's decoder.

    Raises:
        ValueError: a name of none of these, or none at all.
    """
    allowed = [entry.name for entry in list_shipped() if entry.decoder == "mirrored"]
    for name in names:
        if name not in allowed:
            raise ValueError(f"`models` has {name!r}: expected some of {', '.join(allowed)}")
    if not names:
        raise ValueError("`models` names none: the page needs one network at least")


def export_parts(names: Sequence[str], out: Path) -> list[dict[str, Json]]:
    """Write the parts of networks that ship into a folder, and say what they are.

    Args:
        names: of networks with the paper's decoder (`check_names`); where one with a strong decoder ships
            beside it, that is taken too.
        out: of the page.
    """
    return [_network(name, out) for name in dict.fromkeys(names)]


def _network(name: str, out: Path) -> dict[str, Json]:
    network = load(name)
    mean = f"{FOLDER}/mean-{hash_tensors({'mean': network.mean})[:8]}.bin"
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    (out / mean).write_bytes(network.mean.numpy().astype("<f4").tobytes())
    return {
        "name": name,
        "widths": list(network.architecture.widths),
        "multiple": network.architecture.multiple,
        "scale": network.scale,
        "identity": network.identity().hex(),
        "prior": _prior(name, network, out),
        "mean": {"file": mean, "height": network.mean.shape[-2], "width": network.mean.shape[-1]},
        "encoder": _part(name, network, "encoder", out),
        "decoders": dict(_decoders(name, network, out)),
    }


def _prior(name: str, network: TunnelNetwork, out: Path) -> dict[str, Json] | None:
    """The model of a network's switches by which its switch files are small; None where none ships."""
    prior = prior_of_encoder(network.encoder_hash())
    if prior is None:
        return None
    file = f"{FOLDER}/{name}-prior.safetensors"
    shutil.copyfile(PRIORS / f"{name}.safetensors", out / file)
    return {"file": file, "bytes": (out / file).stat().st_size, "identity": prior.identity.hex()}


def write_squash(out: Path) -> str:
    """The table of probabilities of the entropy coder, uint16, as a file; gives its name."""
    file = f"{FOLDER}/squash.bin"
    (out / file).write_bytes(squash_table().astype("<u2").tobytes())
    return file


def _decoders(name: str, network: TunnelNetwork, out: Path) -> Iterator[tuple[str, Json]]:
    """What reads a network's switches, by kind."""
    yield "mirrored", _part(name, network, "decoder", out)
    if f"{name}-strong" in shipped():
        strong = load(f"{name}-strong")
        yield "strong", _part(f"{name}-strong", strong, "decoder", out)


def _part(name: str, network: TunnelNetwork, part: Part, out: Path) -> dict[str, Json]:
    file = f"{FOLDER}/{name}-{part}.onnx"
    # Of strong decoders the package itself keeps no more than half precision.
    half = part == "decoder" and network.decoder_kind == "strong"
    export_network(network, out / file, part, half, pieces=True, name=name)
    encoder, decoder = part == "encoder", part == "decoder"
    training = network.provenance.training
    return {
        "file": file,
        "bytes": (out / file).stat().st_size,
        "margin": tiling.reach(network, encoder=encoder, decoder=decoder),
        "rmse": None if training is None or encoder else training.rmse,
    }
