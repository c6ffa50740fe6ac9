"""How long the parts of an audit take with a model, measured before the time is shared out."""

import time
from dataclasses import replace

from maxtunnel.auditing.attacker import Attacker
from maxtunnel.auditing.budget import Speed
from maxtunnel.auditing.config import AuditConfig
from maxtunnel.auditing.ledger import KNOWN
from maxtunnel.auditing.samples import Samples, sample
from maxtunnel.auditing.targets import Target
from maxtunnel.data.batches import Pixels
from maxtunnel.data.mean import mean_image

FEW = 8  # photographs to try
_STEPS = 6


def measure_speed(target: Target, pixels: Pixels, config: AuditConfig, seconds: float) -> Speed:
    """Try capturing, training and measuring on a few photographs.

    Args:
        target: the model.
        pixels: photographs; the first ones are taken.
        config: of the audit.
        seconds: that it may take, or little more.
    """
    started = time.monotonic()
    # The first pass of a model takes longer.
    sample(target, pixels[:1], phase="try")
    began = time.monotonic()
    few = sample(target, pixels[:FEW], phase="try")
    capture = (time.monotonic() - began) / len(few)
    return replace(speed_of_decoders(few, config, seconds - (time.monotonic() - started)), capture=capture)


def speed_of_decoders(few: Samples, config: AuditConfig, seconds: float) -> Speed:
    """The same of photographs that are captured already; rows take as long as by the slowest kind."""
    attacker = Attacker(few, few, mean_image(few.pixels), config.width, config.seed, FEW)
    attacker.measure_mean()
    steps, rows = {}, []
    for kind in config.kinds:
        of_kind = attacker.read_by(kind)
        decoder, steps[kind] = of_kind.try_steps(_STEPS, seconds / len(config.kinds))
        began = time.monotonic()
        of_kind.measure(decoder, KNOWN)
        rows.append((time.monotonic() - began) / of_kind.measured)
    return Speed(steps, max(1e-6, *rows), 0.0)
