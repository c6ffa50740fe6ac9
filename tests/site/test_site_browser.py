"""The page without a server, in a real browser, against what the package computes."""

import base64
import hashlib
import io

import numpy as np
import pytest
import torch
from PIL import Image

from maxtunnel.data.images import to_float, to_uint8
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.evaluation.metrics import rmse
from maxtunnel.models import tiling
from maxtunnel.zoo.names import load
from near_ties import undecided

pytestmark = pytest.mark.usefixtures("one_thread")
# Arrays go in and out as base64.
ENCODE = """async ({ pixels, width, height }) => {
  const { encode } = await import("./engine.js"), { hash } = await import("./switches.js");
  const given = Uint8ClampedArray.from(atob(pixels), (each) => each.charCodeAt(0));
  const { levels } = await encode({ name: "8-8-8", pixels: given, width, height });
  const text = ({ codes }) => btoa(Array.from(codes, (each) => String.fromCharCode(each)).join(""));
  return { codes: levels.map(text), hash: await hash(levels) };
}"""
DROP = """() => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File(["no picture"], "notes.txt", { type: "text/plain" }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}"""
DECODE = """async ({ kind, levels, pixels, width, height }) => {
  const { decode } = await import("./engine.js");
  const bytes = (text) => Uint8ClampedArray.from(atob(text), (each) => each.charCodeAt(0));
  const found = await decode({
    name: "8-8-8", kind, width, height, targets: [bytes(pixels)],
    levels: levels.map((level) => ({ ...level, codes: new Uint8Array(bytes(level.codes)) })),
  });
  const picture = btoa(Array.from(found.pixels, (each) => String.fromCharCode(each)).join(""));
  return { picture, error: found.errors[0] };
}"""


@pytest.fixture(scope="module")
def network():
    return load("8-8-8")


@pytest.fixture(scope="module")
def photographs():
    """The four of the package, at 128x128."""
    return {name: pixels[:, ::2, ::2].contiguous() for name, pixels in demo_photographs().items()}


def text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def rgba(pixels):
    """Pixels as a canvas holds them."""
    opaque = np.full((*pixels.shape[1:], 1), 255, np.uint8)
    return text(np.concatenate([pixels.permute(1, 2, 0).numpy(), opaque], 2))


def encoded(page, pixels):
    """The browser's codes of every level, and its hash."""
    given = {"pixels": rgba(pixels), "width": pixels.shape[2], "height": pixels.shape[1]}
    found = page.evaluate(ENCODE, given)
    return [np.frombuffer(base64.b64decode(codes), np.uint8) for codes in found["codes"]], found["hash"]


def decoded(page, kind, code, pixels):
    """The browser's picture of a code, and its error."""
    levels = [
        {"codes": text(level.codes.numpy()), "channels": level.codes.shape[1],
         "height": level.codes.shape[2], "width": level.codes.shape[3]}
        for level in code.levels
    ]  # fmt: skip
    height, width = code.image_size
    given = {"kind": kind, "levels": levels, "pixels": rgba(pixels), "width": width, "height": height}
    found = page.evaluate(DECODE, given)
    picture = np.frombuffer(base64.b64decode(found["picture"]), np.uint8).reshape(height, width, 4)
    return torch.from_numpy(picture[..., :3].copy()).permute(2, 0, 1), found["error"]


def digest(parts):
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


@pytest.mark.parametrize("name", list(demo_photographs()))
def test_the_switches_of_the_photographs_are_the_packages(page, network, photographs, name):
    images = to_float(photographs[name])[None]
    codes, told = encoded(page, photographs[name])
    assert told == digest(codes)
    ours = [level.codes.numpy().ravel() for level in network.encode(images).levels]
    # Sums of float32 in another order decide otherwise where two values agree to the last bits.
    near = [each.numpy().ravel() for each in undecided(network, images)]
    assert digest(np.where(n, 0, c) for n, c in zip(near, codes, strict=True)) == digest(
        np.where(n, 0, c) for n, c in zip(near, ours, strict=True)
    )
    assert sum(int((a != b).sum()) for a, b in zip(codes, ours, strict=True)) <= 4


@pytest.mark.parametrize(("kind", "side"), [("mirrored", 128), ("strong", 45)])
def test_the_picture_is_the_packages(page, network, photographs, kind, side):
    pixels = photographs["chelsea"][:, :side, : side - 3].contiguous()
    reader = network if kind == "mirrored" else load("8-8-8-strong")
    code, images = network.encode(to_float(pixels)[None]), to_float(pixels)[None]
    picture, error = decoded(page, kind, code, pixels)
    output = reader.decode(code)
    assert (picture.int() - to_uint8(output[0]).int()).abs().max() <= 1
    assert abs(error - rmse(output, images)) < 1e-5


