"""The demonstration: the photographs in the package beside what decoders make of their switches."""

from collections.abc import Sequence
from pathlib import Path

import torch

from maxtunnel.data.images import to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.evaluation.records import Evaluation
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.report.sheet import Row, sheet
from maxtunnel.support.files import check_folder, replacing
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.zoo.labels import labels as make_labels
from maxtunnel.zoo.labels import shorten
from maxtunnel.zoo.names import load_decoder

# The same switches, read by the paper's decoder and by a strong one.
MODELS = ("16-16-16", "16-16-16-strong")


def run_demo(
    out: str | Path,
    models: Sequence[str] = (),
    labels: Sequence[str] = (),
    on_progress: OnProgress = silent,
) -> tuple[Path, list[Evaluation]]:
    """Rebuild the photographs in the package.

    Args:
        out: folder for the picture.
        models: what `load` takes; without any, `MODELS`.
        labels: what to call the models, in order; those without one are called by what they are.
        on_progress: told the networks done and their total.

    Returns:
        The picture, `out`/demo.png, and one evaluation a network.
    """
    check_folder(out)
    models = models or MODELS
    names = make_labels(models, labels)
    # Every model is loaded before the first is measured: a wrong name shows at once.
    networks = [load_decoder(model) for model in models]
    pixels = torch.stack(list(demo_photographs().values()))
    rows, evaluations = [Row("originals", "8 bits per pixel and colour channel", pixels)], []
    last = b""
    for done, (network, name) in enumerate(zip(networks, names, strict=True), 1):
        result = evaluate(network, pixels, model=name)
        caption = _caption(network, result, network.identity() == last)
        last = network.identity()
        rows.append(Row(shorten(name), caption, network.reconstruct(to_float(pixels))))
        evaluations.append(result)
        on_progress("demo", done, len(models), "")
    picture = Path(out) / "demo.png"
    with replacing(picture) as temporary:
        sheet(rows).save(temporary, format="PNG")
    return picture, evaluations


def _caption(network: TunnelNetwork, result: Evaluation, same: bool) -> str:
    """What is read, by which decoder, and how well; `same` switches as those of the row above."""
    bits = f"{result.bits_per_pixel.nominal:.4g} bits per pixel and colour channel"
    by = "the paper's decoder" if network.decoder_kind == "mirrored" else "a strong decoder"
    return f"{'the same switches' if same else bits}, read by {by}: RMSE {result.rmse:.3f}"
