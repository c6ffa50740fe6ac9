"""What each level of switches gives away, alone and together with all coarser ones."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from maxtunnel.auditing.attacker import Attacker
from maxtunnel.auditing.ledger import EVERY_LEVEL, DecoderInput, known_by
from maxtunnel.auditing.outcome import AuditedLevel, coded_bits
from maxtunnel.auditing.readers import Decoder
from maxtunnel.auditing.rows import Row
from maxtunnel.auditing.samples import Samples
from maxtunnel.data.images import to_uint8
from maxtunnel.evaluation.intervals import ratio_of_means
from maxtunnel.switches.changes import only

CODED = 16  # photographs whose switches are coded, to count bits
# Of the variance: two decoders that differ by less may be two draws of one.
NOISE = 0.005
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
    known: Decoder,
    steps: int,
    shown: Int64[Tensor, " n"],
    levels: tuple[AuditedLevel, ...],
) -> tuple[tuple[AuditedLevel, ...], Pictures]:
    """The levels with their rows, and the pictures `alone N` and `from deepest N`.

    All levels together are what the decoder of known switches reads. A copy of it goes on to learn all other
    cases.

    Args:
        attacker: has the switches.
        known: its decoder of known switches.
        steps: that it goes on for.
        shown: the held photographs that pictures are made of.
        levels: what `describe_levels` gives.
    """
    alone, from_deepest = level_inputs(attacker.seen)
    # For the coarsest level both cases are the same.
    cases = [*alone.values(), *list(from_deepest.values())[1:-1]]
    every = DecoderInput(EVERY_LEVEL, tuple(case.changes[0] for case in cases))
    decoder = attacker.train(every, steps, start=known) if len(alone) > 1 else known
    of_known = known_by(attacker.decoder).name
    pictures: Pictures = {}
    readings: dict[str, dict[int, Reading]] = {}
    for key, inputs in (("alone", alone), ("from deepest", from_deepest)):
        readings[key] = {}
        for number, given in inputs.items():
            kept = _kept(attacker.seen, key, number)
            reads, name = (decoder, EVERY_LEVEL) if len(kept) < len(alone) else (known, of_known)
            row, errors = attacker.measure(reads, given)
            readings[key][number] = Reading(kept, replace(row, decoder=name), errors)
            pictures[f"{key} {number}"] = to_uint8(attacker.rebuild(reads, given, shown))
    every_reading = [reading for found in readings.values() for reading in found.values()]
    measured = [
        replace(
            level,
            alone=readings["alone"][level.number].row,
            from_deepest=readings["from deepest"][level.number].row,
            surpassed_by=surpassed_by(
                readings["from deepest"][level.number], every_reading, attacker.of_mean[0]
            ),
        )
        for level in levels
    ]
    return tuple(measured), pictures


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read of some levels.

    Attributes:
        kept: the numbers of these levels.
        row: how close it came.
        errors: squared error of each photograph.
    """

    kept: frozenset[int]
    row: Row
    errors: Float64[Tensor, " n"]


def surpassed_by(reading: Reading, others: Sequence[Reading], of_mean: Float64[Tensor, " n"]) -> str:
    """The name of a row of fewer switches that explains more than this one, beyond noise; or nothing.

    Whoever has more switches can leave some aside. A decoder that reads less of them has not learned it.

    Args:
        reading: of some levels.
        others: of these and other levels.
        of_mean: squared error of the mean image for each photograph.
    """
    for other in sorted(others, key=lambda each: each.row.rmse):
        if other.kept < reading.kept:
            # The same photographs for both: most of what differs between photographs is not in the interval.
            _, (low, _) = ratio_of_means(reading.errors - other.errors, of_mean)
            if low > NOISE:
                return other.row.name
    return ""


def level_inputs(samples: Samples) -> tuple[ByNumber, ByNumber]:
    """By the number of each level, coarsest first: that level alone, and that level with all coarser ones."""
    levels = samples.by_number
    alone = {
        number: DecoderInput(f"{levels[number].name} alone", (only(_kept(samples, "alone", number)),))
        for number in samples.coarsest_first
    }
    from_deepest = {
        number: DecoderInput(
            f"{levels[number].name} and coarser", (only(_kept(samples, "from deepest", number)),)
        )
        for number in samples.coarsest_first
    }
    return alone, from_deepest


def _kept(samples: Samples, key: str, number: int) -> frozenset[int]:
    """The numbers of the levels that are known in a case of a level."""
    numbers = samples.coarsest_first
    return frozenset({number} if key == "alone" else numbers[: numbers.index(number) + 1])
