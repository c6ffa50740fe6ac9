"""An audit by names: a model, folders of photographs, and a folder for the report."""

import time
from pathlib import Path

from maxtunnel.auditing.budget import READING, TRYING, Budget, Speed
from maxtunnel.auditing.config import DEFAULTS, SEARCHED, AuditConfig
from maxtunnel.auditing.loading import find, load_target
from maxtunnel.auditing.origin import Origin
from maxtunnel.auditing.outcome import AuditResult
from maxtunnel.auditing.page import RESULT, write_report
from maxtunnel.auditing.photographs import LEAST_READ, MOST, Source
from maxtunnel.auditing.run import audit
from maxtunnel.auditing.shelf import Counts, Shelf
from maxtunnel.auditing.speed import FEW, measure_speed
from maxtunnel.data.batches import Pixels
from maxtunnel.data.image_set import refuse_copies, refuse_trained_on
from maxtunnel.data.images import to_float
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import check_folder
from maxtunnel.support.parts import Spread, here
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
    metric: str | None = None,
    resume: bool = False,
    command: str = "",
    spread: Spread = here,
    device: str = "cpu",
    on_progress: OnProgress = silent,
) -> tuple[AuditResult, Path, Skipped]:
    """`audit` a model by name on a folder of photographs, and write the report.

    The decoders are kept in OUT/decoders. After Ctrl-C the report holds what was found until then.

    Args:
        target: what `load_target` takes.
        data: folder or store to train the decoders on; as many photographs are read, evenly spread, as the
            time and the memory can use, and at most 11,000.
        out: folder for audit.html, audit.json, pictures and decoders.
        config: time, levels, seed and sizes.
        holdout: folder or store to measure on; by default a tenth of `data` is held out.
        size, resize: photographs are warped to a square of `size` pixels.
        preprocess: what `load_target` takes.
        metric: `file.py:callable`; only with mitigations.
        resume: go on with the decoders of an audit in `out` that was interrupted.
        command: the command line, for the report.
        spread: captures the photographs; the workers of an engine load `target` anew.
        device: where these workers run the model.
        on_progress: told of reading, of every capture and of every training.

    Returns:
        The result, the page, and the files that could not be read.

    Raises:
        As `audit`; and ValueError: without `resume`, `out` holds an audit already.
    """
    began = time.monotonic()
    check_folder(out)
    if holdout is not None:
        refuse_trained_on(data, holdout, ("data", "holdout"))
    if metric is not None and not config.mitigations:
        raise ValueError("`metric` is measured under each mitigation: give `mitigations` some minutes too")
    shelf = Shelf(out / "decoders", resume)
    earlier = shelf.counts()
    # Its decoders may have been removed, to save their place.
    if not resume and (out / RESULT).exists():
        raise ValueError(f"{out} holds the report of an audit: name another `out`")
    task = None if metric is None else find(metric)
    model = load_target(target, preprocess).observed(config.levels)
    source = Source(data, size, resize)
    others = None if holdout is None else Source(holdout, size, resize)
    few, seconds_each = _try_reading(source)
    # A model that cannot be audited is refused before thousands of photographs are read.
    budget = Budget(config, began, len(model.try_out(to_float(few[:2])).levels))
    speed = measure_speed(model, few, config, TRYING * budget.seconds)
    bounded = config.steps is None and earlier is None
    images, skipped = source.read(
        _to_read(budget, speed, seconds_each, others is None, earlier),
        READING * budget.seconds if bounded else None,
        on_progress,
    )
    held: Pixels | None = None
    skipped_held: Skipped = ()
    if others is not None:
        most = SEARCHED if earlier is None else earlier.read_holdout or SEARCHED
        held, skipped_held = others.read(most, READING * budget.seconds / 2 if bounded else None, on_progress)
        refuse_copies(images, held)
    result = audit(
        model,
        images,
        holdout=held,
        config=config,
        metric=task,
        on_progress=on_progress,
        began=began,
        speed=speed,
        origin=Origin(command, target, str(data), str(holdout or ""), resize, preprocess or ""),
        shelf=shelf,
        spread=spread,
        device=device,
        read=(len(images) + len(skipped), None if held is None else len(held) + len(skipped_held)),
    )
    return result, write_report(result, out), (*skipped, *skipped_held)


def _try_reading(source: Source) -> tuple[Pixels, float]:
    """A few photographs, and the seconds that it took to read one."""
    began = time.monotonic()
    few, _ = source.read(FEW)
    return few, (time.monotonic() - began) / len(few)


def _to_read(
    budget: Budget, speed: Speed, seconds_each: float, held_out: bool, earlier: Counts | None
) -> int:
    """How many photographs to read to train on: as many as the time can use; no part of `data` is read idly.

    Args:
        budget: of the audit.
        speed: of this model here.
        seconds_each: that it takes to read a photograph.
        held_out: whether a tenth of them is to be measured on.
        earlier: the counts of an audit that is resumed, which took the same ones.
    """
    most = MOST + SEARCHED
    if earlier is not None:
        return earlier.read or most
    if budget.config.steps is not None:
        return most
    usable = budget.usable(speed, seconds_each)
    return min(most, max(LEAST_READ, usable * 10 // 9 if held_out else usable))
