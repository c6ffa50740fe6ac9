"""A small file that asks for much work is refused before the work starts, and the next visitor is served.

What is counted is work, not time: nothing is decoded, and no coder is called.
"""

import io

import pytest
from web_files import claiming, encoded, large_tile, many_scans, with_segments

from maxtunnel.codec import dumps, serialisation
from maxtunnel.data.images import read_image, to_float
from maxtunnel.support.files import FormatError
from maxtunnel.web import bounds, uploads
from maxtunnel.web.inputs import Limits
from maxtunnel.web.uploads import Upload, read_photograph, read_switches
from maxtunnel.zoo.names import load

pytestmark = pytest.mark.usefixtures("one_thread")
LIMITS = Limits()


@pytest.fixture
def idle(monkeypatch):
    """Whatever reads pixels or switches fails the test."""

    def work(*_, **__):
        pytest.fail("work was begun")

    monkeypatch.setattr(uploads, "read_image", work)
    for name in ("adaptive", "learned", "unpack"):
        monkeypatch.setattr(serialisation, name, work)


PHOTOGRAPHS = {
    "scans.jpg": (many_scans(200), "more than 100 scans"),
    "segments.jpg": (with_segments(5000, 0xFE, b""), "4,096 segments"),
    "tile.tif": (large_tile(6000), "tiles are larger"),
    "cut.tif": (large_tile(64)[:60], "cut short"),
}


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_that_take_long_are_refused_before_they_are_decoded(idle, name):
    data, reason = PHOTOGRAPHS[name]
    with pytest.raises(FormatError, match=rf"^{name} .*{reason}"):
        read_photograph(Upload(data, name), LIMITS, 128)


def test_what_is_refused_would_otherwise_be_decoded():
    for data in (many_scans(200), large_tile(600)):
        assert read_image(io.BytesIO(data)).shape[1:] in ((64, 64), (8, 8))


def test_usual_photographs_are_within_the_bounds():
    # A thumbnail lies in a segment, and has scans of its own.
    thumbnail = with_segments(1, 0xE1, b"\xff\xda" * 300)
    for data in (
        encoded((300, 200), "JPEG"), many_scans(50), thumbnail, encoded((40, 30), "TIFF"), large_tile(64),
    ):  # fmt: skip
        assert read_photograph(Upload(data, "x"), LIMITS, 128).ndim == 3


def hostile():
    """Small switch files that claim much: name, bytes, reason."""
    small, large = load("8-8-8"), load("16-16-16")
    return [
        ("many.mxt", claiming(large, 1, 1024, (16, 16, 16), 64), "a byte holds at most 8,192"),
        ("side.mxt", claiming(small, 1, 2048, (8, 8, 8), 1100), "2048x2048 pixels; this .* of up to 1024"),
        ("images.mxt", claiming(small, 300, 64, (8, 8, 8), 400), "holds 300 images"),
        ("wide.mxt", claiming(small, 1, 512, (32, 32, 32), 300), "not those of 8-8-8"),
        ("channels.mxt", claiming(small, 1, 8, (8, 8, 4000), 400), "not those of 8-8-8"),
        ("deep.mxt", claiming(small, 1, 512, (8,) * 9, 300), "not those of 8-8-8"),
    ]


def test_switch_files_that_claim_much_are_refused_before_a_switch_is_read(idle):
    for name, data, reason in hostile():
        assert len(data) < 6000
        with pytest.raises(FormatError, match=rf"^{name} .*{reason}"):
            read_switches(Upload(data, name), LIMITS)


def test_switch_files_that_were_slow_to_refuse_no_longer_are(idle, shared):
    found = sorted((shared / "repro").glob("*.mxt"))
    if not found:
        pytest.skip(f"no switch files in {shared / 'repro'}")
    for path in found:
        with pytest.raises(FormatError):
            read_switches(Upload(path.read_bytes(), path.name), LIMITS)


def test_without_a_compiler_only_packed_switches_are_read(cat, monkeypatch):
    net = load("8-8-8")
    code = net.encode(to_float(cat)[None])
    packed, coded = dumps(code, net, "packed"), dumps(code, net)
    monkeypatch.setattr(bounds, "is_fast", lambda: False)
    monkeypatch.setattr(bounds, "MOST_PLAIN_STEPS", 1000)
    assert read_switches(Upload(packed, "p.mxt"), LIMITS) == ("8-8-8", code)
    with pytest.raises(FormatError, match="as it has no compiler"):
        read_switches(Upload(coded, "c.mxt"), LIMITS)


def test_the_next_visitor_is_served(visitor):
    for name, (data, reason) in PHOTOGRAPHS.items():
        html = visitor.reconstruct(visitor.upload(name, data), "8-8-8", 128)
        assert 'role="alert"' in html
        assert reason in html
    for name, data, _ in hostile():
        html = visitor.ask("switch-file", "change", [visitor.upload(name, data), None, "8-8-8", 128])
        assert 'role="alert"' in html
        assert f"{name} " in html
    assert "mt-compare" in visitor.reconstruct(visitor.upload("cat.png", encoded((40, 30))), "8-8-8", 128)
