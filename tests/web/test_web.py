"""What the page computes, checks and keeps, without a server."""

import base64
import io
import os
import re
import time
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from maxtunnel.codec import dumps, loads
from maxtunnel.data.images import demo_photographs, read_image, to_float, to_uint8
from maxtunnel.evaluation.metrics import measure
from maxtunnel.paper.figures import activations
from maxtunnel.paper.table import ROWS
from maxtunnel.support.files import FormatError
from maxtunnel.switches.changes import shuffled
from maxtunnel.web import inside, lab, markup, reconstruct, serve, serving, table
from maxtunnel.web.inputs import (
    Limits,
    Upload,
    lies_within,
    network,
    printable,
    read_photograph,
    read_switches,
    read_upload,
    shrink,
)
from maxtunnel.web.lab import Choice
from maxtunnel.web.results import Results
from maxtunnel.zoo.names import list_shipped, load, shipped

pytestmark = pytest.mark.usefixtures("one_thread")
LIMITS = Limits()


@pytest.fixture(scope="module")
def cat():
    return shrink(demo_photographs()["chelsea"], 64)


@pytest.fixture(scope="module")
def cup():
    return shrink(demo_photographs()["coffee"], 48)


def as_file(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file, kind)
    return file.getvalue()


def test_a_reconstruction_is_what_the_library_gives(cat):
    net = load("8-8-8")
    done = reconstruct.rebuild(net, cat)
    image = to_float(cat)[None]
    output = net.reconstruct(image)
    assert torch.equal(done.picture, to_uint8(output[0]))
    mse, psnr, ssim = measure(output, image)[:, 0].tolist()
    assert (done.rmse, done.psnr, done.ssim) == pytest.approx((mse**0.5, psnr, ssim), rel=1e-6)
    assert loads(done.file) == net.encode(image)
    assert done.nominal_bits == 1.75
    assert done.stored_bits == 8 * len(done.file) / cat.numel()
    assert torch.allclose(done.error, (output - image)[0].abs().mean(0))


def test_pictures_in_the_html_are_exact_and_names_cannot_break_out(cat):
    done = reconstruct.rebuild(load("8-8-8"), cat)
    html = reconstruct.show_rebuilt(done, "8-8-8", printable('<b onload="x">"${x}.png'))
    pngs = [base64.b64decode(found) for found in re.findall(r"data:image/png;base64,([^\"]+)", html)]
    assert [torch.equal(read_image(io.BytesIO(pngs[i])), p) for i, p in ((0, cat), (1, done.picture))] == [
        True
    ] * 2
    assert "onload=" not in html.replace("onload=_", "")
    assert "${" not in html
    files = re.findall(r"data:application/octet-stream;base64,([^\"]+)", html)
    assert base64.b64decode(files[0]) == done.file


def test_every_change_of_a_level_does_what_its_name_says(cat, cup):
    net = load("8-8-8")
    code, other = (net.encode(to_float(shrink(p, 32))[None, :, :24, :24]) for p in (cat, cup))
    keep = Choice()
    for index in range(3):
        for change in lab.CHANGES:
            choices = [Choice(change, 0.5) if level == index else keep for level in range(3)]
            new = lab.altered(code, other, choices, seed=3)
            same = [torch.equal(a.codes, b.codes) for a, b in zip(new.levels, code.levels, strict=True)]
            assert same == [level != index or change == "keep" for level in range(3)], change
            net.check(new)
            assert new == lab.altered(code, other, choices, seed=3)
    everything = {change: lab.altered(code, other, [Choice(change)] * 3, 1) for change in lab.CHANGES}
    assert everything["B"] == other
    assert all(not level.codes.any() for level in everything["fixed"].levels)
    with pytest.raises(ValueError, match="no change"):
        lab.altered(code, other, [Choice("sing")] * 3)


def test_shuffling_keeps_each_channels_histogram(cat):
    level = load("8-8-8").encode(to_float(cat)[None]).levels[0]
    new = shuffled(level, 0, torch.Generator().manual_seed(0))
    assert not torch.equal(new, level.codes)
    assert torch.equal(new.flatten(2).sort(2)[0], level.codes.flatten(2).sort(2)[0])


