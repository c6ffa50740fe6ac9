"""What a decoder rebuilt, moved through the model itself to where its own switches are those captured.

An observer who trained a decoder had the model to make training pairs with, and so its gradient too
(`models.refine`).
"""

import math
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
        CutShort: a person ended the audit.
        ValueError: no gradient reaches what the model pools.
    """
    rounds, began = budget.config.refine, time.monotonic()
    moved: list[Tensor] = []
    wrong: list[tuple[float, float]] = []
    most = min(MOST, attacker.measured)
    for number in range(most):
        passed = time.monotonic() - began
        if number >= LEAST and passed * (number + 1) / number > _SHARE * budget.seconds:
            break
        if budget.interrupted.is_set():
            raise CutShort(f"{len(moved)} pictures were refined")
        one = torch.tensor([number])
        start, code = attacker.rebuild(decoder, KNOWN, one), attacker.held.code(one)
        found = _refined(target, start, code, attacker.held.numbers, rounds)
        moved.append(found)
        wrong.append((_wrong(target, start, code), _wrong(target, found, code)))
        attacker.on_progress("refine", number + 1, most, "")
    chosen = torch.arange(len(moved))
    originals, mean = attacker.held.images(chosen), attacker.mean.expand(len(moved), -1, -1, -1)
    blind = measure(mean, originals)
    name = known_by(attacker.decoder).name
    decoded, refined = (
        row_of(label, name, measure(pictures, originals), blind)
        for label, pictures in (
            ("as decoded", attacker.rebuild(decoder, KNOWN, chosen)),
            ("refined", torch.cat(moved)),
        )
    )
    shares = [sum(each) / len(wrong) for each in zip(*wrong, strict=True)]
    return Refined(len(moved), rounds, decoded, refined, *shares), to_uint8(torch.cat(moved))


@torch.inference_mode(False)
def _refined(
    target: Target, start: Float[Tensor, "1 3 h w"], code: SwitchCode, numbers: tuple[int, ...], rounds: int
) -> Float[Tensor, "1 3 h w"]:
    constraints = {
        number: Tiles(level.codes) if level.window.tiles(level.size) else Windows(level)
        for number, level in zip(numbers, code.levels, strict=True)
    }

    def error(x: Tensor) -> Float[Tensor, ""]:
        planes = target.planes(x)
        if torch.is_grad_enabled() and not all(planes[number].requires_grad for number in numbers):
            raise ValueError(f"{target.name}: no gradient reaches what it pools")
        broken = [ask(planes[number].float())[1].to(x.device) for number, ask in constraints.items()]
        return WEIGHT * (x - start).square().sum() + torch.stack(broken).sum()

    return descend(error, start, rounds)


def _wrong(target: Target, picture: Float[Tensor, "1 3 h w"], code: SwitchCode) -> float:
    """The share of the picture's own switches that are not the code's."""
    levels = target.record(target.filled(picture)).levels
    pairs = [(own.switches.codes[:1].cpu(), its.codes) for own, its in zip(levels, code.levels, strict=True)]
    wrong = sum(int((own != its).sum()) for own, its in pairs)
    return wrong / math.fsum(its.numel() for _, its in pairs)
