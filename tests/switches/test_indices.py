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
