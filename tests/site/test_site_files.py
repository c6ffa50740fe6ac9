"""Switch files in the browser: the package's bytes, both ways."""

import base64
import hashlib
from pathlib import Path

import numpy as np
import pytest

import maxtunnel
from maxtunnel.codec.serialisation import dumps, loads
from maxtunnel.data.images import to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.zoo.names import load

pytestmark = pytest.mark.usefixtures("one_thread")
SOURCE = Path(maxtunnel.__file__).parent
# What is given comes as base64, so does what is returned.
WRITE = """async ({ levels, width, height }) => {
  const { writeFile } = await import("./engine.js");
  const bytes = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  const given = levels.map((level) => ({ ...level, codes: bytes(level.codes) }));
  const found = await writeFile({ name: "8-8-8", levels: given, width, height });
  return btoa(Array.from(found, (each) => String.fromCharCode(each)).join(""));
}"""
READ = """async (text) => {
  const { readFile } = await import("./engine.js");
  try {
    const found = await readFile(Uint8Array.from(atob(text), (each) => each.charCodeAt(0)));
    const written = ({ codes }) => btoa(Array.from(codes, (each) => String.fromCharCode(each)).join(""));
    return { ...found, levels: found.levels.map(written) };
  } catch (error) {
    return error.message;
  }
}"""


@pytest.fixture(scope="module")
def network():
    return load("8-8-8")


@pytest.fixture(scope="module")
def code(network):
    """Of a part of the cat, with sides that 8 does not divide."""
    return network.encode(to_float(demo_photographs()["chelsea"][None, :, 60:151, 40:170]))


def text(data):
    return base64.b64encode(bytes(data)).decode()


def read(page, data):
    return page.evaluate(READ, text(data))


def test_the_coder_was_compiled_from_the_source():
    (line,) = (SOURCE / "site" / "page" / "codec.sha256").read_text().splitlines()
    source = hashlib.sha256((SOURCE / "native" / "codec.cpp").read_bytes()).hexdigest()
    assert line.split()[0] == source, "codec.cpp is another one: tools/codec_wasm.mjs compiles it anew"


def test_the_browser_writes_the_packages_bytes(page, network, code):
    levels = [
        {"codes": text(level.codes.numpy().tobytes()), "channels": level.codes.shape[1],
         "height": level.codes.shape[2], "width": level.codes.shape[3]}
        for level in code.levels
    ]  # fmt: skip
    height, width = code.image_size
    found = page.evaluate(WRITE, {"levels": levels, "width": width, "height": height})
    assert base64.b64decode(found) == dumps(code, network)
    assert loads(base64.b64decode(found)) == code


@pytest.mark.parametrize("coding", ["entropy", "packed"])
def test_the_browser_reads_the_packages_files(page, network, code, coding):
    found = read(page, dumps(code, network, coding))
    assert (found["name"], found["height"], found["width"]) == ("8-8-8", *code.image_size)
    for given, level in zip(found["levels"], code.levels, strict=True):
        codes = np.frombuffer(base64.b64decode(given), np.uint8)
        assert np.array_equal(codes, level.codes.numpy().ravel())


def test_other_files_are_refused(page, network, code):
    data = bytearray(dumps(code, network))
    assert read(page, b"not a switch file") == "it is no switch file"
    assert "of none of this page's networks: 8-8-8" in read(page, dumps(code))
    assert read(page, data[:60]) == "it is cut short"
    assert read(page, data[:-3]) == "it is cut short"
    assert read(page, data + b"x") == "it goes on after its end"
    for place, told in ((20, "of none of this page's networks"), (32, "its header is damaged")):
        data[place] ^= 1
        assert told in read(page, data)
        data[place] ^= 1
    data[-1] ^= 1
    assert read(page, data) == "level 1 is damaged"


def test_a_file_is_opened_and_saved(page, network, code):
    file = {"name": "cat.mxt", "mimeType": "application/octet-stream", "buffer": dumps(code, network)}
    page.get_by_role("tab", name="Rebuild").click()
    page.set_input_files("#file", file)
    height, width = code.image_size
    page.wait_for_selector(f'body[data-shown="cat.mxt 8-8-8 {width}x{height}"]')
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the switches").click()
    assert download.value.suggested_filename == "cat-8-8-8.mxt"
    assert download.value.path().read_bytes() == dumps(code, network)
    page.set_input_files("#file", file | {"name": "bad.mxt", "buffer": b"no"})
    page.get_by_text("bad.mxt cannot be read: it is no switch file").wait_for()
