"""What a decoder rebuilt, moved through the model itself to where its own switches are those captured.

An observer who trained a decoder had the model to make training pairs with, and so its gradient too
(`models.refine`).
"""

import time

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.auditing.attacker import Attacker, CutShort
from maxtunnel.auditing.budget import Budget
from maxtunnel.auditing.ledger import KNOWN, known_by
from maxtunnel.auditing.outcome import Refined
from maxtunnel.auditing.readers import Decoder
from maxtunnel.auditing.rows import row_of
from maxtunnel.auditing.targets import Target
from maxtunnel.data.images import to_uint8
from maxtunnel.evaluation.metrics import measure
from maxtunnel.models import fast
from maxtunnel.models.refine import WEIGHT, Tiles, Windows, descend
from maxtunnel.switches.codes import SwitchCode

LEAST, MOST = 4, 64  # photographs whose pictures are refined
_SHARE = 0.5  # of the audit's own time, at most, where that is bounded


def refine_pictures(
    target: Target, attacker: Attacker, decoder: Decoder, budget: Budget
) -> tuple[Refined, UInt8[Tensor, "n 3 h w"]]:
    """How near the pictures of known switches come, refined; and these pictures.

    Args:
        target: the model.
        attacker: has its switches.
        decoder: of the known ones, of the attacker's kind.
        budget: says how many rounds, and ends it after half of the audit's own time, but not before LEAST.

    Raises:
        CutShort: a person ended the audit before the first picture was refined.
        ValueError: no gradient reaches what the model pools, on any level.
    """
    rounds, began = budget.config.refine, time.monotonic()
    pairs: list[tuple[Tensor, Tensor]] = []
    wrong: list[tuple[float, float]] = []
    most = min(MOST, attacker.measured)
    for number in range(most):
        passed = time.monotonic() - began
        late = number >= LEAST and passed * (number + 1) / number > _SHARE * budget.seconds
        if late or budget.interrupted.is_set():
            break
        one = torch.tensor([number])
        start, code = attacker.rebuild(decoder, KNOWN, one), attacker.held.code(one)
        found = _refined(target, start, code, attacker.held.numbers, rounds)
        pairs.append((start, found))
        wrong.append((_wrong(target, start, code), _wrong(target, found, code)))
        attacker.on_progress("refine", number + 1, most, "")
    if not pairs:
        raise CutShort("no picture was refined")
    originals = attacker.held.images(torch.arange(len(pairs)))
    blind = measure(attacker.mean.expand(len(pairs), -1, -1, -1), originals)
    name = known_by(attacker.decoder).name
    decoded, refined = (torch.cat(each) for each in zip(*pairs, strict=True))
    before, after = (
        row_of(label, name, measure(pictures, originals), blind)
        for label, pictures in (("as decoded", decoded), ("refined", refined))
    )
    shares = [sum(each) / len(wrong) for each in zip(*wrong, strict=True)]
    return Refined(len(pairs), rounds, before, after, shares[0], shares[1]), to_uint8(refined)


@torch.inference_mode(False)
def _refined(
    target: Target, start: Float[Tensor, "1 3 h w"], code: SwitchCode, numbers: tuple[int, ...], rounds: int
) -> Float[Tensor, "1 3 h w"]:
    levels = dict(zip(numbers, code.levels, strict=True))
    asked = {
        number: Tiles(levels[number].codes) if levels[number].window.tiles(levels[number].size) else
        Windows(levels[number])
        for number in _reached(target, start)
    }  # fmt: skip

    def error(x: Tensor) -> Float[Tensor, ""]:
        planes = target.planes(x)
        # Layers may run elsewhere, and in half precision.
        broken = [ask(planes[number][1].to(x.device, x.dtype))[1] for number, ask in asked.items()]
        return WEIGHT * (x - start).square().sum() + torch.stack(broken).sum()

    with fast.exact(next(target.model.parameters(), start).device):
        return descend(error, start, rounds)


def _reached(target: Target, image: Float[Tensor, "1 3 h w"]) -> list[int]:
    """The numbers of the levels that a gradient leads from to the image.

    Raises:
        ValueError: there is none.
    """
    with torch.enable_grad():
        x = image.clone().requires_grad_()
        found = target.planes(x)
        numbers = [number for number, (_, plane) in found.items() if plane.requires_grad and _leads(plane, x)]
    if not numbers:
        names = ", ".join(name for name, _ in found.values())
        raise ValueError(f"{target.name}: no gradient leads from what {names} pools to the photograph")
    return numbers


def _leads(plane: Tensor, x: Tensor) -> bool:
    (gradient,) = torch.autograd.grad(plane.float().square().sum(), x, retain_graph=True, allow_unused=True)
    return gradient is not None and bool(gradient.any())


def _wrong(target: Target, picture: Float[Tensor, "1 3 h w"], code: SwitchCode) -> float:
    """The share of the picture's own switches that are not the code's."""
    levels = target.record(target.filled(picture)).levels
    pairs = [(own.switches.codes[:1].cpu(), its.codes) for own, its in zip(levels, code.levels, strict=True)]
    wrong = sum(int((own != its).sum()) for own, its in pairs)
    return wrong / sum(its.numel() for _, its in pairs)
