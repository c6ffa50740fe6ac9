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
    """

    unpooling: DenseUnpooling
    shape: DenseShape
    about: str = ""
    side: int | None = None


DENSE = Kind("dense network", "maxtunnel dense network 1", Settings)
