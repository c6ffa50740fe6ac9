"""How well a network rebuilds photographs from their switches, measured."""

import logging
from pathlib import Path

from maxtunnel.data.batches import Pixels
from maxtunnel.evaluation.measuring import BATCH, BITS_IMAGES, measure_all
from maxtunnel.evaluation.records import Evaluation
from maxtunnel.evaluation.rows import Album, open_album
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import Resize
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.zoo.labels import label
from maxtunnel.zoo.names import load_decoder, read_mean


def evaluate(
    network: TunnelNetwork | str | Path,
    photographs: Pixels | str | Path,
    *,
    model: str | None = None,
    size: int = 128,
    resize: Resize = "bilinear",
    mean: str | Path | None = None,
    limit: int | None = None,
    batch: int = BATCH,
    bits_images: int = BITS_IMAGES,
    refine: int = 0,
    on_progress: OnProgress = silent,
) -> Evaluation:
    """Reconstruct photographs from their switches and measure how close that comes.

    Args:
        network: runs in float32 where it lies; or what `maxtunnel.load` takes.
        photographs: uint8 RGB, (n, 3, h, w), all of one size; or a folder or a store of them, of which files
            that cannot be read are skipped with a warning.
        model: a name for the result; by default what is known of where the network came from.
        size, resize: photographs of a folder are warped so to a square of `size` pixels; of pixels, `resize`
            is only noted.
        mean: for a `.caffemodel`, where its mean image comes from.
        limit: of a folder or a store, take only so many photographs, evenly spread.
        batch: images of 128x128 at a time; of larger ones fewer, so that memory is the same.
        bits_images: measure entropy and stored bits on at most so many images; 0, or a machine without a C++
            compiler, where coding is slow, leaves them out.
        refine: rounds in which every picture is refined before it is measured (`maxtunnel.refine`).
        on_progress: told the images done and their total.

    Raises:
        FormatError: there is no such model or folder, or it is damaged.
        ValueError: there are no photographs, `mean` or `limit` is given for what is no name, or the decoder
            of a model by name is untrained.
    """
    if isinstance(network, TunnelNetwork):
        _refuse("mean", mean, "network")
    else:
        model = label(network) if model is None else model
        image = None if mean is None else read_mean(Path(mean), size, resize, on_progress)
        network = load_decoder(network, image)
    if isinstance(photographs, str | Path):
        album = open_album(photographs, size, resize, limit)
    else:
        _refuse("limit", limit, "photographs")
        album = Album(photographs)
    (result,), measured = measure_all(
        [network],
        [model or ""],
        album,
        size,
        resize,
        batch,
        bits_images,
        refine=refine,
        on_progress=on_progress,
    )
    for _, reason in measured.skipped:
        logging.getLogger("maxtunnel").warning("skipped: %s", reason)
    return result


def _refuse(name: str, value: object, other: str) -> None:
    """ValueError where an argument is given that only names and paths can make use of."""
    if value is not None:
        raise ValueError(f"`{name}` is given, but `{other}` is no name or path that it could be used for")
