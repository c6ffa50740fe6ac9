"""What each level of switches gives away, alone and together with all coarser ones."""

import time
from dataclasses import replace

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxtunnel.auditing.attacker import Attacker
from maxtunnel.auditing.ledger import EVERY_LEVEL, DecoderInput
from maxtunnel.auditing.outcome import AuditedLevel, coded_bits
from maxtunnel.auditing.rows import Row
from maxtunnel.auditing.samples import Samples
from maxtunnel.data.images import to_uint8
from maxtunnel.models.mirrored import MirroredDecoder
from maxtunnel.switches.changes import only

CODED = 16  # photographs whose switches are coded, to count bits
Pictures = dict[str, UInt8[Tensor, "n 3 h w"]]
ByNumber = dict[int, DecoderInput]


def describe_levels(held: Samples, most: int, seconds: float) -> tuple[AuditedLevel, ...]:
    """Every level that an observer sees, in call order, with its bits and without rows.

    Args:
        held: photographs, whose switches are coded.
        most: photographs to code.
        seconds: that coding may take; one photograph is always coded.
    """
    began = time.monotonic()
    coded = coded_bits(held.code(torch.arange(1)))
    each = time.monotonic() - began
    count = min(most, CODED, len(held), int(min(seconds / max(each, 1e-6), CODED)))
    if count > 1:
        coded = coded_bits(held.code(torch.arange(count)))
    return tuple(
        AuditedLevel(
            number=number,
            name=level.name,
            window=str(level.window),
            channels=level.codes.shape[1],
            pooled=(level.codes.shape[-2], level.codes.shape[-1]),
            size=level.size,
            nominal_bits=level.nominal_bits,
            coded_bits=bits,
            alone=None,
            from_deepest=None,
        )
        for (number, level), bits in zip(held.by_number.items(), coded, strict=True)
    )


def audit_levels(
    attacker: Attacker,
    known: MirroredDecoder,
    steps: int,
    shown: Int64[Tensor, " n"],
    levels: tuple[AuditedLevel, ...],
) -> tuple[tuple[AuditedLevel, ...], Pictures]:
    """The levels with their rows, and the pictures `alone N` and `from deepest N`.

    The decoder of known switches goes on to learn all cases.

    Args:
        attacker: has the switches.
        known: the decoder of known switches.
        steps: that it goes on for.
        shown: the held photographs that pictures are made of.
        levels: what `describe_levels` gives.
    """
    alone, from_deepest = level_inputs(attacker.seen)
    # For the coarsest level both cases are the same.
    cases = [*alone.values(), *list(from_deepest.values())[1:]]
    every = DecoderInput(EVERY_LEVEL, tuple(case.changes[0] for case in cases))
    decoder = attacker.train(every, steps, start=known)
    pictures = {
        f"{key} {number}": to_uint8(attacker.rebuild(decoder, given, shown))
        for key, inputs in (("alone", alone), ("from deepest", from_deepest))
        for number, given in inputs.items()
    }
    measured = [
        replace(
            level,
            alone=_row(attacker, decoder, alone[level.number]),
            from_deepest=_row(attacker, decoder, from_deepest[level.number]),
        )
        for level in levels
    ]
    return tuple(measured), pictures


def level_inputs(samples: Samples) -> tuple[ByNumber, ByNumber]:
    """By the number of each level, coarsest first: that level alone, and that level with all coarser ones."""
    numbers, levels = samples.coarsest_first, samples.by_number
    alone = {number: DecoderInput(f"{levels[number].name} alone", (only({number}),)) for number in numbers}
    from_deepest = {
        number: DecoderInput(f"{levels[number].name} and coarser", (only(set(numbers[:count])),))
        for count, number in enumerate(numbers, 1)
    }
    return alone, from_deepest


def _row(attacker: Attacker, decoder: MirroredDecoder, given: DecoderInput) -> Row:
    """The row of one case of the decoder that learned all."""
    return replace(attacker.measure(decoder, given)[0], decoder=EVERY_LEVEL)