def test_a_large_picture_goes_in_pieces(page, network, photographs):
    pixels = torch.cat([photographs["coffee"][:, :40]] * 5, 2)[:, :, :600].contiguous()
    code = tiling.encode(network, pixels)
    codes, _ = encoded(page, pixels)
    others = sum(int((a != b.codes.numpy().ravel()).sum()) for a, b in zip(codes, code.levels, strict=True))
    assert others <= 4
    picture, _ = decoded(page, "mirrored", code, pixels)
    assert (picture.int() - tiling.decode(network, code).int()).abs().max() <= 1


def shown(page, selector):
    """What a canvas shows."""
    return page.evaluate("(selector) => document.querySelector(selector).toDataURL()", selector)


def changes(page, selector, act):
    """Do something, and wait until a canvas shows something else."""
    before = shown(page, selector)
    act()
    for _ in range(600):
        if shown(page, selector) != before:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{selector} did not change")


def test_a_file_is_rebuilt_beside_itself(page):
    picture = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)).save(picture, "png")
    file = {"name": "mine.png", "mimeType": "image/png", "buffer": picture.getvalue()}
    page.set_input_files("#file", file)
    page.wait_for_selector('body[data-shown="mine.png 8-8-8 70x50"]')
    sizes = "() => [...document.querySelectorAll('#by-mirrored canvas')].map((c) => [c.width, c.height])"
    assert page.evaluate(sizes) == [[70, 50]] * 2
    page.set_input_files("#file", {"name": "no.png", "mimeType": "image/png", "buffer": b"no"})
    page.get_by_text("no.png is no picture that this browser can open").wait_for()
    # What was shown before stays chosen, and any file can be chosen again.
    assert page.locator("#status").inner_text() == "mine.png, 70×50, through 8-8-8."
    assert page.locator("#file").input_value() == ""
    page.select_option("#side", "128")
    page.locator("#notice").wait_for(state="hidden")
    page.evaluate(DROP)
    page.get_by_text("notes.txt is no picture that this browser can open").wait_for()
    page.select_option("#side", "256")
    page.locator(".inputs .samples button").first.click()
    page.wait_for_selector('body[data-shown="astronaut.jpg 8-8-8 256x256"]')
    assert page.locator("#notice").is_hidden()


def test_the_lab_follows_mouse_keyboard_and_sliders(page):
    page.select_option("#side", "128")
    page.wait_for_selector('body[data-shown="astronaut.jpg 8-8-8 128x128"]')
    page.get_by_role("tab", name="Rebuild").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.activeElement.id === 'tab-lab'")
    page.locator("#lab .told", has_text="level 3 0.0 %").wait_for()
    result, own = "#lab-result", shown(page, "#lab-result")
    changes(page, result, lambda: page.locator("#map").click(position={"x": 200, "y": 150}))
    assert "bottom right" in page.locator("#at").inner_text()
    page.locator("#map").focus()
    page.keyboard.press("ArrowDown")
    changes(page, result, lambda: page.keyboard.press("1"))
    assert "top left" in page.locator("#at").inner_text()
    changes(page, result, lambda: page.locator("#share-3").fill("60"))
    page.locator("#lab .told", has_text="level 3 4").wait_for()
    changes(page, result, lambda: page.locator("#reset").click())
    page.locator("#lab .told", has_text="level 3 0.0 %").wait_for()
    assert shown(page, result) == own


def test_the_transplant_takes_levels_of_another(page, network, photographs):
    page.get_by_role("tab", name="Transplant").click()
    page.locator("#transplant .told", has_text="RMSE").wait_for()
    changes(page, "#mixed", lambda: page.get_by_role("radiogroup", name="Level 3").get_by_label("B").check())
    changes(page, "#mixed", lambda: page.locator("#others button", has_text="rocket").click())
    page.set_input_files("#other-file", {"name": "b.png", "mimeType": "image/png", "buffer": b"no"})
    page.get_by_text("b.png is no picture that this browser can open").wait_for()
    changes(page, "#mixed", lambda: page.locator("#others button", has_text="chelsea").click())
    assert page.locator("#notice").is_hidden()
    assert page.locator("#others [aria-pressed=true]").inner_text() == "chelsea"
    picture = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(picture, "png")
    file = {"name": "b.png", "mimeType": "image/png", "buffer": picture.getvalue()}
    changes(page, "#mixed", lambda: page.set_input_files("#other-file", file))
    assert page.locator("#others [aria-pressed=true]").count() == 0


def test_the_table_is_sorted_and_the_page_fits_a_phone(page):
    page.get_by_role("tab", name="Table II").click()
    page.locator(".mt-table thead button", has_text="parameters").click()
    counts = page.locator(".mt-table tbody tr td:last-child").all_inner_texts()[:-1]
    assert counts == sorted(counts, key=lambda count: int(count.replace(",", "")))
    page.set_viewport_size({"width": 360, "height": 740})
    for tab in ("Rebuild", "Switch lab", "Transplant", "Table II"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("() => document.scrollingElement.scrollWidth <= innerWidth")
    # Cut short, Table II would read Table I.
    assert page.locator("[role=tablist]").evaluate("(tabs) => tabs.scrollWidth <= tabs.clientWidth")
