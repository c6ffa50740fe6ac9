"""Several networks on the same photographs, and how sure it is that they differ."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from maxtunnel.evaluation.intervals import Interval, bootstrap
from maxtunnel.evaluation.measuring import BITS_IMAGES, measure_all
from maxtunnel.evaluation.records import Evaluation, without_nan
from maxtunnel.evaluation.rows import open_album
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import replacing
from maxtunnel.support.parts import Spread, here
from maxtunnel.support.places import without_secrets
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.support.records import Json, to_json
from maxtunnel.zoo.labels import labels as make_labels
from maxtunnel.zoo.names import load_decoder, read_mean


@dataclass(frozen=True)
class Difference:
    """A metric of one network less that of another, on the same photographs.

    Attributes:
        model, reference: labels of the two.
        metric: `rmse`, `psnr` or `ssim`.
        value: that of `model` less that of `reference`.
        ci95: bootstrap interval; each draw takes the same photographs for both, so that what is hard about a
            photograph, for any network, does not blur the difference.
    """

    model: str
    reference: str
    metric: str
    value: float
    ci95: Interval


def compare(one: Evaluation, reference: Evaluation) -> list[Difference]:
    """The differences of RMSE, PSNR and SSIM between two networks.

    Raises:
        ValueError: they were measured on different numbers of photographs.
    """
    if one.images != reference.images:
        raise ValueError(
            f"{one.model} was measured on {one.images} photographs, {reference.model} on {reference.images}: "
            "only on the same photographs can they be compared"
        )
    first, second = one.per_image, reference.per_image
    return [
        _difference("rmse", one, reference, one.squared_errors, reference.squared_errors, torch.sqrt),
        _difference("psnr", one, reference, torch.tensor(first.psnr), torch.tensor(second.psnr)),
        _difference("ssim", one, reference, torch.tensor(first.ssim), torch.tensor(second.ssim)),
    ]


def evaluate_models(
    models: Sequence[str],
    data: str | Path,
    size: int = 128,
    resize: Resize = "bilinear",
    mean: Path | None = None,
    limit: int | None = None,
    labels: Sequence[str] = (),
    json_file: Path | None = None,
    bits_images: int = BITS_IMAGES,
    rows: str | Path | None = None,
    device: str | None = None,
    spread: Spread = here,
    refine: int = 0,
    on_progress: OnProgress = silent,
) -> tuple[list[Evaluation], list[Difference], tuple[tuple[Path, str], ...]]:
    """`evaluate` models by name on a folder of photographs, and compare each with the first.

    Args:
        models: what `load` takes, each.
        data: a folder, Parquet or tar files, on disk or at an address that fsspec opens; or a store.
        size, resize: the photographs are warped to a square of `size` pixels.
        mean: for those that are a `.caffemodel`, where their mean image comes from.
        limit: take only so many photographs, evenly spread.
        labels: what to call the models, in order; those without one are called by what they are.
        json_file: where to write the results.
        bits_images: as for `evaluate`.
        rows, device, spread, refine: as for `measure_all`.
        on_progress: told what is done, how far and out of how much.

    Returns:
        The results; the differences of all but the first from the first; and the files that could not be
        read, with the reason.
    """
    names = make_labels(models, labels)
    with_mean = [Path(model).suffix == ".caffemodel" for model in models]
    if mean is not None and not any(with_mean):
        raise ValueError(f"{models[0]} carries its own mean image: `mean` is for .caffemodel files alone")
    image = None if mean is None else read_mean(mean, size, resize, on_progress)
    # Every model is loaded before the first is measured: a wrong name shows at once.
    given = [image if own else None for own in with_mean]
    networks = [load_decoder(model, own) for model, own in zip(models, given, strict=True)]
    results, measured = measure_all(
        networks,
        names,
        open_album(data, size, resize, limit),
        size,
        resize,
        bits_images=bits_images,
        device=device,
        rows=rows,
        spread=spread,
        refine=refine,
        on_progress=on_progress,
    )
    differences = [difference for result in results[1:] for difference in compare(result, results[0])]
    if json_file is not None:
        facts: dict[str, Json] = {
            "data": without_secrets(str(data)),
            "mean": None if mean is None else str(mean),
            "paths": list(measured.names),
            "skipped": [reason for _, reason in measured.skipped],
            "torch": torch.__version__,
        }
        _save(json_file, list(map(str, models)), results, differences, facts)
    return results, differences, measured.skipped


def _difference(
    metric: str,
    one: Evaluation,
    reference: Evaluation,
    values: Tensor,
    others: Tensor,
    of_mean: Callable[[Tensor], Tensor] = lambda means: means,
) -> Difference:
    interval = bootstrap(
        torch.stack([values, others]).double(), lambda means: of_mean(means[0]) - of_mean(means[1])
    )
    value = getattr(one, metric) - getattr(reference, metric)
    return Difference(one.model, reference.model, metric, value, interval)


def _save(
    path: Path,
    models: Sequence[str],
    results: Sequence[Evaluation],
    differences: Sequence[Difference],
    facts: dict[str, Json],
) -> None:
    """One result as its fields; of several, a list, and their differences."""
    if len(results) == 1:
        results[0].save(path, source=models[0], **facts)
        return
    content: dict[str, Json] = {
        "evaluations": [
            to_json(result) | {"source": model} for result, model in zip(results, models, strict=True)
        ],
        "differences": [to_json(difference) for difference in differences],
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(without_nan(content | facts), indent=2) + "\n")
