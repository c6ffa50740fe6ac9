"""The tab of networks that answer for every pixel, in a real browser."""

import pytest
import torch
from web_files import as_file, tiny_dense

from maxtunnel.data.images import resize, to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.evaluation.ridges import thin
from maxtunnel.report.contours import lines

pytestmark = pytest.mark.usefixtures("one_thread")
FIRST, THIRD = "#dense figure:nth-child(2) img", "#dense figure:nth-child(4) img"


def drawn(pixels, **given):
    return lines(thin(tiny_dense().answer(to_float(pixels)[None], **given)[0, 0].sigmoid()))


def test_the_tab_follows_photograph_and_donor(screen):
    cat = demo_photographs()["chelsea"]
    screen.open("Segment", FIRST)
    page = screen.page
    assert page.locator("#dense figure").count() == 5
    screen.shows(FIRST, drawn(cat))
    before = screen.pixels(THIRD)
    screen.changed(THIRD, lambda: page.locator("#dense-other").get_by_label("coffee").check())
    assert torch.equal(screen.pixels(FIRST), drawn(cat))
    other = to_float(resize(demo_photographs()["coffee"], (256, 256), "antialias"))[None]
    assert torch.equal(screen.pixels(THIRD), drawn(cat, switches_of=other))
    assert not torch.equal(screen.pixels(THIRD), before)
    small = resize(cat, (60, 90), "antialias")
    screen.send("small.png", as_file(small))
    screen.shows(FIRST, drawn(small))
    assert "small.png, 90×60, through outlines" in page.locator("#dense").inner_text()
    # A phone has them below each other, within its width.
    screen.resize(390, 844)
    page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")
