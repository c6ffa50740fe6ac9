"""Make the switch files of the golden set and their codes: `python tests/golden/make_switch_files.py`.

Run by hand, and only for files that do not exist yet: what was written once must be readable for ever.
"""

from pathlib import Path

import numpy as np
import torch

from maxtunnel.codec import dumps
from maxtunnel.data.images import resize, to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import Coding
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.window import Window
from maxtunnel.zoo.names import load

HERE = Path(__file__).parent
NAMES = ("learned", "adaptive", "packed", "window")


def golden(name: str) -> tuple[SwitchCode, TunnelNetwork | None, Coding]:
    """The code of a golden file from its committed arrays, its network and its coding."""
    with np.load(HERE / "switch_files.npz") as arrays:
        if name == "window":
            window = Window(3, 2, 1)
            level = SwitchLevel(torch.from_numpy(arrays["window"]), window, (9, 8))
            return SwitchCode((level,), (9, 8)), None, "entropy"
        levels = [torch.from_numpy(arrays[f"level{number}"]) for number in (1, 2, 3)]
    code = SwitchCode(
        tuple(SwitchLevel(x, Window(), (2 * x.shape[2], 2 * x.shape[3])) for x in levels), (61, 40)
    )
    return code, None if name == "adaptive" else load("8-8-8"), "packed" if name == "packed" else "entropy"


def main() -> None:
    if not (HERE / "switch_files.npz").exists():
        image = to_float(resize(demo_photographs()["chelsea"], (61, 40)))[None]
        codes = [level.codes.contiguous().numpy() for level in load("8-8-8").encode(image).levels]
        # Codes of 3x3 windows, none of which points into the padding.
        window = np.random.default_rng(0).choice([4, 4, 4, 5, 7, 8], (2, 3, 5, 4)).astype(np.uint8)
        window[..., -1] -= window[..., -1] % 3
        window[:, :, -1] %= 6
        np.savez_compressed(
            HERE / "switch_files.npz", level1=codes[0], level2=codes[1], level3=codes[2], window=window
        )
    for name in NAMES:
        if not (HERE / f"{name}.mxt").exists():
            (HERE / f"{name}.mxt").write_bytes(dumps(*golden(name)))


if __name__ == "__main__":
    main()
