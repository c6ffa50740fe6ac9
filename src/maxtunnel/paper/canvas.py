"""What all figures share: inks and letters, pictures on axes, and the files that figures become."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.data.images import to_uint8
from maxtunnel.support.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, RED, BLUE, GREEN = "#1a1a1a", "#c0392b", "#2166ac", "#1b7837"


def style() -> AbstractContextManager[None]:
    """What all figures are drawn in."""
    import matplotlib as mpl

    return mpl.rc_context(
        {"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "pdf.fonttype": 42}
    )


def picture(image: Float[Tensor, "3 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """An image as Matplotlib shows it."""
    return to_uint8(image).permute(1, 2, 0).cpu().numpy()


def save(figure: "Figure", stem: Path) -> tuple[Path, Path]:
    """Write `stem`.png and `stem`.pdf."""
    paths = stem.with_suffix(".png"), stem.with_suffix(".pdf")
    for path in paths:
        # No date and no machine in the file: the same figure is the same bytes.
        metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=160, bbox_inches="tight", metadata=metadata)
    return paths
