"""An audit by names: a model, folders of photographs, and a folder for the report."""

import time
from pathlib import Path

from maxtunnel.auditing.config import DEFAULTS, AuditConfig
from maxtunnel.auditing.experiments import audit
from maxtunnel.auditing.loading import find, load_target
from maxtunnel.auditing.outcome import AuditResult
from maxtunnel.auditing.page import write_report
from maxtunnel.auditing.photographs import SEARCHED, at_most
from maxtunnel.data import read_photographs
from maxtunnel.data.images import to_float
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import check_folder
from maxtunnel.support.progress import OnProgress, silent

Skipped = tuple[tuple[Path, str], ...]


def audit_folder(
    target: str,
    data: Path,
    out: Path,
    config: AuditConfig = DEFAULTS,
    *,
    holdout: Path | None = None,
    size: int = 128,
    resize: Resize = "bilinear",
    preprocess: str | None = None,
    levels: tuple[int, ...] | None = None,
    metric: str | None = None,
    on_progress: OnProgress = silent,
) -> tuple[AuditResult, Path, Skipped]:
    """`audit` a model by name on a folder of photographs, and write the report.

    Args:
        target: what `load_target` takes.
        data: folder or store to train the decoders on; at most 11,000 photographs are read, evenly spaced,
            fewer where memory is short.
        out: folder for audit.html, audit.json and pictures.
        config: time, seed and sizes.
        holdout: folder or store to measure on; by default a tenth of `data` is held out.
        size, resize: photographs are warped to a square of `size` pixels.
        preprocess: what `load_target` takes.
        levels: numbers of the poolings that an observer sees, in call order from 1; by default all.
        metric: `file.py:callable`; only with mitigations.
        on_progress: told of reading, of every capture and of every training.

    Returns:
        The result, the page, and the files that could not be read.
    """
    began = time.monotonic()
    check_folder(out)
    if holdout is not None and _overlap(data, holdout):
        raise ValueError(f"{holdout} and {data} share photographs: hold out some that are not trained on")
    if metric is not None and not config.mitigations:
        raise ValueError("`metric` is measured under each mitigation: give `mitigations` some minutes too")
    task = None if metric is None else find(metric)
    model = load_target(target, preprocess).observed(levels)
    # A model that cannot be audited is refused before thousands of photographs are read.
    model.try_out(to_float(read_photographs(data, size, resize, 2).pixels[:]))
    images = read_photographs(data, size, resize, at_most(size * size), on_progress)
    held = None if holdout is None else read_photographs(holdout, size, resize, SEARCHED, on_progress)
    result = audit(
        model,
        images.pixels,
        holdout=None if held is None else held.pixels,
        config=config,
        metric=task,
        on_progress=on_progress,
        began=began,
    )
    return result, write_report(result, out), images.skipped + (() if held is None else held.skipped)


def _overlap(data: Path, holdout: Path) -> bool:
    """Whether one of the folders lies in the other."""
    a, b = data.resolve(), holdout.resolve()
    return a.is_relative_to(b) or b.is_relative_to(a)