def test_a_share_of_the_switches_is_drawn_anew(cat):
    net = load("8-8-8")
    for share in (0.0, 0.3, 1.0):
        done = lab.alter(net, cat, cat, [Choice("flip", share)] * 3)
        # A quarter of those drawn lands where it was; 8,192 switches in the finest level.
        assert done.changed[0] == pytest.approx(0.75 * share, abs=0.03)


def test_the_transplant_shows_a_whatever_the_features(cat, cup):
    net = load("16-16-16")
    kept = lab.alter(net, cat, cup, [Choice()] * 3)
    assert torch.equal(kept.picture, to_uint8(net.reconstruct(to_float(cat)[None])[0]))
    transplant = lab.alter(net, cat, cup, [Choice()] * 3, from_second=True)
    assert not torch.equal(transplant.picture, kept.picture)
    assert transplant.rmse < 0.6 * transplant.rmse_other
    what = lab.features(net, to_float(cat)[None])
    assert float(what.mean()) == pytest.approx(float(net.decoder.bias_code.detach().mean()), rel=1e-4)
    # Given the constant itself as features, the decoder does what it always does.
    code = net.encode(to_float(cat)[None])
    constant = net.decoder.bias_code.detach()[:, None, None].expand(code.levels[-1].codes.shape)
    assert torch.allclose(net.decode(code, what=constant), net.decode(code), atol=1e-5)


def test_inside_shows_the_codes_and_the_layers(cat):
    net = load("8-8-8")
    code = net.encode(to_float(cat)[None])
    drawn = inside.colour(code.levels[0].codes[0, 2])
    for value, colour in enumerate(inside.COLOURS):
        where = code.levels[0].codes[0, 2] == value
        assert (drawn[:, where] == torch.tensor(colour, dtype=torch.uint8)[:, None]).all()
    assert sum(inside.shares(code.levels[0], 2)) == pytest.approx(1)
    last = activations(net, code)[-1]
    assert last[0] == "deconv1_2"
    assert torch.allclose(net.denormalise(last[1], code.image_size), net.decode(code), atol=1e-5)
    ramp = inside.grey(torch.linspace(-3, 5, 1000).reshape(20, 50))
    assert (int(ramp.min()), int(ramp.max())) == (0, 255)
    assert inside.grey(torch.ones(4, 4)).unique().tolist() == [128]
    sets = [levels for levels, _ in inside.from_levels(net, code)]
    assert sets == [(3,), (2, 3), (1, 2, 3), (1,)]


def test_the_table_shows_what_models_lists():
    html = table.show()
    for entry in list_shipped():
        assert f"{entry.rmse:.4f}" in html
    paper = {row.name: row.rmse for row in ROWS}
    assert [line.paper_rmse for line in table.lines()] == [paper.get(name) for name in shipped()]
    assert html.count("<tr>") == 1 + len(shipped())
    # A mark for each network of ours and of the paper's, and two of each in the legend.
    assert html.count("mt-filled") == len(shipped()) + 2
    assert html.count("mt-hollow") == len(ROWS) + 2
    assert "ours on 3,925 photographs of imagenette/val" in table.explanation()


@pytest.mark.parametrize(
    ("path", "inside_"),
    [("a.png", True), ("deep/../a.png", True), ("../secret", False), ("/etc/passwd", False),
     ("https://example.com/a.png", False), ("\0", False), (None, False), (3, False), (["a.png"], False)],
)  # fmt: skip
def test_only_uploads_are_read(tmp_path, path, inside_):
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"data")
    (tmp_path / "secret").write_bytes(b"secret")
    path = str(folder / path) if isinstance(path, str) and path[0] not in "/h\0" else path
    assert lies_within(path, folder) == inside_
    if inside_:
        assert read_upload({"path": path, "orig_name": "x"}, folder, LIMITS).data == b"data"
    else:
        with pytest.raises(FormatError, match="only files that were sent"):
            read_upload({"path": path}, folder, LIMITS)


def test_a_link_out_of_the_uploads_is_not_followed(tmp_path):
    (tmp_path / "uploads").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "uploads" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(FormatError, match="only files that were sent"):
        read_upload({"path": str(tmp_path / "uploads" / "link")}, tmp_path / "uploads", LIMITS)


