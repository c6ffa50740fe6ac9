"""What a visitor sends, checked before anything is done with it: its amount, names and numbers."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

SIDES = (128, 256, 512, 1024, 2048)


@dataclass(frozen=True)
class Limits:
    """What the page takes in.

    Attributes:
        max_megabytes: of any file.
        max_megapixels: of a photograph as it comes; it is decoded whole before it is made smaller.
        max_side: longest side in pixels that is computed on; the choices on the page end here.

    Raises:
        ValueError: a limit that leaves nothing to do.
    """

    max_megabytes: int = 20
    max_megapixels: int = 25
    max_side: int = 1024

    def __post_init__(self) -> None:
        for name in ("max_megabytes", "max_megapixels"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` is {getattr(self, name)}: expected at least 1")
        if self.max_side not in SIDES:
            raise ValueError(f"`max_side` is {self.max_side}: expected one of {', '.join(map(str, SIDES))}")

    @property
    def sides(self) -> list[int]:
        """Longest sides to choose from."""
        return [side for side in SIDES if side <= self.max_side]

    @property
    def max_bytes(self) -> int:
        """Bytes of any file."""
        return self.max_megabytes * 10**6

    def __str__(self) -> str:
        return (
            f"files of up to {self.max_megabytes} MB, photographs of up to {self.max_megapixels} megapixels, "
            f"switch files of up to {self.max_side} pixels a side"
        )


def printable(name: object) -> str:
    """A file name without folders, marks and control characters, shortened at its end."""
    plain = re.sub(r"[^\w .()+-]", "_", Path(str(name)).name).strip()
    stem, suffix = Path(plain).stem or "file", Path(plain).suffix
    return stem[:60] + suffix[:12]


def choose(value: object, among: Collection[str], name: str) -> str:
    """`value`, if it is one of `among`; otherwise ValueError, which calls it by `name`."""
    if not isinstance(value, str) or value not in among:
        raise ValueError(f"{name} is {printable(value)}: choose one of {', '.join(among)}")
    return value


def number(value: object, low: int, high: int, name: str) -> float:
    """`value` as a number from `low` to `high`; otherwise ValueError, which calls it by `name`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} is {printable(value)}: expected {low} to {high}")
    return float(value)
