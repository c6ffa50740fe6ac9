"""What the paper's sentence on unpooling comes to, alike for classes and for contours of pixels.

The way goes from what looks at no image, 0, to the network with known switches, 1.
"""

from collections.abc import Sequence
from typing import Literal

from maxtunnel.evaluation.intervals import above
from maxtunnel.studies.seeds import Value

Answer = Literal["supported", "supported in part", "contradicted", "open"]
ALMOST_ALL = 0.9
_HALF = 0.5


def because(gains: Sequence[bool | None], kept: Value | None) -> Answer:
    """Whether it works so well because of the switches.

    Supported where known switches are better than all networks that were trained without any, and more than
    half of the way is lost without them; in part where it is less; contradicted where they are worse than one
    of these, or where not even a tenth is lost.

    Args:
        gains: whether known switches are better than each of those; None where that is not told.
        kept: how far the best of those comes; None where known switches are not seen to be better than what
            looks at no image, or one of those is missing.
    """
    if kept is None:
        return "open"
    if False in gains or kept.span[0] >= ALMOST_ALL:
        return "contradicted"
    if None in gains:
        return "open"
    lost = above(kept.span, _HALF)
    return "open" if lost is None else "supported in part" if lost else "supported"


def completely(alone: Value | None) -> Answer:
    """Whether all that is spatial can be had from the switches.

    Args:
        alone: how far a decoder of switches alone comes; None as for `because`.
    """
    if alone is None:
        return "open"
    if alone.span[0] >= ALMOST_ALL:
        return "supported"
    if alone.span[1] >= ALMOST_ALL or above(alone.span) is None:
        return "open"
    return "supported in part" if above(alone.span) else "contradicted"


def rules(nothing: str) -> tuple[str, str]:
    """Both in words, for pages.

    Args:
        nothing: what the way begins at, in the plural.
    """
    return (
        "Works so well because of the switches: supported where known switches are better than both fixed "
        "ones and bilinear upsampling, and the better of these two comes less than half of the way; in part "
        "where it comes farther; contradicted where known switches are worse than one of them, or the better "
        f"one comes at least {ALMOST_ALL:.0%} of the way; otherwise open, and where known switches are not "
        f"seen to be better than {nothing}. Each by the whole interval.",
        "All that is spatial is in the switches: supported where a decoder of switches alone comes at least "
        f"{ALMOST_ALL:.0%} of the way; in part where it comes less, but some of it; contradicted where it "
        "comes none of it; otherwise open. Each by the whole interval.",
    )
