"""Networks in onnxruntime give what they give here."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_files import OPERATORS, described, operators, run
from PIL import Image

from maxtunnel.data.images import to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.export import export_file, export_network
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.zoo.names import load
from near_ties import undecided

pytestmark = pytest.mark.usefixtures("one_thread")
WITHIN = 1e-5


def network(text, strong_width=None):
    mean = torch.rand(3, 20, 24, generator=torch.Generator().manual_seed(1))
    return TunnelNetwork(Architecture.parse(text), mean, 255.0, seed=1, strong_width=strong_width)


@pytest.fixture(scope="module")
def photographs():
    """The four of the package at 128x128, and a part of two whose sides no power of 2 divides."""
    whole = torch.stack([to_float(pixels) for pixels in demo_photographs().values()])
    return [whole[..., ::2, ::2].contiguous(), whole[:2, :, 19:90, 40:155].contiguous()]


@pytest.mark.parametrize(
    ("text", "strong_width"),
    [("8-8-8", None), ("4-6", 5), ("4-6-8+linear+inside7", 6), ("5+linear", None), ("4-6x3-5x1", None)],
)
@pytest.mark.parametrize("size", [(64, 48), (37, 51)])
def test_images_go_through_as_here(tmp_path, text, strong_width, size):
    net, images = network(text, strong_width), torch.rand(3, 3, *size)
    export_network(net, tmp_path / "net.onnx")
    found = run(tmp_path / "net.onnx", image=images)
    code = net.encode(images)
    for number, level in enumerate(code.levels, 1):
        codes = found[f"level{number}"]
        assert codes.dtype == np.uint8
        assert np.array_equal(codes, level.codes.numpy())
    assert found["picture"].shape == (3, 3, *size)
    assert np.abs(found["picture"] - net.decode(code).numpy()).max() < WITHIN


@pytest.mark.parametrize("name", ["8-8-8", "8-8-8-strong"])
def test_a_shipped_network_reads_the_packages_photographs(tmp_path, photographs, name):
    net = load(name)
    export_file(name, tmp_path / "encoder.onnx", "encoder")
    export_file(name, tmp_path / "decoder.onnx", "decoder", half="strong" in name)
    for images in photographs if net.strong_width is None else photographs[1:]:
        found, code = run(tmp_path / "encoder.onnx", image=images), net.encode(images)
        for number, (level, near) in enumerate(zip(code.levels, undecided(net, images), strict=True), 1):
            other = torch.from_numpy(found[f"level{number}"]) != level.codes
            # Two sums of the same numbers in another order may differ in the last bit.
            assert not (other & ~near).any()
            assert other.double().mean() < 2e-5
        given = {f"level{number}": level.codes for number, level in enumerate(code.levels, 1)}
        picture = run(tmp_path / "decoder.onnx", **given)["picture"]
        ours = net.decode(code).numpy()
        assert np.abs(picture[..., : ours.shape[-2], : ours.shape[-1]] - ours).max() < WITHIN


def test_of_equal_values_the_first_one_counts(tmp_path):
    net = network("3-3")
    with torch.no_grad():
        # All that is seen, and so all that is pooled, is zero.
        net.encoder.convs[0].weight.zero_()
    export_network(net, tmp_path / "e.onnx", "encoder")
    assert all(
        (codes == 0).all() for codes in run(tmp_path / "e.onnx", image=torch.rand(1, 3, 8, 8)).values()
    )


def test_pieces_have_no_mean_and_no_padding(tmp_path):
    net, images = network("4-6"), torch.rand(2, 3, 18, 21)
    inner, code = net.normalise(images), net.encode(images)
    for part in ("encoder", "decoder"):
        export_network(net, tmp_path / f"{part}.onnx", part, pieces=True)
    found = run(tmp_path / "encoder.onnx", image=inner)
    assert np.array_equal(found["level2"], code.levels[1].codes.numpy())
    output = run(
        tmp_path / "decoder.onnx", **{name: torch.from_numpy(codes) for name, codes in found.items()}
    )
    rebuilt = net.denormalise(torch.from_numpy(output["picture"]), (18, 21))
    assert (rebuilt - net.decode(code)).abs().max() < WITHIN


def test_the_file_says_what_it_is_and_holds_basic_operators_alone(tmp_path):
    net = load("16-16-16")
    export_file("16-16-16", tmp_path / "n.onnx")
    told = described(tmp_path / "n.onnx")
    assert (told["name"], told["architecture"], told["decoder"]) == ("16-16-16", "16-16-16", "mirrored")
    assert told["identity"] == net.identity().hex()
    assert told["provenance"] == json.dumps(net.provenance.to_json(), sort_keys=True)
    assert operators(tmp_path / "n.onnx") <= OPERATORS


def test_the_python_of_the_document_runs(tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text()
    program, imports = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    net = load("8-8-8")
    export_network(net, "16-16-16.onnx")
    pixels = demo_photographs()["chelsea"][:, :120, :135]
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save("cat.png")
    exec(compile(program.replace("cat.jpg", "cat.png"), "onnx.md", "exec"), {})
    rebuilt = torch.from_numpy(np.array(Image.open("rebuilt.png"))).permute(2, 0, 1)
    assert rebuilt.shape == pixels.shape
    assert (rebuilt / 255 - net.reconstruct(to_float(pixels)[None])[0].clip(0, 1)).square().mean() < 1e-4
    exec(compile(imports, "onnx.md", "exec"), {})


def test_half_precision_halves_the_file_and_leaves_the_switches(tmp_path):
    net, images = network("4-6", 24), torch.rand(1, 3, 32, 32)
    export_network(net, tmp_path / "whole.onnx")
    export_network(net, tmp_path / "half.onnx", half=True)
    assert (tmp_path / "half.onnx").stat().st_size < 0.55 * (tmp_path / "whole.onnx").stat().st_size
    whole, half = (run(tmp_path / f"{name}.onnx", image=images) for name in ("whole", "half"))
    assert all(np.array_equal(whole[name], half[name]) for name in ("level1", "level2"))
    assert 0 < np.abs(whole["picture"] - half["picture"]).max() < 0.01


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"`target` is .*: give a name that ends in \.onnx"):
        export_file("8-8-8", tmp_path / "x.pt")
    with pytest.raises(FormatError, match="no model 'nothing'"):
        export_file("nothing", tmp_path / "x.onnx")
