"""What a visitor sends, checked: names, limits, photographs and switch files."""

import zlib
from pathlib import Path

import pytest
import torch
from web_files import as_file

from maxtunnel.codec import dumps, read_header
from maxtunnel.data.images import shrink, to_float
from maxtunnel.support.files import FormatError
from maxtunnel.web.inputs import Limits
from maxtunnel.web.uploads import (
    Upload,
    lies_within,
    read_photograph,
    read_switches,
    read_upload,
)
from maxtunnel.zoo.names import load

pytestmark = pytest.mark.usefixtures("one_thread")
LIMITS = Limits()


@pytest.mark.parametrize(
    ("path", "inside_"),
    [("a.png", True), ("deep/../a.png", False), ("../secret", False), ("./a.png", False), ("/a.png", False),
     ("a.png/", False), ("", False), ("a?.png", False), ("http:a.png", False), ("a\\b.png", False),
     ("a\0.png", False), ("a\n.png", False), ("%2e%2e/a.png", False), ("%252e%252e/a.png", False),
     ("a%2f..%2fb", False), ("a%5cb", False), ("a%00", False), ("x" * 300, False), ("\ud800", False),
     ("50% of C#.png", True), ("50%25 ü.png", True),
     ("!/etc/passwd", False), ("!https://example.com/a.png", False), ("!\0", False), ("!", False),
     (None, False), (3, False), (["a.png"], False)],
)  # fmt: skip
def test_only_uploads_are_read(tmp_path, path, inside_):
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"data")
    (tmp_path / "secret").write_bytes(b"secret")
    if isinstance(path, str):
        path = path[1:] if path.startswith("!") else f"{folder}/{path}"
    if inside_:
        Path(path).write_bytes(b"data")
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
        read_upload({"path": str(tmp_path / "big.png")}, tmp_path, Limits(max_megabytes=1))
    with pytest.raises(FormatError, match="no longer here"):
        read_upload({"path": str(tmp_path / "gone.png")}, tmp_path, LIMITS)
    assert read_upload(None, tmp_path, LIMITS) is None


def test_photographs_are_decoded_with_bounds(cat):
    assert read_photograph(Upload(as_file(cat), "cat.png"), LIMITS, 128).equal(cat)
    assert read_photograph(Upload(as_file(cat[:, :, :30]), "c.png"), Limits(max_side=128), 128).shape == (
        3,
        64,
        30,
    )
    large = torch.zeros(3, 1001, 1000, dtype=torch.uint8)
    with pytest.raises(FormatError, match=r"bomb.png has 1000x1001 pixels"):
        read_photograph(Upload(as_file(large), "bomb.png"), Limits(max_megapixels=1), 128)
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


def test_switch_files_of_other_networks_batches_and_claims_are_refused(cat):
    net, liar = load("8-8-8"), load("16-16-16")
    # A writer that lies about its network.
    liar.identity = net.identity
    code = net.encode(to_float(cat)[None])
    name, read = read_switches(Upload(dumps(code, net), "a.mxt"), LIMITS)
    assert (name, read) == ("8-8-8", code)
    two = net.encode(to_float(cat)[None].expand(2, -1, -1, -1))
    wide = net.encode(torch.rand(1, 3, 8, 136))
    for data, limits, reason in (
        (dumps(code), LIMITS, "not on this page"),
        (dumps(two, net), LIMITS, "holds 2 images"),
        (dumps(wide, net), Limits(max_side=128), "up to 128 a side"),
        (dumps(code, net)[:-1], LIMITS, "cut short"),
        (dumps(liar.encode(to_float(cat)[None]), liar), LIMITS, "not those of 8-8-8"),
        (b"PK\3\4", LIMITS, "no switch file"),
    ):
        with pytest.raises(FormatError, match=reason):
            read_switches(Upload(data, "a.mxt"), limits)


def test_a_small_switch_file_cannot_claim_much(cat):
    net = load("8-8-8")
    data = bytearray(dumps(net.encode(torch.zeros(1, 3, 8, 8)), net, "packed"))
    # The side of the image, as the header has it, and its checksum made to hold.
    assert data[10:12] == b"\x08\x08"
    payload = sum(part.length for part in read_header(bytes(data)).parts)
    data[10:11] = b"\xc8\x01"
    end = len(data) - payload
    data[end - 4 : end] = zlib.crc32(data[: end - 4]).to_bytes(4, "little")
    with pytest.raises(FormatError, match="not those of 8-8-8"):
        read_switches(Upload(bytes(data), "a.mxt"), LIMITS)


def test_limits_that_leave_nothing_to_do_are_refused():
    assert Limits(max_side=512).sides == [128, 256, 512]
    with pytest.raises(ValueError, match="`max_side` is 100: expected one of 128, 256"):
        Limits(max_side=100)
    for name in ("max_megabytes", "max_megapixels"):
        with pytest.raises(ValueError, match=f"`{name}` is 0: expected at least 1"):
            Limits(**{name: 0})
