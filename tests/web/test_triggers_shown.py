"""What a switch says, on the page: four patches of one channel for every level."""

import re

from maxtunnel.web import triggers
from maxtunnel.web.networks import network


def test_every_level_has_its_patches_in_whole_pixels():
    shown = triggers.show(network("8-8-8"), 9)
    assert re.findall(r"<b>(Level \d)</b>, channel (\d)", shown) == [(f"Level {n}", "2") for n in (1, 2, 3)]
    # Patches of 8, 16 and 32 pixels, each pixel as large as 60 allow; three gaps of 4.
    sizes = [(str(4 * side + 12), str(side)) for side in (56, 48, 32)]
    assert re.findall(r'width="(\d+)" height="(\d+)"', shown) == sizes


def test_a_channel_that_tells_nothing_claims_no_colour():
    shown = triggers.show(network("8-8-8-pretrained"), 4)
    assert "nan" not in shown
