"""The page in a real browser, where there is one: every control, uploads, the table, the keyboard."""

import re

import pytest
import torch
from screen import Screen
from web_files import encoded, rebuilt

from maxtunnel.codec import loads
from maxtunnel.data.images import read_image, to_float, to_uint8
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.web.page import PHOTOGRAPHS
from maxtunnel.zoo.names import load, shipped, shipped_architecture

ENCODERS = [
    "-".join(map(str, shipped_architecture(name).widths))
    for name in shipped()
    if not name.endswith("-strong")
]
pytestmark = pytest.mark.usefixtures("one_thread")
LEFT, RIGHT = "#reconstruction .mt-left", "#reconstruction .mt-right"
STRONG = "#reconstruction .mt-row figure:nth-child(2) .mt-right"
RESULT = "#lab .mt-lab-result"


@pytest.fixture(scope="module")
def permitted(browser, server):
    """A page that may look through the camera and into the clipboard."""
    screen = Screen(browser, server, permissions=["camera", "clipboard-read", "clipboard-write"])
    yield screen
    screen.close()


def test_a_sample_is_rebuilt_when_the_page_opens(screen):
    # First, as others send photographs of their own to this page.
    assert "switch" in screen.page.locator(".mt-head").inner_text()
    path = PHOTOGRAPHS / "chelsea.jpg"
    assert torch.equal(screen.pixels(LEFT), read_image(path))
    assert torch.equal(screen.pixels(RIGHT), rebuilt("16-16-16", path.read_bytes()))
    assert torch.equal(screen.pixels(STRONG), rebuilt("16-16-16-strong", path.read_bytes()))


def test_an_uploaded_photograph_comes_back_as_the_library_gives_it(screen):
    page, data = screen.page, encoded((150, 100))
    screen.send("mine.png", data)
    screen.told("mine.png, 150×100, through 16-16-16")
    assert torch.equal(screen.pixels(RIGHT), rebuilt("16-16-16", data))
    page.locator("#network input").click()
    page.get_by_role("option", name="8-8-8").first.click()
    screen.told("through 8-8-8")
    assert torch.equal(screen.pixels(RIGHT), rebuilt("8-8-8", data))
    assert torch.equal(screen.pixels(STRONG), rebuilt("8-8-8-strong", data))
    page.locator("#side").get_by_label("128", exact=True).check()
    screen.told("mine.png, 128×85")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the switches").click()
    switches = download.value.path().read_bytes()
    assert download.value.suggested_filename == "mine-8-8-8.mxt"
    small = screen.pixels(LEFT)
    assert loads(switches) == load("8-8-8").encode(to_float(small)[None])
    picture = screen.pixels(RIGHT)
    page.locator("#switch-file input[type=file]").set_input_files(
        {"name": "mine.mxt", "mimeType": "application/octet-stream", "buffer": switches}
    )
    screen.told("rebuilt by 8-8-8 from")
    assert torch.equal(screen.pixels("#reconstruction .mt-decoded"), picture)
    # Without the switch file it is the photograph's turn again.
    page.locator("#switch-file button[aria-label='Clear']").click()
    screen.told("mine.png, 128×85")


def test_a_sample_is_taken(screen):
    screen.page.locator(".mt-inputs").get_by_role("button", name="coffee").click()
    screen.told("coffee.jpg")


def test_the_clipboard_is_taken(permitted):
    screen, page = permitted, permitted.page
    page.locator("#photograph button[aria-label='Remove Image']").click()
    screen.told("Drop a photograph")
    paste = page.locator("#photograph button[aria-label='Paste from clipboard']").first
    paste.wait_for()
    page.evaluate(
        "async (url) => { const png = await (await fetch(url)).blob();"
        " await navigator.clipboard.write([new ClipboardItem({'image/png': png})]); }",
        page.locator(".mt-way img").first.get_attribute("src"),
    )
    paste.click()
    screen.told("224×224")