def test_uploads_that_are_gone_or_too_large_are_refused(tmp_path):
    (tmp_path / "big.png").write_bytes(bytes(1_000_001))
    with pytest.raises(FormatError, match=r"big.png is larger than 1 MB"):
        read_upload({"path": str(tmp_path / "big.png")}, tmp_path, Limits(1))
    with pytest.raises(FormatError, match="no longer here"):
        read_upload({"path": str(tmp_path / "gone.png")}, tmp_path, LIMITS)
    assert read_upload(None, tmp_path, LIMITS) is None


def test_photographs_are_decoded_with_bounds(cat):
    assert read_photograph(Upload(as_file(cat), "cat.png"), LIMITS, 128).equal(cat)
    assert read_photograph(Upload(as_file(cat[:, :, :30]), "c.png"), Limits(side=128), 128).shape == (
        3,
        64,
        30,
    )
    large = torch.zeros(3, 1001, 1000, dtype=torch.uint8)
    with pytest.raises(FormatError, match=r"bomb.png has 1000x1001 pixels"):
        read_photograph(Upload(as_file(large), "bomb.png"), Limits(megapixels=1), 128)
    for data, reason in (
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no image"),
        (b"PK\3\4" + bytes(99), "no image"),
        (as_file(cat, "JPEG")[:500], "cut short"),
        (b"", "is empty"),
    ):
        with pytest.raises(FormatError, match=reason) as error:
            read_photograph(Upload(data, "x.jpg"), LIMITS, 128)
        assert str(error.value).startswith("x.jpg ")
    with pytest.raises(ValueError, match="choose one of"):
        read_photograph(Upload(as_file(cat), "cat.png"), LIMITS, 100_000)


def test_shrinking_keeps_the_proportions(cat):
    assert shrink(cat, 64) is cat
    wide = torch.zeros(3, 100, 1000, dtype=torch.uint8)
    assert shrink(wide, 128).shape == (3, 13, 128)
    assert shrink(wide[:, :1], 128).shape == (3, 1, 128)


def test_switch_files_of_other_networks_batches_and_claims_are_refused(cat, monkeypatch):
    net = load("8-8-8")
    # A writer that lies about its network.
    monkeypatch.setattr("maxtunnel.codec.serialisation._refuse_other_code", lambda code, network: None)
    code = net.encode(to_float(cat)[None])
    name, read = read_switches(Upload(dumps(code, net), "a.mxt"), LIMITS)
    assert (name, read) == ("8-8-8", code)
    two = net.encode(to_float(cat)[None].expand(2, -1, -1, -1))
    wide = net.encode(torch.rand(1, 3, 8, 136))
    for data, limits, reason in (
        (dumps(code), LIMITS, "not on this page"),
        (dumps(two, net), LIMITS, "holds 2 images"),
        (dumps(wide, net), Limits(side=128), "up to 128 a side"),
        (dumps(code, net)[:-1], LIMITS, "cut short"),
        (dumps(load("16-16-16").encode(to_float(cat)[None]), net), LIMITS, "not those of 8-8-8"),
        (b"PK\3\4", LIMITS, "no switch file"),
    ):
        with pytest.raises(FormatError, match=reason):
            read_switches(Upload(data, "a.mxt"), limits)


def test_a_small_switch_file_cannot_claim_much(cat):
    net = load("8-8-8")
    data = bytearray(dumps(net.encode(torch.zeros(1, 3, 8, 8)), net, "packed"))
    # The side of the image, as the header has it, and its checksum made to hold.
    assert data[10:12] == b"\x08\x08"
    data[10:11] = b"\xc8\x01"
    end = len(data) - sum(
        part.length for part in _parts(dumps(net.encode(torch.zeros(1, 3, 8, 8)), net, "packed"))
    )
    data[end - 4 : end] = zlib.crc32(data[: end - 4]).to_bytes(4, "little")
    with pytest.raises(FormatError, match="not those of 8-8-8"):
        read_switches(Upload(bytes(data), "a.mxt"), LIMITS)


