"""PGM; HEIC and AVIF, which are read where the library is there, otherwise skipped with what to install."""

import io

import numpy as np
import pytest
from PIL import features
from small_pictures import hwc, photograph, refusal, saved
from small_sources import PNG, SIZE, as_parquet, make_tar, picture_classes

from maxtunnel.data import formats, prepare
from maxtunnel.data.images import read_image


def box(*brands):
    """The start of an ISO media file."""
    data = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return (len(data) + 4).to_bytes(4, "big") + data + bytes(100)


HEIC = box(b"heic", b"mif1", b"heic")
AVIF = box(b"mif1", b"avif", b"miaf")


@pytest.fixture
def bare(monkeypatch):
    """A machine without pillow-heif, whose Pillow reads no AVIF."""
    monkeypatch.setattr(formats, "_heif", lambda: False)
    monkeypatch.setattr(formats.features, "check", lambda feature: False)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("start", "kind", "package"),
    [
        (HEIC, "a HEIC photograph", "pip install pillow-heif"),
        (box(b"mif1", b"heix"), "a HEIC photograph", "pip install pillow-heif"),
        (box(b"avif"), "an AVIF photograph", "pip install 'pillow>=11.3'"),
        (AVIF, "an AVIF photograph", "pip install 'pillow>=11.3'"),
        (box(b"isom", b"mp42"), "a video or another medium (b'ftypisom')", "give a JPEG"),
    ],
)
def test_what_needs_a_library_is_named_with_it(tmp_path, start, kind, package):
    (tmp_path / "a.jpg").write_bytes(start)
    message = refusal(read_image, tmp_path / "a.jpg")
    assert message.startswith(f"{tmp_path / 'a.jpg'} is {kind}")
    assert package in message


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("kind", ["folder", "tar", "parquet"])
def test_they_are_found_and_skipped_in_every_source(tmp_path, kind):
    root = picture_classes(tmp_path / "in", {"a": 1})
    for name, data in (("b.HEIC", HEIC), ("c.heif", HEIC), ("d.avif", AVIF)):
        (root / "a" / name).write_bytes(data)
    source = root
    if kind == "tar":
        members = [
            (f"a/{n}", (root / "a" / n).read_bytes()) for n in ("000.png", "b.HEIC", "c.heif", "d.avif")
        ]
        source = make_tar(tmp_path / "x.tar", members)
    elif kind == "parquet":
        source = as_parquet(root, tmp_path / "x.parquet")
    manifest = prepare(source, tmp_path / "out", size=SIZE)
    assert (manifest.found, manifest.images) == (4, 1)
    assert [name for name, _ in manifest.skipped] == ["a/b.HEIC", "a/c.heif", "a/d.avif"]
    assert all("pip install" in reason for _, reason in manifest.skipped)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_an_avif_photograph_is_read(tmp_path):
    path = saved(tmp_path / "a.avif", photograph(), quality=100, subsampling="4:4:4")
    assert np.abs(hwc(read_image(path)) - photograph().astype(int)).mean() < 2
    path.write_bytes(path.read_bytes()[:-200])
    assert refusal(read_image, path).startswith(f"{path} is cut short")


def test_a_heic_photograph_is_read(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    height, width = photograph().shape[:2]
    file = heif.from_bytes("RGB", (width, height), photograph().tobytes())
    file.save(tmp_path / "a.heic", quality=100, chroma=444)
    assert np.abs(hwc(read_image(tmp_path / "a.heic")) - photograph().astype(int)).mean() < 3
    # The suffix may lie.
    data = (tmp_path / "a.heic").read_bytes()
    assert (hwc(read_image(io.BytesIO(data))) == hwc(read_image(tmp_path / "a.heic"))).all()
    (tmp_path / "a.heic").write_bytes(data[: len(data) // 2])
    assert refusal(read_image, tmp_path / "a.heic").startswith(f"{tmp_path / 'a.heic'} is cut short")


def test_pgm_is_read_as_grey_and_its_kin_is_not(tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    (tmp_path / "a.pgm").write_bytes(b"P5\n# a comment\n4 3\n255\n" + grey.tobytes())
    (tmp_path / "b.pgm").write_text("P2\n4 3\n255\n" + " ".join(map(str, grey.flatten())))
    # 16 bits, the high byte first.
    deep = (grey.astype(int) * 256).astype(">u2").tobytes()
    (tmp_path / "c.pgm").write_bytes(b"P5 4 3 65535\n" + deep)
    for name in ("a", "b", "c"):
        assert (hwc(read_image(tmp_path / f"{name}.pgm")) == grey[..., None]).all(), name
    (tmp_path / "a.pgm").write_bytes((tmp_path / "a.pgm").read_bytes()[:-3])
    assert refusal(read_image, tmp_path / "a.pgm").startswith(f"{tmp_path / 'a.pgm'} is cut short")
    (tmp_path / "d.pgm").write_bytes(b"P6 1 1 255\nabc")
    assert "is no image that can be read" in refusal(read_image, tmp_path / "d.pgm")


def test_a_folder_of_pgm_is_prepared_and_what_lies_beside_is_counted(tmp_path):
    (tmp_path / "in" / "a").mkdir(parents=True)
    pgm = b"P5\n4 3\n255\n" + bytes(12)
    for name, data in (("1.pgm", pgm), ("2.PGM", pgm), ("3.pgm.bad", pgm), ("a.info", b"words")):
        (tmp_path / "in" / "a" / name).write_bytes(data)
    manifest = prepare(tmp_path / "in", tmp_path / "out", size=SIZE)
    assert (manifest.found, manifest.images, manifest.skipped) == (4, 2, ())
    assert dict(manifest.ignored) == {".bad": 1, ".info": 1}


def test_jfif_is_jpeg(tmp_path):
    (tmp_path / "in").mkdir()
    saved(tmp_path / "in" / "a.jfif", photograph())
    (tmp_path / "in" / "b.png").write_bytes(PNG)
    assert prepare(tmp_path / "in", tmp_path / "out", size=SIZE).images == 2
