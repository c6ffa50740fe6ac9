"""Pictures of an audit that are refined through the model: nearer, by its own gradient, and no harm done."""

import json
from dataclasses import replace

import pytest
import torch
from specimens import convolutions, photographs, small_result
from torch import nn

from maxtunnel.auditing import (
    AuditConfig,
    Conclusions,
    Target,
    audit,
    experiments,
    load_target,
    write_report,
)
from maxtunnel.auditing import refining as module
from maxtunnel.data.images import to_float

pytestmark = pytest.mark.usefixtures("one_thread")


def audited(model, **settings):
    config = AuditConfig(
        **{"steps": 4, "images": 8, "width": 4, "refine": 6, "decoder": "mirrored"} | settings
    )
    return audit(model, photographs(20), holdout=photographs(9, seed=1), config=config)


def test_refined_pictures_come_nearer_and_their_switches_are_right():
    result = small_result()
    found = result.refined
    assert (found.photographs, found.rounds) == (40, 10)
    assert found.refined.rmse < 0.99 * found.decoded.rmse
    assert found.wrong_refined < 0.5 * found.wrong_decoded < 0.5
    # All that were measured are refined here: what they were before is the row of known switches.
    known = result.rows["known"]
    assert found.decoded.rmse == pytest.approx(known.rmse)
    assert found.decoded.explained == pytest.approx(known.explained)
    assert found.decoded.decoder == found.refined.decoder == known.decoder
    assert result.pictures["refined"].shape == result.pictures["known"].shape
    assert not torch.equal(result.pictures["refined"], result.pictures["known"])


def test_the_report_says_so(tmp_path):
    result = small_result()
    page = write_report(result, tmp_path)
    moved = f"RMSE {result.refined.refined.rmse:.3f}, from {result.refined.decoded.rmse:.3f}"
    assert moved in Conclusions(result).verdict
    text = page.read_text()
    assert moved in text
    assert "<h2>Refined</h2>" in text
    assert json.loads((tmp_path / "audit.json").read_text())["refined"]["photographs"] == 40
    assert (tmp_path / "pictures" / "refined.png").exists()
    without = replace(result, refined=None)
    assert "Refined through" not in Conclusions(without).verdict
    assert "<h2>Refined</h2>" not in write_report(without, tmp_path / "without").read_text()


class Strided(nn.Module):
    """Pools by windows that overlap, then by others that leave cells out."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.MaxPool2d(3, 2, 1), nn.Conv2d(6, 6, 3), nn.MaxPool2d(2, 3)
        )

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize("levels", [None, (2,)])
def test_any_windows_will_do_and_the_model_is_left_as_it_was(levels):
    model = Strided().train()
    weights = [weight.clone() for weight in model.parameters()]
    found = audited(model, levels=levels).refined
    assert found.photographs == 8
    assert found.wrong_refined < found.wrong_decoded
    assert model.training
    for weight, before in zip(model.parameters(), weights, strict=True):
        assert weight.grad is None
        assert torch.equal(weight, before)


def test_the_planes_are_those_that_are_pooled_with_their_gradient():
    model = convolutions(4, 5)
    image = to_float(photographs(1)).requires_grad_()
    for batch in (None, 3):
        ((number, (name, plane)),) = (
            Target(model, "model", lambda x: x - 0.5, batch, levels=(2,)).planes(image).items()
        )
        assert (number, name) == (2, "5")
        assert torch.allclose(plane, model[:5](image - 0.5), atol=1e-6)
        (gradient,) = torch.autograd.grad(plane.square().sum(), image)
        (expected,) = torch.autograd.grad(model[:5](image - 0.5).square().sum(), image)
        torch.testing.assert_close(gradient, expected)


class Still(nn.Module):
    """Runs without gradients."""

    def __init__(self):
        super().__init__()
        self.model = convolutions(4)

    @torch.no_grad()
    def forward(self, x):
        return self.model(x)


def test_where_no_gradient_passes_the_rest_is_not_lost():
    result = audited(Still())
    assert result.refined is None
    assert "known" in result.rows
    (reason,) = [text for text in result.left_out if "refined" in text]
    assert reason.startswith("failed: refined pictures (")
    assert "no gradient leads from what model.2 pools to the photograph" in reason


class Odd(nn.Module):
    """Half precision, or what else a model may do, before it pools by levels named first and second."""

    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(0)
        self.kind, self.first, self.second = kind, nn.MaxPool2d(2), nn.MaxPool2d(2)
        self.a, self.b = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 5, 3, padding=1)
        self.register_buffer("seen", torch.zeros(5))
        if kind == "half":
            self.to(torch.bfloat16)

    def forward(self, x):
        if self.kind == "writes its input":
            x.sub_(0.5)
        y = self.a(x)
        if self.kind == "keeps a mean":
            self.seen.mul_(0.9).add_(0.1 * y.mean((0, 2, 3)))
        pooled = self.first(y)
        if self.kind == "changes the plane":
            y.relu_()
        return self.second(self.b(pooled.detach() if self.kind == "cut" else pooled))


@pytest.mark.parametrize("kind", ["half", "writes its input", "keeps a mean", "cut"])
def test_models_of_all_kinds_are_refined_and_left_as_they_were(kind):
    model = Odd(kind)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    result = audited(model)
    assert result.refined is not None, result.left_out
    assert result.refined.wrong_refined < result.refined.wrong_decoded
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
        assert tensor.grad_fn is None


def test_levels_that_no_gradient_leads_from_ask_for_nothing():
    image = to_float(photographs(1))
    assert module._reached(Target(Odd("cut"), "model"), image) == [1]
    assert module._reached(Target(Odd(""), "model"), image) == [1, 2]
    rounding = Target(Odd(""), "model", lambda x: (255 * x).round() / 255)
    with pytest.raises(ValueError, match="no gradient leads from what first, second pools"):
        module._reached(rounding, image)
    with pytest.raises(ValueError, match="changes the plane of first after it was pooled"):
        Target(Odd("changes the plane"), "model").planes(image)


def test_a_network_of_ours_is_refined_as_any_other():
    image = to_float(photographs(1))
    assert module._reached(load_target("8-8-8"), image) == [1, 2, 3]


def test_an_audit_that_is_ended_keeps_what_was_refined(monkeypatch):
    refined = module._refined

    def ended(*arguments):
        budgets[0].interrupted.set()
        return refined(*arguments)

    budgets = []
    whole = module.refine_pictures
    monkeypatch.setattr(module, "_refined", ended)
    monkeypatch.setattr(
        experiments, "refine_pictures", lambda *given: budgets.append(given[-1]) or whole(*given)
    )
    result = audited(convolutions(4))
    assert result.interrupted
    assert result.refined.photographs == 1


def test_it_ends_in_time_but_not_before_a_few(monkeypatch):
    monkeypatch.setattr(module, "_SHARE", 1e-9)
    result = audited(convolutions(4), steps=None, minutes=0.05, least_steps=1)
    assert result.refined.photographs == module.LEAST
    assert audited(convolutions(4)).refined.photographs == 8
    assert audited(convolutions(4), refine=0).refined is None


def test_fewer_than_no_rounds_are_refused():
    with pytest.raises(ValueError, match="`refine` is -1"):
        AuditConfig(refine=-1)