def test_the_camera_is_taken(permitted):
    screen, page = permitted, permitted.page
    page.locator("#photograph button[aria-label='Remove Image']").click()
    screen.told("Drop a photograph")
    page.locator("#photograph button[aria-label='Capture from camera']").first.click()
    page.get_by_text("Click to Access Webcam").click()
    screen.holds("() => document.querySelector('#photograph video')?.readyState >= 2")
    page.locator("#photograph button[aria-label='capture photo']").click()
    page.wait_for_selector("#reconstruction .mt-compare")


def test_every_control_of_the_lab_changes_the_picture(open_screen):
    screen = open_screen()
    page = screen.page
    cat = demo_photographs()["chelsea"]
    alone = to_uint8(load("16-16-16").reconstruct(to_float(cat)[None])[0])
    screen.open("Switch lab", RESULT)
    for level in (1, 2, 3):
        choices = page.locator(f"#change-{level}")
        # The same lines make the choices of all levels, so all of them are tried at one level.
        labels = ("fixed", "random", "shuffled", "from B", "flip p", "keep")
        for label in labels if level == 1 else labels[-2:]:
            screen.changed(RESULT, lambda c=choices, t=label: c.get_by_label(t).check())
        share = page.locator(f"#share-{level} input[type=range]")
        # Moving a share takes it into use.
        screen.changed(RESULT, lambda s=share: s.fill("0.6"))
        assert choices.get_by_label("flip p").is_checked()
    screen.changed(RESULT, lambda: page.locator("#seed input[type=range]").fill("5"))
    page.get_by_role("button", name="Back to A alone").click()
    screen.shows(RESULT, alone)
    assert page.locator("#change-2").get_by_label("keep").is_checked()
    screen.changed(RESULT, lambda: page.get_by_role("button", name="Transplant").click())
    assert page.locator("#what").get_by_label("features of B").is_checked()
    # Features are for the paper's decoder alone: the page says so, and the button goes back to it.
    decoder = page.locator("#lab-decoder")
    decoder.get_by_label("the strong decoder").check()
    page.locator("#lab [role=alert]").get_by_text("takes switches alone").wait_for()
    page.get_by_role("button", name="Transplant").click()
    page.wait_for_selector(RESULT)
    assert decoder.get_by_label("the paper's decoder").is_checked()
    screen.changed(RESULT, lambda: screen.send("other.png", encoded((64, 64)), "#second"))
    page.locator("#what").get_by_label("constant").check()
    screen.shows(RESULT, alone)
    decoder.get_by_label("the strong decoder").check()
    screen.shows(RESULT, to_uint8(load("16-16-16-strong").reconstruct(to_float(cat)[None])[0]))


def test_the_levels_are_those_of_the_network(screen):
    screen.open("Switch lab", RESULT)
    shown = [text.split("\n")[0] for text in screen.page.locator(".mt-level").all_inner_texts()]
    assert shown == ["Level 1 (finest)", "Level 2", "Level 3 (deepest)"]


@pytest.mark.parametrize(
    ("size", "change"), [((390, 664), "random"), ((844, 390), "fixed"), ((1280, 800), "shuffled")]
)
def test_the_result_stays_in_sight_of_every_level(screen, size, change):
    page = screen.page
    screen.resize(*size)
    screen.open("Switch lab", RESULT)
    screen.changed(RESULT, lambda: page.locator("#change-3").get_by_label(change).check())
    page.locator("#change-3").evaluate("choices => choices.scrollIntoView({block: 'center'})")
    screen.holds("() => document.querySelector('#lab').getBoundingClientRect().y === 0")
    screen.holds(
        "(selector) => { const box = document.querySelector(selector).getBoundingClientRect();"
        " const on_top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);"
        " return on_top.matches(selector); }",
        RESULT,
    )
    page.locator("#change-1").get_by_label("random").focus()
    screen.holds(
        "() => document.querySelector('#change-1 input').getBoundingClientRect().y"
        " > document.querySelector('#lab').getBoundingClientRect().bottom"
    )
    screen.resize(1280, 900)


