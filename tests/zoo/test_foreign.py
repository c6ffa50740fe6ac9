"""Other people's files given as a model: named for what they are, and never unpickled."""

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from maxtunnel.auditing.loading import load_target
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.zoo.dense_files import load_dense
from maxtunnel.zoo.foreign import refuse_missing
from maxtunnel.zoo.names import WEIGHTS, architecture_of, import_network, load
from maxtunnel.zoo.vgg import load_vgg

AUDIT = "maxtunnel audit mymodel.py:build"


class Trap:
    """Unpickled, it is found out."""

    def __reduce__(self):
        return pytest.fail, ("a file was unpickled",)


def written(write):
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def torch_file(old=False):
    payload = {"weight": torch.zeros(2), "trap": Trap()}
    return written(lambda file: torch.save(payload, file, _use_new_zipfile_serialization=not old))


def archive(*names):
    def write(file):
        with zipfile.ZipFile(file, "w") as zipped:
            for name in names:
                zipped.writestr(name, b"x")

    return written(write)


# The field of its version, 8, and the name of the program that wrote it.
ONNX = b"\x08\x08\x12\x07pytorch\x1a\x052.0.0:"
FILES = [
    (
        "a PyTorch file (it is not unpickled",
        torch_file(),
        (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".caffemodel"),
    ),
    ("a PyTorch file (it is not unpickled", torch_file(old=True), (".pt", ".h5")),
    ("a Python pickle (it is not unpickled", pickle.dumps({"a": Trap()}), (".pkl", ".pt", ".safetensors")),
    ("an HDF5 file", b"\x89HDF\r\n\x1a\n" + bytes(50), (".h5", ".bin")),
    ("an ONNX model", ONNX, (".onnx", ".pt")),
    ("a NumPy archive", written(lambda file: np.savez(file, a=np.zeros(3))), (".npz", ".safetensors")),
    ("a NumPy array", written(lambda file: np.save(file, np.zeros(3))), (".npy", ".bin")),
    ("a Keras file", archive("metadata.json", "config.json", "model.weights.h5"), (".keras",)),
    ("a TensorFlow Lite model", bytes(4) + b"TFL3" + bytes(50), (".tflite",)),
    ("a GGUF model", b"GGUF" + bytes(50), (".gguf", ".bin")),
]


@pytest.mark.parametrize(
    ("kind", "content", "suffix"),
    [(kind, data, suffix) for kind, data, suffixes in FILES for suffix in suffixes],
)
def test_a_file_is_named_by_its_content(tmp_path, kind, content, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    assert said(path).startswith(f"{path} is {kind}")
    assert AUDIT in said(path)


def said(model):
    with pytest.raises(FormatError) as error:
        load(model)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        (".pt", "a PyTorch file"),
        (".ckpt", "a PyTorch file"),
        (".h5", "a Keras file"),
        (".onnx", "an ONNX model"),
    ],
)
def test_a_file_whose_content_says_nothing_is_named_by_its_suffix(tmp_path, suffix, kind):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"\x00\x01garbage" * 9)
    assert said(path).startswith(f"{path} is {kind} by its name, damaged or of a kind")
    assert AUDIT in said(path)


