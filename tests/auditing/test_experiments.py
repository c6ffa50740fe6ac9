"""Small audits as a whole."""

import pytest
import torch
from specimens import convolutions, generator, photographs, small_result
from torch import nn

from maxtunnel.auditing import AuditConfig, Conclusions, audit
from maxtunnel.auditing.outcome import coded_bits
from maxtunnel.auditing.photographs import check_photographs
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.window import Window
from third_party import third_party_network

pytestmark = pytest.mark.usefixtures("one_thread")


def test_an_audit_finds_the_leak_and_the_controls_do_not():
    result = small_result()
    rows = result.rows
    assert rows["known"].rmse < 0.92 * rows["mean"].rmse
    assert rows["known"].explained_ci95[0] > 0.1
    for key in ("random", "fixed"):
        assert rows[key].rmse == pytest.approx(rows["mean"].rmse, rel=0.1)
    assert rows["other"].rmse > rows["mean"].rmse
    assert rows["known"].rmse_ci95[0] < rows["known"].rmse < rows["known"].rmse_ci95[1]
    assert rows["both"].rmse < rows["fixed"].rmse
    assert rows["untrained"].explained > 0
    assert result.shares.where > 0
    assert result.shares.what + result.shares.where == pytest.approx(1)
    assert [found.among for found in result.identified] == [100, 110, 100, 110]
    assert result.identified[0].found_ci95[0] > 5 * result.identified[0].chance
    conclusions = Conclusions(result)
    assert conclusions.withheld == {}
    assert f"RMSE {conclusions.best.rmse:.3f}" in conclusions.verdict


def test_levels_come_in_call_order_with_their_bits():
    result = small_result()
    first, second = result.levels
    assert (first.number, first.name, second.number, second.name) == (1, "2", 2, "5")
    assert first.nominal_bits == 2 * 6 * 12 * 12
    assert first.coded_bits < first.nominal_bits
    # The first level with all coarser ones is all there is; the coarsest with all coarser ones is alone.
    assert first.from_deepest.rmse < second.from_deepest.rmse == second.alone.rmse
    assert result.bits_per_pixel == pytest.approx((first.nominal_bits + second.nominal_bits) / (3 * 24 * 24))


@pytest.mark.parametrize(("levels", "numbers"), [(None, [1, 2, 3]), ((2, 3), [2, 3]), ((3, 1), [1, 3])])
def test_levels_and_pictures_are_numbered_from_1_in_call_order(levels, numbers):
    model = convolutions(3, 4, 5).train()
    config = AuditConfig(steps=2, images=8, levels=levels, width=4)
    found = audit(model, photographs(20), holdout=photographs(8, seed=1), config=config)
    assert [level.number for level in found.levels] == numbers
    assert [level.name for level in found.levels] == [str(3 * number - 1) for number in numbers]
    assert [level.channels for level in found.levels] == [number + 2 for number in numbers]
    assert [level.pooled for level in found.levels] == [(32 >> number,) * 2 for number in numbers]
    of_levels = {key for key in found.pictures if key.startswith(("alone", "from deepest"))}
    assert of_levels == {f"{key} {number}" for key in ("alone", "from deepest") for number in numbers}
    # There is nothing coarser than the coarsest level.
    coarsest = found.levels[-1]
    assert coarsest.alone.name == f"{coarsest.name} alone"
    assert coarsest.alone.rmse == coarsest.from_deepest.rmse
    assert torch.equal(found.pictures[f"alone {numbers[-1]}"], found.pictures[f"from deepest {numbers[-1]}"])
    assert not torch.equal(
        found.pictures[f"alone {numbers[0]}"], found.pictures[f"from deepest {numbers[0]}"]
    )
    assert model.training


@pytest.mark.parametrize(
    ("levels", "asked"), [((4,), "4"), ((0, 1), "0"), ((), "empty"), ((1, 9, 7), "7, 9")]
)
def test_levels_that_do_not_exist_are_refused(levels, asked):
    with pytest.raises(ValueError, match=f"`levels` is {asked}: expected numbers .* 1 to 3"):
        audit(convolutions(3, 4, 5), photographs(20), config=AuditConfig(levels=levels))


def test_the_same_steps_give_the_same_result():
    config = AuditConfig(steps=12, images=16, width=4)
    first, second = (
        audit(convolutions(3), photographs(20, 16), holdout=photographs(16, 16, seed=1), config=config)
        for _ in range(2)
    )
    assert first.rows == second.rows
    assert first.levels == second.levels
    assert first.identified == second.identified


@pytest.mark.parametrize(
    "images",
    [torch.rand(40, 3, 8, 8), torch.zeros(40, 8, 8, 3, dtype=torch.uint8), torch.zeros(3, 8, 8).byte(), [1]],
)
def test_photographs_of_another_kind_are_refused(images):
    with pytest.raises(ValueError, match=r"give uint8 RGB, 0 to 255, of shape \(n, 3, h, w\)"):
        check_photographs(images)


def test_too_few_photographs():
    images = torch.zeros(20, 3, 16, 16, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"18 photographs to train on and 2 to measure on.*`holdout`"):
        audit(nn.MaxPool2d(2), images)


@pytest.mark.parametrize(
    "wrong",
    [{"minutes": -1.0}, {"minutes": 0.0}, {"steps": 0}, {"width": 0}, {"images": 0}, {"mitigations": -1.0}],
)
def test_an_audit_without_time_or_width_is_refused(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` is .*: expected"):
        AuditConfig(**wrong)


def test_mitigations_are_measured_on_as_many_photographs_as_rows(monkeypatch):
    attackers = []
    monkeypatch.setattr(
        "maxtunnel.auditing.run.try_mitigations",
        lambda target, attacker, *others: attackers.append(attacker) or ((), []),
    )
    config = AuditConfig(steps=1, mitigations=1.0, images=9, width=4)
    found = audit(convolutions(2), photographs(16), holdout=photographs(12), config=config)
    assert found.images == {"given": 16, "trained": 16, "measured": 9, "searched": 12}
    assert [attacker.measured for attacker in attackers] == [9]


def test_coded_bits_are_what_a_switch_file_takes():
    codes = torch.randint(0, 4, (5, 3, 32, 32), generator=generator()).to(torch.uint8)
    noise, nothing = (SwitchLevel(where, Window(), (64, 64)) for where in (codes, torch.zeros_like(codes)))
    of_noise, of_nothing = coded_bits(SwitchCode((noise, nothing), (64, 64)))
    # Nobody can say noise in fewer bits, and there is little to say about nothing.
    assert noise.nominal_bits * 0.99 < of_noise < noise.nominal_bits * 1.02
    assert of_nothing < 0.05 * nothing.nominal_bits


@pytest.mark.parametrize(
    ("name", "levels", "decoder", "side"),
    [
        ("monai BasicUNet", 4, "mirrored", 32),
        ("monai ResNet", 1, "both", 32),
        ("unet UNet2D", 3, "mirrored", 32),
        ("kornia YuNet", 5, "mirrored", 64),
    ],
)
def test_an_audit_of_third_party_networks(name, levels, decoder, side):
    pytest.importorskip("monai")
    pixels = (torch.rand(24, 3, side, side, generator=generator()) * 255).to(torch.uint8)
    config = AuditConfig(steps=1, images=8, width=4, decoder=decoder)
    found = audit(third_party_network(name), pixels, holdout=pixels[:8], config=config)
    assert len(found.levels) == levels
    assert found.untrained == ""
    assert all(row.rmse > 0 for row in found.rows.values())
