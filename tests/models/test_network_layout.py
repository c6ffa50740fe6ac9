"""Layouts as the what-where autoencoders' paper writes them."""

import pytest

from maxtunnel.models.layout import Convolution, Layout
from maxtunnel.switches.window import Window

MNIST = "(16)5c-(32)3c-2p"
STL10 = "(64)3c-4p-(64)3c-3p-(128)3c-(128)3c-2p-(256)3c-(256)3c-(256)3c-(512)3c-(512)3c-(512)3c-2p-10fc"


def test_a_layout_is_read():
    layout = Layout.parse("(16)5c-(32)3c-2p-100fc-10fc")
    assert layout.convolutions == (Convolution(16, 5), Convolution(32, 3, 2))
    assert layout.connected == (100, 10)
    assert layout.windows == (Window(2),)


@pytest.mark.parametrize("text", [MNIST, STL10, "(8)1c-16p", "(2)3c-2p-(3)7c"])
def test_a_layout_is_written_as_it_was_read(text):
    assert str(Layout.parse(text)) == text


def test_repeated_layers():
    assert Layout.parse("(64)3c-4p-(64)3c-3p-(128)3cx2-2p-(256)3cx3-(512)3cx3-2p-10fc") == Layout.parse(STL10)


@pytest.mark.parametrize("times", ["x3", " x3", "x 3", " x 3", "  x3 "])
def test_spaces_around_repetitions_and_layers_say_nothing(times):
    spelt = f"(64)3c-4p-(64)3c-3p-(128)3c-(128)3c-2p-(256)3c{times}-(512)3c{times} - 2p -10fc"
    assert Layout.parse(spelt) == Layout.parse(STL10)


def test_the_sizes_of_stl10_come_out_even():
    sides = [height for height, _ in Layout.parse(STL10).sizes((96, 96))]
    assert sides == [96, 24, 8, 8, 4, 4, 4, 4, 4, 4, 2]


def test_sizes_that_pooling_does_not_divide():
    assert Layout.parse("(4)3c-2p-(4)3c-3p").sizes((29, 13)) == ((29, 13), (14, 6), (4, 2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"'' in the layout '': expected a layer such as"),
        ("(16)5c-2p-", r"'' in the layout"),
        ("(16)5d-2p", r"'\(16\)5d' in the layout .* expected a layer such as"),
        ("16c5-2p", r"'16c5' in the layout"),
        ("(0)3c-2p", r"'\(0\)3c' in"),
        ("(123456)3c-2p", r"'\(123456\)3c' in"),
        ("2p-(16)3c", r"'2p' in .* a pooling stands behind a layer"),
        ("(16)3c-2p-2p", r"'2p' in .* a pooling stands behind a layer"),
        ("(16)3c-2p-10fc-2p", r"'2p' in .* a pooling stands behind a layer"),
        ("(16)3c-2p-10fc-(16)3c", r"'\(16\)3c' in .* fully connected layers stand last"),
        ("10fc", r"'10fc' in .* fully connected layers stand last"),
        ("(16)3c-10fc", "pools nothing: expected a pooling such as 2p"),
        ("(16)4c-2p", r"\(16\)4c has filters of an even side: expected an odd one, such as \(16\)5c"),
        ("(16)3c-17p", "289 cells: give one of at most 256"),
        ("(16)3cx101-2p", "expected at most 100 layers"),
        ("(16)3cx60-2p-(16)3cx60", "has 120 layers: expected at most 100"),
    ],
)
def test_what_is_no_layout_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        Layout.parse(text)


def test_a_plane_that_would_be_pooled_to_nothing():
    with pytest.raises(
        ValueError, match="behind layer 2 a plane of height 1, width 5 would be pooled to noth"
    ):
        Layout.parse("(4)3c-4p-(4)3c-2p").sizes((7, 20))