@pytest.mark.parametrize("name", ["a.pth", "a.h5", "a.safetensors", "a.caffemodel", "a"])
def test_an_empty_file_is_called_empty(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch()
    assert said(name).startswith(f"{name} is empty: expected ")
    assert said(tmp_path / name).startswith(f"{tmp_path / name} is empty: expected ")


def test_an_empty_file_in_the_folder_of_a_run_is_called_empty(tmp_path):
    (tmp_path / "model.safetensors").touch()
    assert said(tmp_path).startswith(f"{tmp_path / 'model.safetensors'} is empty: expected ")


@pytest.mark.parametrize("name", ["none.pth", "none.H5", "none.pt2", "none.safetensors", "nowhere/8-8-8"])
def test_what_looks_like_a_path_and_is_not_there_does_not_exist(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert said(name).startswith(f"{name} does not exist: expected a network's file, the folder of a run, or")
    for ask in (architecture_of, load_vgg, load_dense, load_target):
        with pytest.raises(FormatError, match=f"^{name} does not exist: expected "):
            ask(name)
    with pytest.raises(FormatError, match=f"^{name} does not exist: expected "):
        import_network(Path(name), Path("to.safetensors"))


@pytest.mark.parametrize("name", ["8-8-9", "16.16", "vgg17", "none"])
def test_what_looks_like_a_name_is_no_missing_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    refuse_missing(name, "a file")
    assert said(name).startswith(f"no model {name!r}")


def test_the_safetensors_of_another_network_are_named(tmp_path):
    save_file(
        {"conv1.weight": torch.zeros(2), "conv1.bias": torch.zeros(2)},
        tmp_path / "a.safetensors",
        {"format": "pt"},
    )
    expected = "the safetensors file of another network (2 tensors such as 'conv1.bias')"
    assert said(tmp_path / "a.safetensors").startswith(f"{tmp_path / 'a.safetensors'} is {expected}")
    # So is a folder as others lay it out.
    (tmp_path / "a.safetensors").rename(tmp_path / "model.safetensors")
    assert AUDIT in said(tmp_path)


def test_what_is_ours_and_no_model_is_told_apart(tmp_path, shared):
    save_file(
        {"optimizer.0.sum": torch.zeros(2), "module.a": torch.zeros(1)},
        tmp_path / "state.safetensors",
        {"step": "3"},
    )
    assert "is the state of a run, not a network of maxtunnel: give the run's folder" in said(
        tmp_path / "state.safetensors"
    )
    assert "a file of switches" in said(shared / "repro" / "slow-11kb.mxt")
    (tmp_path / "photograph.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    assert "is a photograph" in said(tmp_path / "photograph.jpg")


def test_torchscript_and_exported_programs_can_be_audited(tmp_path):
    (tmp_path / "a.bin").write_bytes(archive("a/data.pkl", "a/code/__torch__.py", "a/constants.pkl"))
    assert "is a TorchScript file, not a network of maxtunnel: measure it with maxtunnel audit a.pt" in said(
        tmp_path / "a.bin"
    )
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.zeros(1),)), tmp_path / "b.pt2")
    assert "is an exported PyTorch program" in said(tmp_path / "b.pt2")


def test_a_folder_that_is_no_run_is_named(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    assert "is a folder without model.safetensors" in said(tmp_path)


def test_code_given_as_a_model_is_named(tmp_path):
    (tmp_path / "mymodel.py").write_text("def build(): ...\n")
    assert said(tmp_path / "mymodel.py").startswith(
        f"{tmp_path / 'mymodel.py'} is Python code by its name, not"
    )


@pytest.mark.parametrize("header", [b"{", b"[]", b'{"__metadata__": 3}', b"{" * 5000, b'{"a": '])
def test_a_damaged_header_is_left_to_those_who_know_the_format(tmp_path, header):
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert str(path) in said(path)


def test_a_file_with_the_name_of_a_shipped_network_hides_it_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "8-8-8").write_bytes(torch_file())
    assert load("8-8-8").architecture == Architecture((8, 8, 8))


def test_ours_still_load_under_any_name(tmp_path):
    path = tmp_path / "mine.bin"
    path.write_bytes((WEIGHTS / "8-8-8.safetensors").read_bytes())
    assert load(path).architecture == Architecture((8, 8, 8))
    TunnelNetwork(Architecture((2,)), torch.zeros(3, 4, 4)).save(tmp_path / "b.pt.safetensors")
    assert load(tmp_path / "b.pt.safetensors").architecture == Architecture((2,))


@pytest.mark.parametrize("length", [0x03_80, 0x04_80, 0x05_80])
def test_a_header_as_long_as_the_first_bytes_of_a_pickle_is_ours(tmp_path, length):
    path = tmp_path / "a.safetensors"
    TunnelNetwork(Architecture((2,)), torch.zeros(3, 4, 4)).save(path)
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    path.write_bytes(length.to_bytes(8, "little") + data[8:end].ljust(length) + data[end:])
    assert load(path).architecture == Architecture((2,))


def test_a_later_format_of_ours_is_not_called_another_networks(tmp_path):
    header = json.dumps({"__metadata__": {"format": "maxtunnel network 9"}}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "maxtunnel network 1" in said(tmp_path / "a.safetensors")
