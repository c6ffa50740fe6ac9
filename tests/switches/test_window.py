import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from maxtunnel.switches.window import Window


def test_numbers_become_pairs_and_stride_defaults_to_the_kernel():
    window = Window(3, padding=1)
    assert (window.kernel, window.stride, window.padding) == ((3, 3), (3, 3), (1, 1))
    assert window.cells == 9
    assert Window(2, 2) == Window() == Window((2, 2), (2, 2), (0, 0), (1, 1), False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel": 17}, "289 cells"),
        ({"kernel": 0}, "kernel is 0"),
        ({"kernel": 2, "stride": 0}, "stride is 0"),
        ({"kernel": 2, "padding": -1}, "padding is -1"),
        ({"kernel": 2, "padding": 2}, "half"),
    ],
)
def test_refuses_impossible_geometry_in_words(arguments, message):
    with pytest.raises(ValueError, match=message):
        Window(**arguments)


def test_256_cells_are_the_most():
    assert Window(16).cells == 256


sides = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    half=st.booleans(),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    ceil_mode=st.booleans(),
    size=sides,
)
def test_output_size_is_pytorchs(kernel, stride, half, dilation, ceil_mode, size):
    padding = (kernel[0] // 2, kernel[1] // 2) if half else (0, 0)
    window = Window(kernel, stride, padding, dilation, ceil_mode)
    try:
        expected = tuple(
            F.max_pool2d(torch.zeros(1, 1, *size), kernel, stride, padding, dilation, ceil_mode).shape[2:]
        )
    except RuntimeError:
        with pytest.raises(ValueError, match=r"fits into|no cell"):
            window.output_size(size)
        return
    values = F.max_pool2d(torch.zeros(1, 1, *size), kernel, stride, padding, dilation, ceil_mode)
    if values.min() < 0:
        # A window with no cell in the plane: PyTorch gives -inf and an index outside the plane.
        with pytest.raises(ValueError, match="no cell in the plane"):
            window.output_size(size)
    else:
        assert window.output_size(size) == expected


@pytest.mark.parametrize(
    ("window", "overlaps"),
    [
        (Window(), False),
        (Window(3, 2), True),
        (Window(2, 2, dilation=2), True),
        (Window(1, 1), False),
        (Window(2, 3), False),
    ],
)
def test_overlap(window, overlaps):
    assert window.overlaps is overlaps


def test_says_itself_in_words():
    assert str(Window(3, 2, 1)) == "3x3 window with stride 2x2, padding 1x1"
    # As people say sizes, the other way round than its fields.
    tall = Window(kernel=(3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), ceil_mode=True)
    said = "2x3 window with stride 1x2, padding 0x1, dilation 2x1, ceil_mode (width x height)"
    assert str(tall) == said


@pytest.mark.parametrize(
    ("window", "size", "message"),
    [
        (Window((5, 1)), (4, 9), r"no 1x5 window .* \(width x height\) fits into .* height 4, width 9"),
        (Window(2, 1, 1, 3), (2, 7), "plane of height 2, width 7 has windows with no cell in the plane"),
    ],
)
def test_names_both_sides_of_a_plane(window, size, message):
    with pytest.raises(ValueError, match=message):
        window.output_size(size)


def test_large_planes_take_no_longer():
    """A switch file may name hundreds of geometries, and each is checked before it is refused."""
    began = time.process_time()
    for side in range(60000, 60100):
        Window(2, 1).output_size((side, side))
    assert time.process_time() - began < 1
