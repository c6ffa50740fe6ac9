"""Priors: small learned models of one encoder's switches, in whole numbers, which ship with the package.

A prior predicts a code from the codes of the level above, of the earlier channels all around it, and of its
own channel to the left and above. For every channel of a level:

    hidden = relu(bias + sum of `above` rows + sum of `trunk` rows of the earlier channels)      64 units
    units  = relu(middle_bias + hidden x middle + sum of `own` rows)                             32 units
    logits = out_bias + units x out                   row of the cell; column in the upper, in the lower row

A row is looked up by place and code, so nothing is multiplied for the inputs, and `hidden` is a running sum:
a channel, once known, adds its rows for all channels after it (Larochelle and Murray, 2011, did so for bits).
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from maxtunnel.support.files import FormatError

PRIORS = Path(__file__).with_name("priors")
HIDDEN, MIDDLE = 64, 32
# (row, column) of the cells of the own channel that are looked at, counted from the window.
OWN = ((0, -1), (0, -2), *((-1, x) for x in range(-2, 3)), *((-2, x) for x in range(-2, 3)))
FORMAT = "maxtunnel prior 1"


@dataclass(frozen=True, eq=False)
class LevelPrior:
    """The weights for one level; a row for code 4, outside the plane, holds zeros.

    Attributes:
        trunk: int16, (channels, reach x reach, 5, 64).
        above: int16, (channels above, reach x reach, 5, 4, 64); the 4 are the places under one window above.
        bias: int16, (channels, 64).
        middle: int32, (channels, 64, 32).
        middle_bias: int32, (channels, 32).
        own: int32, (channels, 12, 5, 32).
        out: int32, (channels, 3, 32).
        out_bias: int32, (channels, 3).
    """

    trunk: np.ndarray
    above: np.ndarray
    bias: np.ndarray
    middle: np.ndarray
    middle_bias: np.ndarray
    own: np.ndarray
    out: np.ndarray
    out_bias: np.ndarray

    @property
    def channels(self) -> int:
        """Channels of the level."""
        return len(self.bias)

    @property
    def channels_above(self) -> int:
        """Channels of the next coarser level, 0 for the deepest."""
        return len(self.above)

    @property
    def reach(self) -> tuple[int, int]:
        """Sides of the square neighbourhoods in earlier channels and in the level above."""
        return round(self.trunk.shape[1] ** 0.5), round(self.above.shape[1] ** 0.5)


@dataclass(frozen=True, eq=False)
class Prior:
    """A model of all levels of one encoder's switches.

    Attributes:
        identity: the first 8 bytes of the SHA-256 of its weights; a file that needs it names it so.
        encoder: hash of the encoder's weights for which it was made.
        levels: finest level first.
    """

    identity: bytes
    encoder: str
    levels: tuple[LevelPrior, ...]

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(level.channels for level in self.levels)


def load_prior(path: Path) -> Prior:
    """Read a prior; FormatError for anything else."""
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FormatError(f"{path} cannot be read as a prior: {error}") from None
    if metadata.get("format") != FORMAT:
        raise FormatError(f"{path} is no prior: its metadata does not say {FORMAT!r}")
    count = 1 + max(int(name.split(".")[0]) for name in arrays)
    levels = tuple(_level({k: arrays[f"{i}.{k}"] for k in LevelPrior.__annotations__}) for i in range(count))
    return Prior(identity_of(arrays), metadata["encoder"], levels)


def identity_of(arrays: dict[str, np.ndarray]) -> bytes:
    """The first 8 bytes of the SHA-256 of names, shapes, types and little-endian values, sorted by name."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.shape} {array.dtype.name}\n".encode())
        digest.update(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes())
    return digest.digest()[:8]


@cache
def shipped_priors() -> tuple[Prior, ...]:
    """The priors in the package."""
    return tuple(load_prior(path) for path in sorted(PRIORS.glob("*.safetensors")))


def prior_of_encoder(encoder: str) -> Prior | None:
    """The prior that ships for an encoder of this hash, if one does."""
    return next((prior for prior in shipped_priors() if prior.encoder == encoder), None)


def prior_of_identity(identity: bytes) -> Prior | None:
    """The prior that a file names, if it ships."""
    return next((prior for prior in shipped_priors() if prior.identity == identity), None)


def _level(arrays: dict[str, np.ndarray]) -> LevelPrior:
    """From the file's bytes to the width that the arithmetic takes them in."""
    for name in ("trunk", "above", "own"):
        arrays[name] = np.concatenate([arrays[name], np.zeros_like(arrays[name][:, :, :1])], axis=2)
    wide = {name: np.int16 if name in ("trunk", "above", "bias") else np.int32 for name in arrays}
    return LevelPrior(**{name: np.ascontiguousarray(array, wide[name]) for name, array in arrays.items()})
