"""What each level of switches gives away, alone and together with all coarser ones."""

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxtunnel.auditing.attacker import Attacker
from maxtunnel.auditing.ledger import DecoderInput
from maxtunnel.auditing.outcome import AuditedLevel, coded_bits
from maxtunnel.auditing.rows import Row
from maxtunnel.auditing.samples import Samples
from maxtunnel.data.images import to_uint8
from maxtunnel.models.mirrored import MirroredDecoder
from maxtunnel.switches.changes import only
from maxtunnel.switches.codes import SwitchLevel

CODED = 16  # photographs whose switches are coded, to count bits
Pictures = dict[str, UInt8[Tensor, "n 3 h w"]]
ByNumber = dict[int, DecoderInput]


def audit_levels(
    attacker: Attacker, known: MirroredDecoder, steps: int, shown: Int64[Tensor, " n"]
) -> tuple[tuple[AuditedLevel, ...], Pictures]:
    """Every level that an observer sees, in call order, and the pictures `alone N` and `from deepest N`.

    The decoder of known switches goes on to learn all cases.

    Args:
        attacker: has the switches.
        known: the decoder of known switches.
        steps: that it goes on for.
        shown: the held photographs that pictures are made of.
    """
    alone, from_deepest = level_inputs(attacker.seen)
    # For the coarsest level both cases are the same.
    cases = [*alone.values(), *list(from_deepest.values())[1:]]
    every = DecoderInput("levels, one decoder for all", tuple(case.changes[0] for case in cases))
    decoder = attacker.train(every, steps, start=known)
    pictures = {
        f"{key} {number}": to_uint8(attacker.rebuild(decoder, given, shown))
        for key, inputs in (("alone", alone), ("from deepest", from_deepest))
        for number, given in inputs.items()
    }
    held = attacker.held
    coded = coded_bits(held.code(torch.arange(min(attacker.measured, CODED))))
    levels = tuple(
        _audited(
            number,
            level,
            bits,
            attacker.measure(decoder, alone[number])[0],
            attacker.measure(decoder, from_deepest[number])[0],
        )
        for (number, level), bits in zip(held.by_number.items(), coded, strict=True)
    )
    return levels, pictures


def level_inputs(samples: Samples) -> tuple[ByNumber, ByNumber]:
    """By the number of each level, coarsest first: that level alone, and that level with all coarser ones."""
    numbers, levels = samples.coarsest_first, samples.by_number
    alone = {number: DecoderInput(f"{levels[number].name} alone", (only({number}),)) for number in numbers}
    from_deepest = {
        number: DecoderInput(f"{levels[number].name} and coarser", (only(set(numbers[:count])),))
        for count, number in enumerate(numbers, 1)
    }
    return alone, from_deepest


def _audited(number: int, level: SwitchLevel, coded: float, alone: Row, from_deepest: Row) -> AuditedLevel:
    return AuditedLevel(
        number=number,
        name=level.name,
        window=str(level.window),
        channels=level.codes.shape[1],
        pooled=(level.codes.shape[-2], level.codes.shape[-1]),
        size=level.size,
        nominal_bits=level.nominal_bits,
        coded_bits=coded,
        alone=alone,
        from_deepest=from_deepest,
    )
