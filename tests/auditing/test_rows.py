"""Rows of a table and shares between them."""

import pytest
import torch

from maxtunnel.auditing.rows import row_of, shares


def test_a_row_sums_up_its_photographs():
    values = torch.tensor([[0.01, 0.03], [20.0, 16.0], [0.5, 0.7]], dtype=torch.float64)
    mean = torch.tensor([[0.1, 0.06], [10.0, 12.0], [0.1, 0.1]], dtype=torch.float64)
    row = row_of("a row", "a decoder", values, mean)
    assert (row.name, row.decoder) == ("a row", "a decoder")
    assert row.rmse == pytest.approx(0.02**0.5)
    assert (row.psnr, row.ssim) == (pytest.approx(18), pytest.approx(0.6))
    assert row.explained == pytest.approx(1 - 0.04 / 0.16)
    # Two photographs: the extremes are the draws of one of them twice.
    assert row.rmse_ci95 == (pytest.approx(0.1), pytest.approx(0.03**0.5))
    assert row.explained_ci95 == (pytest.approx(1 - 0.03 / 0.06), pytest.approx(1 - 0.01 / 0.1))


def test_shares_of_parts_that_add_up():
    errors = {key: torch.full((10,), value, dtype=torch.float64) for key, value in
              {"neither": 1.0, "what": 0.7, "where": 0.4, "both": 0.1}.items()}  # fmt: skip
    found = shares(**errors)
    assert (found.what, found.where) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert found.where_ci95 == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert shares(errors["neither"], errors["what"], errors["where"], 0.99 * errors["neither"]) is None
