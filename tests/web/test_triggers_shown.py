"""What a switch says, on the page: four patches of one channel for every level."""

import re

from maxtunnel.web import triggers
from maxtunnel.web.networks import network


def test_every_level_has_its_patches_in_whole_pixels():
    shown = triggers.show(network("8-8-8"), 9)
    assert re.findall(r"<b>(Level \d)</b>, channel (\d)", shown) == [(f"Level {n}", "2") for n in (1, 2, 3)]
    assert re.findall(r'width="(\d+)" height="(\d+)"', shown) == [("268", "64")] * 3


def test_a_channel_that_tells_nothing_claims_no_colour():
    shown = triggers.show(network("8-8-8-pretrained"), 4)
    assert "nan" not in shown