def _parts(data):
    from maxtunnel.codec import read_header

    return read_header(data).parts


def test_what_is_no_name_or_number_of_the_page_is_told_in_words(cat, tmp_path):
    upload = Upload(as_file(cat), "cat.png")
    for answer in (
        reconstruct.answer_photograph(upload, "/etc/passwd", 128, LIMITS),
        reconstruct.answer_photograph(upload, "8-8-8", {"a": 1}, LIMITS),
        reconstruct.answer_photograph(upload, ["8-8-8"], 128, LIMITS),
        reconstruct.answer_switches(upload, LIMITS),
        inside.answer(upload, "8-8-8", -1, LIMITS),
        lab.answer(upload, upload, "8-8-8", ["sing", 0.5] * 3, "constant", 0, LIMITS),
        lab.answer(upload, upload, "8-8-8", ["keep", 7] * 3, "constant", 0, LIMITS),
        lab.answer(upload, upload, "8-8-8", ["keep", 0.5] * 3, "sing", 0, LIMITS),
        lab.answer(upload, upload, "8-8-8", ["keep", 0.5] * 3, "constant", None, LIMITS),
    ):
        assert 'role="alert"' in answer
        assert "passwd" not in answer.replace("network passwd", "")
    assert 'mt-hint"' in reconstruct.answer_photograph(None, "8-8-8", 128, LIMITS)
    assert 'mt-hint"' in inside.answer(None, "8-8-8", 1, LIMITS)
    assert 'mt-hint"' in lab.answer(None, upload, "8-8-8", [], "constant", 0, LIMITS)


def test_networks_are_read_once():
    assert network("8-8-8") is network("8-8-8")


def test_results_are_exact_unguessable_and_bounded():
    results = Results(room=1000)
    first = results.put(b"a" * 400, "image/png")
    assert results.put(b"a" * 400, "image/png") == first
    assert Results().put(b"a" * 400, "image/png") != first
    assert results.get(first)[:2] == (b"a" * 400, "image/png")
    results.put(b"b" * 400, "image/png")
    results.put(b"c" * 400, "image/png")
    assert results.get(first) is None
    passing = Results(seconds=0.02)
    address = passing.put(b"x", "image/png")
    time.sleep(0.05)
    assert passing.get(address) is None
    html = f'<img src="{markup.uri(bytes(range(256)), "image/png")}"><p>data:;base64,</p>'
    lifted = results.lift(html)
    assert results.get(re.search(r'src="([^"]+)"', lifted)[1]).data == bytes(range(256))
    assert lifted.endswith("<p>data:;base64,</p>")


def test_old_uploads_go_and_samples_stay(tmp_path):
    for number, age in enumerate((100, 50, 0)):
        path = tmp_path / f"{number}"
        path.write_bytes(bytes(10))
        os.utime(path, (time.time() - age,) * 2)
    serving.sweep(tmp_path, {tmp_path / "0"}, seconds=60.0, most=1000)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1", "2"]
    serving.sweep(tmp_path, {tmp_path / "0"}, seconds=40.0, most=1000)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "2"]
    serving.sweep(tmp_path, {tmp_path / "0"}, seconds=40.0, most=5)
    assert [p.name for p in tmp_path.iterdir()] == ["0"]


def test_what_cannot_be_served_is_told_before_anything_starts(monkeypatch):
    import socket

    for auth in ("name", ":x", "x:"):
        with pytest.raises(ValueError, match="NAME:PASSWORD"):
            serve(auth=auth)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ValueError, match="cannot listen on 127"):
            serve(port=taken.getsockname()[1])
    with pytest.raises(ValueError, match="side of 128"):
        Limits(side=100)
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install"):
        serve(port=0)


def test_error_maps_go_from_black_to_white():
    drawn = markup.heat(torch.tensor([[0.0, 0.25, 0.5, 9.0]]), 0.5)
    assert drawn[:, 0, 0].max() < 10
    assert drawn[:, 0, 2].equal(drawn[:, 0, 3])
    brightness = np.asarray(drawn).astype(int).sum(0)[0]
    assert brightness[0] < brightness[1] < brightness[2]
