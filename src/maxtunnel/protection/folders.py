"""Protecting a model by names: the model, folders of photographs, and a folder for what comes out."""

import time
from pathlib import Path

from maxtunnel.auditing.loading import ShippedEncoder, find, load_target
from maxtunnel.auditing.origin import Origin
from maxtunnel.auditing.photographs import MOST, Source
from maxtunnel.data.batches import Pixels
from maxtunnel.data.image_set import refuse_copies, refuse_trained_on
from maxtunnel.protection.config import DEFAULTS, ProtectionConfig
from maxtunnel.protection.kept import Kept
from maxtunnel.protection.outcome import Protection
from maxtunnel.protection.page import write_report
from maxtunnel.protection.run import protect
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import check_folder
from maxtunnel.support.progress import OnProgress, silent

Skipped = tuple[tuple[Path, str], ...]
_READING = 0.08  # share of the time for reading photographs


def protect_folder(
    target: str,
    data: Path,
    out: Path,
    config: ProtectionConfig = DEFAULTS,
    *,
    holdout: Path | None = None,
    size: int = 128,
    resize: Resize = "bilinear",
    preprocess: str | None = None,
    metric: str | None = None,
    resume: bool = False,
    command: str = "",
    on_progress: OnProgress = silent,
) -> tuple[Protection, Path, Skipped]:
    """`protect` a model by name on a folder of photographs, and write the report beside the weights.

    Args:
        target: what `load_target` takes, but for a network of ours.
        data: folder or store to train on; at most 11,000 photographs are read, evenly spread.
        out: folder for protect.html, protect.json and the weights.
        config: the weights of the penalty, time and sizes.
        holdout: folder or store to measure on; by default a tenth of `data` is held out.
        size, resize: photographs are warped to a square of `size` pixels.
        preprocess: what `load_target` takes.
        metric: `file.py:callable`.
        resume: go on with the protection in `out` that was interrupted.
        command: the command line, for the report.
        on_progress: told of reading, of every capture and of every training.

    Returns:
        The result, the page, and the files that could not be read.
    """
    began = time.monotonic()
    check_folder(out)
    earlier = Kept(out, resume).so_far()
    if holdout is not None:
        refuse_trained_on(data, holdout, ("data", "holdout"))
    task = None if metric is None else find(metric)
    model = load_target(target, preprocess)
    if isinstance(model.model, ShippedEncoder):
        raise ValueError(
            f"{target} is a network of ours, made so that its switches can be read: give a model of your own"
        )
    seconds = _READING * 60 * config.minutes if config.steps is None and earlier is None else None
    most, most_held = (None, None) if earlier is None else (earlier.read, earlier.read_holdout)
    images, skipped = Source(data, size, resize).read(most or MOST, seconds, on_progress)
    held: Pixels | None = None
    skipped_held: Skipped = ()
    if holdout is not None:
        held, skipped_held = Source(holdout, size, resize).read(
            most_held or config.images, seconds, on_progress
        )
        refuse_copies(images, held)
    result = protect(
        model,
        images,
        out,
        holdout=held,
        config=config,
        metric=task,
        on_progress=on_progress,
        began=began,
        resume=resume,
        read=(len(images) + len(skipped), None if held is None else len(held) + len(skipped_held)),
        origin=Origin(command, target, str(data), str(holdout or ""), resize, preprocess or ""),
    )
    return result, write_report(result, out), (*skipped, *skipped_held)
