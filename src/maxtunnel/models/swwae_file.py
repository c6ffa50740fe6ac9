"""What the file of a what-where autoencoder says of its weights."""

from dataclasses import dataclass

from maxtunnel.models.saved import Kind
from maxtunnel.support.choices import Unpooling
from maxtunnel.switches.window import Pair

FORMAT = "maxtunnel what-where autoencoder 1"
_MOST = 1 << 16  # for the numbers in a file


@dataclass(frozen=True)
class Settings:
    """What the weights of a file are of: the arguments of `Swwae`, the layout as it is written.

    Raises:
        ValueError: channels, a side or the classes are not positive, or absurd.
    """

    layout: str
    channels: int
    size: Pair
    classes: int
    unpooling: Unpooling
    batch_norm: bool
    dropout: float
    beta: float | None

    def __post_init__(self) -> None:
        for number in (self.channels, *self.size, self.classes):
            if not 0 < number < _MOST:
                raise ValueError(
                    f"channels, size or classes are {str(number)[:20]}: expected 1 to {_MOST - 1}"
                )


SWWAE = Kind("what-where autoencoder", FORMAT, Settings)