def test_inside_follows_channel_network_and_photograph(screen):
    page, first = screen.page, "#inside .mt-pixels"
    screen.open("Inside", first)
    assert page.locator("#inside figure").count() == 3 + 3 + 10 + 5
    screen.changed(first, lambda: page.locator("#channel input[type=range]").fill("4"))
    screen.changed(first, lambda: page.locator(".mt-inputs").get_by_role("button", name="rocket").click())
    screen.changed(first, lambda: page.locator("#inside-decoder").get_by_label("the strong decoder").check())
    assert page.locator("#inside figure").count() == 3 + 3 + 7 + 5
    # What was changed while another tab was open is there when one comes back.
    page.get_by_role("tab", name="Reconstruct").click()
    screen.told("rocket.jpg")


def test_the_table_is_sorted_by_any_column(screen):
    page = screen.page
    screen.open("Table II", ".mt-table")
    rows = page.locator(".mt-table tbody tr")
    shown = [row.split("\t")[0] for row in rows.all_inner_texts()]
    assert shown == [*ENCODERS, "mean image"]

    def measured():
        """Without the encoders that have no such decoder."""
        return [float(cell) for cell in page.locator(".mt-table .mt-best").all_inner_texts() if cell != "–"]

    errors = measured()
    head = page.locator(".mt-table thead button", has_text=re.compile("^RMSE$"))
    for reverse in (False, True):
        head.focus()
        page.keyboard.press("Enter")
        assert measured() == sorted(errors, reverse=reverse)


def test_what_was_not_measured_stays_at_the_end_of_the_table(screen):
    page = screen.page
    screen.open("Table II", ".mt-table")
    page.evaluate("() => document.querySelector('.mt-table .mt-best').setAttribute('data-key', 'Infinity')")
    head = page.locator(".mt-table thead button", has_text=re.compile("^RMSE$"))
    for _ in range(2):
        head.click()
        last = page.locator(".mt-table .mt-best").last
        assert last.get_attribute("data-key") == "Infinity"


def test_a_bad_upload_shows_words_and_the_page_goes_on(browser, server):
    screen = Screen(browser, server)
    screen.send("broken.png", encoded((60, 60))[:900])
    screen.page.wait_for_selector("#reconstruction [role=alert]")
    assert "broken.png is cut short" in screen.page.locator("#reconstruction").inner_text()
    # Too large is told before it is sent, or by the server.
    screen.send("big.png", bytes(2_100_000))
    screen.page.get_by_text(re.compile("maximum allowed size")).first.wait_for()
    screen.send("fine.png", encoded((60, 50)))
    screen.told("fine.png, 60×50")
    # The browser itself complains of pictures that it cannot show, and of what was refused.
    screen.wrong = [line for line in screen.wrong if "413" not in line and "maximum" not in line]
    screen.close()


def test_the_keyboard_moves_everything(open_screen):
    screen = open_screen()
    page = screen.page
    page.get_by_label("How much of original").first.focus()
    before = page.locator(".mt-compare > i").first.bounding_box()["x"]
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    screen.holds(
        "before => document.querySelector('.mt-compare > i').getBoundingClientRect().x > before + 10", before
    )
    page.get_by_role("tab", name="Reconstruct").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(RESULT)
    page.locator("#change-1").get_by_label("keep").focus()
    page.keyboard.press("Tab")
    screen.changed(RESULT, lambda: page.keyboard.press("Space"))
    # Where the keyboard is can be seen, on Gradio's controls too.
    outlined = "() => getComputedStyle(document.activeElement).outlineStyle !== 'none'"
    for _ in range(6):
        page.keyboard.press("Tab")
        screen.holds(outlined)
    page.locator("#network input").focus()
    screen.holds(outlined)
