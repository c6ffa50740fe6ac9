"""The photographs that ship with the package; LICENSES.md says whose they are."""

from pathlib import Path

from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.data.images import read_image

DEMO = ("astronaut", "rocket", "chelsea", "coffee")


def demo_photographs() -> dict[str, UInt8[Tensor, "3 h w"]]:
    """The pixels of the four photographs, 256x256, by name."""
    return {name: read_image(Path(__file__).with_name(f"{name}.jpg")) for name in DEMO}
