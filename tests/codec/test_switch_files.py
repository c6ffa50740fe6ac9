"""encode, decode and inspect, as a person and as a program use them."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import maxtunnel
from maxtunnel.codec import dump, files, is_fast, load
from maxtunnel.codec.files import decode_files, encode_files, inspect_file, reconstruct_files
from maxtunnel.data.images import read_image, resize, to_float, to_uint8
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.support.numbers import parse_numbers
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.zoo.names import find_shipped, shipped
from tools.command_line import call, refuse


@pytest.fixture
def photograph(tmp_path):
    pixels = resize(demo_photographs()["rocket"], (40, 56)).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "rocket.png")
    return tmp_path / "rocket.png"


@pytest.mark.parametrize("coding", ["entropy", "packed"])
def test_a_photograph_goes_through_a_file_as_through_the_network(tmp_path, photograph, coding):
    output = call("encode", photograph, "-m", "8-8-8", "--coding", coding, "-o", tmp_path / "out")
    file = tmp_path / "out" / "rocket.mxt"
    assert f"{file.stat().st_size:,} bytes" in output
    network, image = maxtunnel.load("8-8-8"), to_float(read_image(photograph))[None]
    assert load(file) == network.encode(image)
    call("decode", file, "-o", tmp_path / "out")
    assert torch.equal(
        read_image(tmp_path / "out" / "rocket-rebuilt.png"), to_uint8(network.reconstruct(image))[0]
    )


def test_decoding_beside_a_photograph_leaves_it_alone(tmp_path, photograph):
    original = photograph.read_bytes()
    encode_files([str(photograph)], "8-8-8", tmp_path)
    assert decode_files(str(tmp_path / "rocket.mxt"), out=tmp_path) == [tmp_path / "rocket-rebuilt.png"]
    assert photograph.read_bytes() == original


def test_a_part_of_the_levels_gives_a_coarser_picture(tmp_path, photograph):
    encode_files([photograph], "8-8-8", tmp_path)
    code, network = load(tmp_path / "rocket.mxt"), maxtunnel.load("8-8-8")
    for levels, name in (("3", "a"), ("3,2", "b")):
        call("decode", tmp_path / "rocket.mxt", "--levels", levels, "-o", tmp_path / name)
        expected = network.decode(code, parse_numbers(levels))
        assert torch.equal(read_image(tmp_path / name / "rocket-rebuilt.png"), to_uint8(expected)[0])
        assert not torch.equal(expected, network.decode(code))


def test_a_missing_level_is_unpooled_by_replication():
    network = TunnelNetwork(Architecture((3, 4)), torch.zeros(3, 8, 8), seed=1)
    code = network.encode(torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
    convs, relu, up = network.decoder.convs, torch.relu, torch.nn.Upsample(scale_factor=2)
    unpool = torch.nn.MaxUnpool2d(2)
    what = network.decoder.bias_code[:, None, None].expand(code.levels[1].codes.shape)
    x = relu(convs[1](relu(convs[0](unpool(what.contiguous(), code.levels[1].indices())))))
    expected = convs[3](relu(convs[2](up(x)))) / 255
    assert torch.allclose(network.decode(code, {2}), expected, atol=1e-6)
    assert torch.equal(network.decode(code, {1, 2}), network.decode(code))


def test_batches_and_equal_names_get_numbers(tmp_path, photograph):
    network = maxtunnel.load("8-8-8")
    pixels = torch.stack([resize(image, (16, 16)) for image in demo_photographs().values()])
    dump(network.encode(to_float(pixels)), tmp_path / "batch.mxt", network)
    written = maxtunnel.decode_files([tmp_path / "batch.mxt"], out=tmp_path / "out")
    assert [path.name for path in written] == [f"batch-rebuilt-{number}.png" for number in (1, 2, 3, 4)]
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "rocket.png").write_bytes(photograph.read_bytes())
    (tmp_path / "more" / "text.png").write_text("no picture")
    written, skipped = maxtunnel.encode_files([photograph, tmp_path / "more"], "8-8-8", tmp_path / "out")
    assert [path.name for path, _ in written] == ["rocket.mxt", "rocket-2.mxt"]
    assert [path.name for path, _ in skipped] == ["text.png"]


def test_the_model_is_found_or_asked_for(tmp_path, photograph):
    # A strong decoder reads what the encoder of the network beside it gives.
    found = [find_shipped(maxtunnel.load(name).identity()) for name in shipped()]
    assert found == [name.removesuffix("-strong") for name in shipped()]
    network = TunnelNetwork(Architecture((2, 3, 4)), torch.full((3, 8, 8), 0.5), seed=3)
    network.save(tmp_path / "own.safetensors")
    encode_files([photograph], str(tmp_path / "own.safetensors"), tmp_path)
    file = tmp_path / "rocket.mxt"
    with pytest.raises(FormatError, match="does not ship: give it as `model`"):
        decode_files([file], out=tmp_path)
    with pytest.raises(ValueError, match="give the one that made it"):
        decode_files([file], "8-8-8", out=tmp_path)
    assert decode_files([file], str(tmp_path / "own.safetensors"), out=tmp_path / "out")[0].exists()
    dump(load(file), file)
    with pytest.raises(FormatError, match="names no network"):
        decode_files([file], out=tmp_path)
    assert decode_files([file], str(tmp_path / "own.safetensors"), out=tmp_path)[0].exists()


def test_a_file_names_the_encoder_and_a_strong_decoder_is_asked_for(tmp_path, photograph):
    for model in ("8-8-8", "8-8-8-strong"):
        encode_files([photograph], model, tmp_path / model)
    file = tmp_path / "8-8-8-strong" / "rocket.mxt"
    assert file.read_bytes() == (tmp_path / "8-8-8" / "rocket.mxt").read_bytes()
    assert inspect_file(file).model == "8-8-8"
    image = to_float(read_image(photograph))[None]
    for asked, reader in ((None, "8-8-8"), ("8-8-8", "8-8-8"), ("8-8-8-strong", "8-8-8-strong")):
        (picture,) = decode_files(file, asked, out=tmp_path / f"by {asked}")
        assert torch.equal(read_image(picture), to_uint8(maxtunnel.load(reader).reconstruct(image))[0])
    help_text = " ".join(call("decode", "--help").replace("│", " ").split())
    assert "with the paper's decoder; a -strong one reads the same switches" in help_text


@pytest.mark.parametrize("damage", ["cut", "flipped", "levels"])
def test_nothing_is_decoded_where_one_of_many_files_is_damaged(tmp_path, photograph, damage):
    encode_files([photograph], "8-8-8", tmp_path)
    whole, levels = (tmp_path / "rocket.mxt").read_bytes(), None
    if damage == "cut":
        (tmp_path / "bad.mxt").write_bytes(whole[:-1])
    elif damage == "flipped":
        (tmp_path / "bad.mxt").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    else:
        network = TunnelNetwork(Architecture((2, 3)), torch.zeros(3, 8, 8))
        dump(network.encode(torch.zeros(1, 3, 8, 8)), tmp_path / "bad.mxt")
        levels = {3}
    with pytest.raises(ValueError, match=r"bad\.mxt (is cut short|is damaged|has levels 1 to 2)"):
        decode_files([tmp_path / "rocket.mxt", tmp_path / "bad.mxt"], "8-8-8", levels, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_inspect_shows_what_a_file_costs(tmp_path, photograph):
    encode_files([photograph], "8-8-8", tmp_path)
    file = tmp_path / "rocket.mxt"
    inspection = inspect_file(file)
    code = load(file)
    assert inspection.model == "8-8-8"
    assert sum(part.nominal_bits for part in inspection.header.parts) == code.nominal_bits
    counts = np.stack([np.bincount(plane.ravel(), minlength=4) for plane in code.levels[2].codes[0].numpy()])
    shares = counts / counts.sum(1, keepdims=True)
    entropy = -(counts * np.log2(np.where(shares > 0, shares, 1))).sum()
    assert inspection.entropy_bits[2] == pytest.approx(entropy)
    output = call("inspect", file)
    assert "shipped model 8-8-8" in output
    assert f"{8 * file.stat().st_size:,}" in output
    assert "learned" in output


@pytest.mark.skipif(not is_fast(), reason="without a C++ compiler stored bits are not measured")
def test_evaluate_and_models_show_stored_bits(tmp_path, photograph):
    output = call("evaluate", "8-8-8", "--data", tmp_path, "--size", 32, "--json", tmp_path / "result.json")
    assert "stored" in output
    assert "1 photograph of" in output
    assert "nominal" in output
    assert "Stored bits" not in output
    assert "8-8-8 (shipped)" in output
    (tmp_path / "again.png").write_bytes(photograph.read_bytes())
    more = call("evaluate", "8-8-8", "--data", tmp_path, "--size", 32)
    assert re.search(r"Stored bits: 95 % interval 1\.\d+–1\.\d+, on 2 photographs", more)
    assert '"stored": 1.' in (tmp_path / "result.json").read_text()
    assert "stored" in call("models")


@pytest.fixture
def other(tmp_path):
    """A network of 8-8-8 with the encoder of the shipped one, so that only pictures differ."""
    network = maxtunnel.load("8-8-8")
    with torch.no_grad():
        network.decoder.convs[-1].bias += 0.1
    network.save(tmp_path / "other.safetensors")
    return str(tmp_path / "other.safetensors")


def test_what_another_network_made_is_replaced_only_by_force(tmp_path, photograph, other):
    out = tmp_path / "out"
    encode_files([photograph], "8-8-8", out)
    first = (out / "rocket.mxt").read_bytes()
    encode_files([photograph], "8-8-8", out, "packed")  # its own result, told otherwise
    assert (out / "rocket.mxt").read_bytes() != first
    # A switch file depends on the encoder alone, which the two share.
    encode_files([photograph], other, out)
    assert (out / "rocket.mxt").read_bytes() == first
    with pytest.raises(ValueError, match=r"rocket.mxt is there, and was not made by this network: .*`force`"):
        encode_files([photograph], "16-16-16", out)
    assert (out / "rocket.mxt").read_bytes() == first
    decode_files(out / "rocket.mxt", out=out)
    decode_files(out / "rocket.mxt", out=out, levels={3})
    picture = (out / "rocket-rebuilt.png").read_bytes()
    with pytest.raises(ValueError, match=r"rocket-rebuilt.png is there, and was not made"):
        decode_files(out / "rocket.mxt", other, out=out)
    assert (out / "rocket-rebuilt.png").read_bytes() == picture
    decode_files(out / "rocket.mxt", other, out=out, force=True)
    assert (out / "rocket-rebuilt.png").read_bytes() != picture
    encode_files([photograph], "16-16-16", out, force=True)
    assert (out / "rocket.mxt").read_bytes() != first


def test_files_that_are_none_of_ours_are_left_alone(tmp_path, photograph):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("rocket.mxt", "rocket-8-8-8.png", "rocket-rebuilt.png"):
        (out / name).write_bytes(photograph.read_bytes())
    encode_files([photograph], "8-8-8", tmp_path)
    for act in (
        lambda force: encode_files([photograph], "8-8-8", out, force=force),
        lambda force: reconstruct_files([photograph], "8-8-8", out, force=force),
        lambda force: decode_files([tmp_path / "rocket.mxt"], out=out, force=force),
    ):
        with pytest.raises(ValueError, match="is there, and was not made by this network"):
            act(False)
        act(True)
        act(False)
    assert "--force" in refuse("reconstruct", photograph, "-m", "16-16-16", "-o", made_by_hand(out))
    call("reconstruct", photograph, "-m", "16-16-16", "-o", out, "--force")


def made_by_hand(out):
    """A folder with a picture that no network made, where one would come."""
    Image.new("RGB", (4, 4)).save(out / "rocket-16-16-16.png")
    return out


def test_nothing_is_written_where_one_of_many_is_refused(tmp_path, photograph):
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "a.png").write_bytes(photograph.read_bytes())
    (out / "rocket.mxt").write_text("mine")
    with pytest.raises(ValueError, match=r"rocket\.mxt is there"):
        encode_files([tmp_path / "a.png", photograph], "8-8-8", out)
    assert [path.name for path in out.iterdir()] == ["rocket.mxt"]


def test_a_file_becomes_so_many_pictures_at_most_unless_more_are_asked_for(tmp_path, monkeypatch):
    assert files.MOST_PICTURES == 1000
    monkeypatch.setattr(files, "MOST_PICTURES", 20)
    network = maxtunnel.load("8-8-8")
    level = network.encode(torch.zeros(1, 3, 1, 1)).levels
    code = SwitchCode(
        tuple(replace(one, codes=one.codes.expand(21, -1, -1, -1).contiguous()) for one in level), (1, 1)
    )
    file = tmp_path / "many.mxt"
    dump(code, file, network)
    assert "holds 21 images" in refuse("decode", file, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert len(call("decode", file, "--limit", 3, "-o", tmp_path / "out").splitlines()) == 3
    names = {f"many-rebuilt-{number}.png" for number in (1, 2, 3)}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    dump(code[slice(0, 20)], file, network)
    assert len(decode_files(file, out=tmp_path / "all")) == 20
    with pytest.raises(ValueError, match="`limit` is 0"):
        decode_files(file, out=tmp_path / "none", limit=0)


def test_sizes_are_told_as_width_by_height(tmp_path):
    Image.new("RGB", (64, 32)).save(tmp_path / "wide.png")
    encode_files(tmp_path / "wide.png", "8-8-8", tmp_path)
    output = call("inspect", tmp_path / "wide.mxt")
    assert "1 image of 64x32 pixels" in output
    assert [re.search(r"\d+x\d+", line)[0] for line in output.splitlines()[4:7]] == ["8x4", "16x8", "32x16"]
