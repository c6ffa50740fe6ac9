"""An audit from names: a model, folders of photographs, and a folder for the report."""

import time
from pathlib import Path

from maxtunnel.auditing.experiments import SEARCHED, Config, at_most, audit
from maxtunnel.auditing.outcome import AuditResult
from maxtunnel.auditing.page import write_report
from maxtunnel.auditing.targets import find, load_target
from maxtunnel.data import read_photographs
from maxtunnel.data.images import Resize, to_float
from maxtunnel.support.files import check_folder
from maxtunnel.support.progress import OnProgress, silent

Skipped = tuple[tuple[Path, str], ...]


def audit_folder(
    target: str,
    data: Path,
    out: Path,
    config: Config,
    *,
    holdout: Path | None = None,
    size: int = 128,
    resize: Resize = "bilinear",
    preprocess: str | None = None,
    levels: str | None = None,
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
        holdout: folder or store to measure on.
        size, resize: photographs are warped to a square of `size` pixels.
        preprocess: what `read_preprocess` takes.
        levels: numbers by commas, from 1 in call order.
        metric: `file.py:callable`; only with mitigations.
        on_progress: told what is done, how far and out of how much.

    Returns:
        The result, the page, and the files that could not be read.
    """
    began = time.monotonic()
    check_folder(out)
    if holdout is not None and (
        holdout.resolve().is_relative_to(data.resolve()) or data.resolve().is_relative_to(holdout.resolve())
    ):
        raise ValueError(f"{holdout} and {data} share photographs: hold out some that are not trained on")
    if metric is not None and not config.mitigations:
        raise ValueError("a metric is measured with each mitigation in place: give --mitigations MINUTES too")
    numbers = _numbers(levels)
    task = None if metric is None else find(metric)
    model = load_target(target, preprocess)
    # A model that cannot be audited is told so before thousands of photographs are read.
    model.seen(numbers, None).try_out(to_float(read_photographs(data, size, resize, 2).pixels[:]))
    images = read_photographs(data, size, resize, at_most(size * size), on_progress)
    held = None if holdout is None else read_photographs(holdout, size, resize, SEARCHED, on_progress)
    result = audit(
        model,
        images.pixels,
        holdout=None if held is None else held.pixels,
        levels=numbers,
        config=config,
        metric=task,
        on_progress=on_progress,
        began=began,
    )
    return result, write_report(result, out), images.skipped + (() if held is None else held.skipped)


def _numbers(levels: str | None) -> tuple[int, ...] | None:
    if levels is None:
        return None
    parts = levels.split(",")
    if not all(part.strip().isdecimal() and int(part) for part in parts):
        raise ValueError(f"--levels {levels!r}: expected numbers from 1 in call order, such as 1,3")
    return tuple(int(part) for part in parts)
