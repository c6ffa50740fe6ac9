"""How the page lies on the screen, a phone's too: whole pixels, what stands beside what, signs of more."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from screen import Screen

pytestmark = pytest.mark.usefixtures("one_thread")
SIZES = [(390, 844), (844, 390), (1280, 900)]


def shot(locator):
    """What an element looks like."""
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("L")).astype(float)


@pytest.mark.parametrize("size", SIZES)
def test_every_dot_of_switches_and_layers_has_the_same_size(screen, size):
    screen.resize(*size)
    screen.open("Inside", "#inside .mt-pixels")
    screen.holds("() => [...document.querySelectorAll('img.mt-dots')].every(image => image.complete)")
    shown = screen.page.evaluate(
        "() => [...document.querySelectorAll('img.mt-dots')].filter(image => image.offsetParent)"
        ".map(image => [image.getBoundingClientRect().width, image.naturalWidth])"
    )
    # The photograph, the switches of each level, the triggers of each level, and the layers.
    assert len(shown) == 1 + 3 + 3 + 10
    assert all(width % natural == 0 and width >= natural for width, natural in shown), shown
    # Of the largest layer, which was shrunk once, every pixel is on the screen as it was sent.
    layer = screen.page.locator("#inside img[alt='channel of unpool1']")
    layer.scroll_into_view_if_needed()
    layer.evaluate("image => image.scrollIntoView({block: 'end', inline: 'start'})")
    sent = screen.pixels("#inside img[alt='channel of unpool1']")[0].numpy()
    # A picture that lies between two pixels is drawn at the nearer one.
    seen, inner = shot(layer), slice(1, 250)
    places = [(slice(1 + y, 250 + y), slice(1 + x, 250 + x)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    assert min(np.abs(seen[place] - sent[inner, inner]).mean() for place in places) < 3


def test_photograph_b_is_chosen_beside_the_transplant(screen):
    for size in SIZES:
        screen.resize(*size)
        screen.open("Switch lab", "#lab .mt-lab-result")
        page = screen.page
        box = {
            "B": page.locator("#second").bounding_box(),
            "button": page.get_by_role("button", name="Transplant").bounding_box(),
            "level": page.locator("#change-1").bounding_box(),
        }
        end = box["B"]["y"] + box["B"]["height"]
        if size[0] == 1280:
            assert box["B"]["y"] - 5 <= box["button"]["y"] < end
        else:
            # Below it, with the samples between.
            assert end <= box["button"]["y"] < end + 150
        assert box["level"]["y"] > max(end, box["button"]["y"])


@pytest.mark.parametrize("size", SIZES)
def test_the_channel_stays_in_sight_of_the_layers(screen, size):
    screen.resize(*size)
    screen.open("Inside", "#inside .mt-pixels")
    screen.page.locator("#inside h3").last.evaluate("head => head.scrollIntoView({block: 'center'})")
    screen.holds(
        "() => { const box = document.querySelector('#channel input[type=range]').getBoundingClientRect();"
        " const on_top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);"
        " return on_top.matches('#channel *'); }"
    )


@pytest.fixture(scope="module", params=["light", "dark"])
def phone(request, browser, server):
    """The page on a phone, and its scheme of colours."""
    screen = Screen(browser, server, viewport={"width": 390, "height": 844}, color_scheme=request.param)
    yield screen, request.param
    screen.close()


def test_a_phone_shows_all_of_it(phone):
    screen, scheme = phone
    screen.resize(390, 844)
    page = screen.page
    tabs = {"Reconstruct": ".mt-compare", "Switch lab": ".mt-lab-result", "Inside": ".mt-pixels"}
    for tab, selector in (tabs | {"Table II": ".mt-table"}).items():
        screen.open(tab, f".tabitem >> {selector}")
        screen.holds("() => document.documentElement.scrollWidth === 390")
    paper, ink = page.evaluate(
        "() => [getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('h1')).color]"
    )
    light, dark = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (paper, ink))
    assert (light > dark) == (scheme == "light")


def test_a_table_that_scrolls_sideways_shows_it(phone):
    screen, _ = phone
    screen.resize(390, 844)
    screen.open("Table II", ".mt-table")
    table = screen.page.locator(".mt-wide")

    def edges():
        # Between two lines of the table, near both sides; the middle has no shadow.
        seen = np.abs(np.median(shot(table), axis=0) - np.median(shot(table)))
        return seen[:6].max(), seen[-6:].max()

    left, right = edges()
    assert left < 5 < 25 < right
    table.evaluate("table => { table.scrollLeft = 1e6; }")
    left, right = edges()
    assert right < 5 < 25 < left
    # There is nothing to show where the table fits.
    screen.resize(1280, 900)
    assert max(edges()) < 5
