"""Files that people take for a model: not there, or none of ours; named by content, and never unpickled."""

import json
import os
import re
import zipfile
from pathlib import Path

from maxtunnel.support.files import FormatError, check_file

_OWN = "measure a network of your own with maxtunnel audit mymodel.py:build, where build() loads its weights"
_VGG = f"where it is a VGG, maxtunnel import takes its encoder; otherwise {_OWN}"
_UNOPENED = "(it is not unpickled, as that would run its code)"

# The first bytes of files, what those are, and what to do with them.
_STARTS = {
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file, as Keras writes", _VGG),
    b"\x93NUMPY": ("a NumPy array", _OWN),
    b"GGUF": ("a GGUF model", _OWN),
    b"\x89MXT\r\n\x1a\n": ("a file of switches", "maxtunnel decode makes photographs of it"),
    b"\xff\xd8\xff": ("a photograph", "give a model here"),
    b"\x89PNG": ("a photograph", "give a model here"),
    b"\x1f\x8b": ("a gzip archive", "unpack it first"),
}
# In a pickle, the number that torch.save wrote first before it wrote zip archives.
_OLD_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
# What a file of these suffixes should be, where its content does not say.
_SUFFIXES = {
    "a PyTorch file": (".pt", ".pth", ".ckpt", ".bin"),
    "a Keras file": (".h5", ".hdf5", ".keras"),
    "an ONNX model": (".onnx",),
    "a pickle": (".pkl", ".pickle"),
    "NumPy's": (".npz", ".npy"),
    "a TensorFlow model": (".pb", ".tflite"),
    "Python code": (".py",),
}
_LONGEST_HEADER = 100_000_000  # of a safetensors file, as its own library has it
# Of files with networks, ours and others': a name that ends so was meant as a path.
_NAMED_SO = {suffix for suffixes in _SUFFIXES.values() for suffix in suffixes} | {
    ".safetensors", ".caffemodel", ".pt2", ".ts", ".gguf", ".mxt",
}  # fmt: skip


def refuse_missing(model: str | Path, expected: str) -> None:
    """Nothing for what is there, and for what was not meant as a path: a name, or an architecture.

    Every option that takes a file or a name asks here, so that all answer alike.

    Args:
        model: as a person gave it. A separator, or the suffix of a file with a network, makes it a path.
        expected: ends the message.

    Raises:
        FormatError: it was meant as a path, and nothing is there, or the file is empty.
    """
    text = str(model)
    if any(sign in text for sign in {"/", os.sep}) or Path(text).suffix.lower() in _NAMED_SO:
        check_file(model, expected)


def refuse_foreign(path: Path) -> None:
    """Nothing for a file that may be a network of ours or a snapshot.

    Raises:
        FormatError: it is missing, empty or something else; says what, and what to do.
    """
    check_file(path, "a network of maxtunnel")
    with open(path, "rb") as file:
        start = file.read(64)
    found = _by_content(path, start) or _by_suffix(path, start)
    if found:
        kind, advice = found
        raise FormatError(f"{path} is {kind}, not a network of maxtunnel: {advice}")


def _by_content(path: Path, start: bytes) -> tuple[str, str] | None:
    """What a file is and what to do with it; None where its content may be ours or says nothing."""
    # First, as a safetensors file begins with the length of its header: 1,152 are the bytes of a pickle.
    if start[4:9] == b"\0\0\0\0{":
        return _safetensors(path)
    for magic, found in _STARTS.items():
        if start.startswith(magic):
            return found
    if start.startswith(b"PK\x03\x04"):
        return _archive(path)
    if re.match(rb"\x80[\x02-\x05]", start):
        return f"{'a PyTorch file' if _OLD_TORCH in start else 'a Python pickle'} {_UNOPENED}", _VGG
    # A message of ONNX begins with its version and the name of the program that wrote it.
    if re.match(rb"\x08[\x01-\x1f]\x12[\x01-\x7f][ -~]", start):
        return "an ONNX model", _OWN
    if start[4:8] == b"TFL3":
        return "a TensorFlow Lite model", _OWN
    return _safetensors(path) if start[8:9] == b"{" else None


def _archive(path: Path) -> tuple[str, str]:
    """What a zip archive is, from the names in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return "a damaged zip archive, perhaps a PyTorch file", "get it again"
    if any("/code/" in name for name in names):
        return "a TorchScript file", f"measure it with maxtunnel audit {path.with_suffix('.pt').name}"
    if any(name.endswith(("models/model.json", "serialized_exported_program.json")) for name in names):
        return (
            "an exported PyTorch program",
            f"measure it with maxtunnel audit {path.with_suffix('.pt2').name}",
        )
    if any(name.endswith("data.pkl") for name in names):
        return f"a PyTorch file {_UNOPENED}", _VGG
    if "model.weights.h5" in names:
        return "a Keras file", _OWN
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy archive", _OWN
    return "a zip archive", "unpack it first"


def _safetensors(path: Path) -> tuple[str, str] | None:
    """What a safetensors file holds that is no network of ours; None where it may be, or is damaged."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, _LONGEST_HEADER)))
        metadata = header.pop("__metadata__", {})
        said, tensors = str(metadata.get("format", "")), sorted(header)
    except (ValueError, AttributeError, RecursionError):
        return None
    if said.startswith("maxtunnel"):
        return None
    if "step" in metadata and any(name.startswith("optimizer.") for name in tensors):
        return "the state of a run", "give the run's folder"
    count = f"{len(tensors)} tensors such as {tensors[0]!r:.60}" if tensors else "no tensor"
    return f"the safetensors file of another network ({count})", _VGG


def _by_suffix(path: Path, start: bytes) -> tuple[str, str] | None:
    """What a file should be by its name, where its content said nothing."""
    if start[8:9] == b"{":
        return None
    for kind, suffixes in _SUFFIXES.items():
        if path.suffix.lower() in suffixes:
            state = "" if path.suffix.lower() == ".py" else ", damaged or of a kind not known here"
            return f"{kind} by its name{state}", _OWN
    return None
