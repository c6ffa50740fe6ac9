import pytest
import torch

from maxtunnel.switches import indices as module
from maxtunnel.switches.indices import check_codes, from_indices, to_indices
from maxtunnel.switches.pooling import pool
from maxtunnel.switches.window import Window


@pytest.mark.parametrize("index", [-1, 64, 9])
def test_refuses_indices_outside_their_window(index):
    indices = to_indices(torch.zeros(1, 1, 4, 4, dtype=torch.uint8))
    indices[0, 0, 2, 2] = index
    with pytest.raises(ValueError, match=r"index|indices"):
        from_indices(indices, Window(), (8, 8))


def test_codes_beside_padding_are_checked_piece_by_piece(monkeypatch):
    monkeypatch.setattr(module, "_PIECE", 20)
    window = Window(3, 2, 1)
    codes = pool(torch.randn(5, 3, 8, 8), window)[1]
    check_codes(codes, window, (8, 8))
    codes[4, 2, 0, 1] = 0
    with pytest.raises(ValueError, match="outside its plane"):
        check_codes(codes, window, (8, 8))


def test_names_both_sides_of_planes():
    window, size = Window(3, 2, 1), (7, 9)
    codes = pool(torch.randn(1, 1, *size), window)[1]
    with pytest.raises(
        ValueError, match=r"codes have height 4, width 5, .* height 9, width 7 gives height 5, width 4"
    ):
        to_indices(codes, window, size[::-1])
    with pytest.raises(ValueError, match="plane of height 7, width 9 has 0 to 62"):
        from_indices(torch.full((1, 1, 4, 5), 63), window, size)
    with pytest.raises(ValueError, match=r"outside its own .* over a plane of height 7, width 9"):
        from_indices(torch.zeros(1, 1, 4, 5, dtype=torch.int64), window, size)
    with pytest.raises(ValueError, match="outside its plane of height 7, width 9"):
        check_codes(torch.zeros_like(codes), window, size)


def traced(codes, window, size):
    """Check codes as while an operation is only recorded: nothing is looked at before it is done."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "is_traced", lambda values: True)
        check_codes(codes, window, size)


@pytest.mark.parametrize("window", [Window(16), Window(15), Window()])
def test_codes_are_checked_while_they_are_traced_too(window):
    size = window.smallest_plane((2, 3))
    codes = torch.full((1, 2, 2, 3), window.cells - 1, dtype=torch.uint8)
    for check in (check_codes, traced):
        check(codes, window, size)
    if window.cells < 256:
        codes[0, 1, 1, 2] = window.cells
        with pytest.raises(ValueError, match="has codes 0 to"):
            check_codes(codes, window, size)
        with pytest.raises(RuntimeError, match="a code lies outside its window or its plane"):
            traced(codes, window, size)
