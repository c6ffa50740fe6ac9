"""How units of a layer are pictured."""

from dataclasses import dataclass

from maxtunnel.support.choices import OverlapRule, VisualisingMethod

STRONGEST = 9  # photographs a unit, three by three as in the paper
TOP = 9  # units a layer, where they are not named


@dataclass(frozen=True)
class VisualisingConfig:
    """How units of a layer are pictured.

    Attributes:
        method: `deconvnet` (Zeiler and Fergus 2014), `guided` (Springenberg and others 2015), `gradient`, or
            `occlusion` by a grey square.
        overlap: what a cell gets that several windows of a pooling chose, for `deconvnet`: the `last` of
            their values that are not 0, or their `sum`. The paper does not say which; it "places" what comes
            back, which is the first. Derivatives sum, so the other methods do.
        square: side of the grey square in pixels; by default an eighth of the shorter side.
        batch: photographs at a time.
        seed: of the random switches.
    """

    method: VisualisingMethod = "deconvnet"
    overlap: OverlapRule = "last"
    square: int | None = None
    batch: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"`batch` is {self.batch}: give at least one photograph")
        if self.square is not None and self.square < 1:
            raise ValueError(f"`square` is {self.square}: give a side of at least one pixel")


DEFAULTS = VisualisingConfig()
