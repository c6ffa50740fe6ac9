"""What the file of a network that answers for every pixel says of its weights."""

from dataclasses import dataclass

from maxtunnel.models.dense_shape import DenseShape
from maxtunnel.models.saved import Kind
from maxtunnel.support.choices import DenseUnpooling


@dataclass(frozen=True)
class Settings:
    """What the weights of a file are of.

    Attributes:
        unpooling, shape: the arguments of `DenseNetwork`.
        about, side: see there.

    Raises:
        ValueError: `side` is no number of pixels.
    """

    unpooling: DenseUnpooling
    shape: DenseShape
    about: str = ""
    side: int | None = None

    def __post_init__(self) -> None:
        if self.side is not None and self.side < 1:
            raise ValueError(f"`side` is {self.side}: expected at least 1 pixel")


DENSE = Kind("dense network", "maxtunnel dense network 1", Settings)
