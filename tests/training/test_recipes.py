"""The recipes' rates, and the precision that a machine gets."""

from dataclasses import replace

import pytest
import torch

from maxtunnel.training.recipes import FAST, PAPER


@pytest.mark.parametrize(
    ("gpu", "processor", "precision"),
    [(False, False, "32"), (False, True, "bf16"), (True, False, "bf16")],
)
def test_bfloat16_only_where_it_is_multiplied_in_one_step(gpu, processor, precision, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: processor)
    assert FAST.precision == "auto"
    assert FAST.resolved() == replace(FAST, precision=precision)


def test_a_precision_that_is_asked_for_is_kept(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert PAPER.resolved() == PAPER
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    asked = replace(FAST, precision="bf16")
    assert asked.resolved() == asked


def test_paper_rates_are_constant_and_fast_ones_rise_and_fall():
    assert {PAPER.rate(step) for step in (0, 1, 49_999)} == {0.01}
    rates = [FAST.rate(step) for step in range(FAST.steps)]
    peak = rates.index(max(rates))
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert max(rates) == FAST.learning_rate
    assert rates[-1] < 1e-5
