"""`study contours`: how much of the contours that a network draws comes through the switches.

CEDN (Yang et al. 2016) unpools with switches, as DeconvNet does, of which the paper under reproduction says
(section V) that it works so well because the spatial information can be extracted from the switches alone.
Here networks like CEDN are trained with and without them, and read with other ones, on BSDS500.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.data.images import resize
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.report.contours import lines
from maxtunnel.report.pictures import png, strip
from maxtunnel.studies.contours_config import Preset, Run, Settings, Size, left_out, preset
from maxtunnel.studies.contours_data import Parts, read_parts
from maxtunnel.studies.contours_networks import identity, on_vgg
from maxtunnel.studies.contours_run import Given, NetworkRow, Pictures, chosen, run_network
from maxtunnel.studies.report import gather_facts
from maxtunnel.studies.rows import Rows, do_missing
from maxtunnel.support.choices import VggInputs
from maxtunnel.support.files import check_folder
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.support.records import changed

STUDY = "contours"
PHOTOGRAPHS, PEOPLE = "photographs", "people"
_WIDEST = 240  # pixels of a photograph in pictures


@dataclass(frozen=True)
class ContourStudy:
    """All that is known.

    Attributes:
        preset: what was asked for.
        rows: of the networks that are done, in the order of the runs.
        missing: names of those that are not, as another process is at them.
        trained, tested, available: photographs to train on, to measure on, and that there are of these.
        left_out: what is not there of the full study, in words; empty for nothing.
        folder: where the rows and the pictures lie.
        facts: where and when it was made, by name.
    """

    preset: Preset
    rows: tuple[NetworkRow, ...]
    missing: tuple[str, ...]
    trained: int
    tested: int
    available: int
    left_out: str
    folder: Path
    facts: dict[str, str]

    def picture(self, name: str) -> Path:
        """Where a picture of the study lies: of `PHOTOGRAPHS`, `PEOPLE`, or RUN.WAY."""
        return self.folder / "runs" / f"{name}.png"


def study_contours(
    data: str | Path,
    out: str | Path,
    *,
    size: Size = "small",
    seeds: int | None = None,
    encoder: str | Path | None = None,
    inputs: VggInputs | None = None,
    networks: str | Path | None = None,
    width: int | None = None,
    poolings: int | None = None,
    steps: int | None = None,
    batch: int | None = None,
    tested: int | None = None,
    thresholds: int | None = None,
    command: str = "",
    on_progress: OnProgress = silent,
) -> ContourStudy:
    """Train and measure the networks of the study that are not in its folder yet.

    Args:
        data: BSDS500's folder with `images` and `groundTruth`.
        out: the study's folder.
        size: `toy`, `small` or `full`; it decides what is not given.
        seeds: networks of each kind.
        encoder: file of a VGG16, whose convolutions stay as they are; by default encoders are trained.
        inputs: what that VGG was trained on; by default as usual for such files.
        networks: folder of networks that were trained elsewhere, one for each run, whose files' names end in
            KIND-SEED.safetensors (`switches-0.safetensors`): these are read, and nothing is trained.
        width: filters of the first stage of encoders that are trained.
        poolings: of every network, 1 to 5.
        steps: of every training.
        batch: squares a step.
        tested: test photographs that are measured on.
        thresholds: at which contours are cut.
        command: the command line, for the report.
        on_progress: told of reading, of every training and measuring, and as phase `networks` of all.

    Raises:
        FormatError: the data, the encoder or the folder are damaged or of another kind.
        ValueError: an argument cannot be; or the folder holds a study with other settings.
        Stopped: interrupted; what is done is kept.
    """
    began, base = time.monotonic(), preset(size)
    if encoder is not None and width is not None:
        raise ValueError("`width` is of encoders that are trained: leave it out, or `encoder`")
    if inputs is not None and encoder is None:
        raise ValueError("`inputs` says what a VGG's file was trained on: give that file as `encoder`")
    trained = {"encoder": encoder, "width": width, "poolings": poolings, "steps": steps, "batch": batch}
    for name, value in trained.items():
        if networks is not None and value is not None:
            raise ValueError(f"`networks` were trained elsewhere: leave out `{name}`, which is of trainings")
    check_folder(out)
    given = Given(
        None if encoder is None else Path(encoder), inputs, None if networks is None else Path(networks)
    )
    settings = changed(
        base.settings, width=width, poolings=poolings, steps=steps, batch=batch, tested=tested,
        thresholds=thresholds, elsewhere=networks is not None, encoder=_identity(given),
    )  # fmt: skip
    wanted = Preset(settings, base.seeds if seeds is None else seeds)
    for run in wanted.runs():
        given.trained(run)
    parts = read_parts(str(data), settings.shrink, settings.crop, settings.tested, on_progress)
    tested = settings.tested if len(parts.tested) < parts.available else None
    wanted = replace(wanted, settings=replace(settings, data=parts.identity, tested=tested))
    rows = Rows(out, STUDY, wanted.settings, NetworkRow)
    _keep_shown(rows, parts)
    do = partial(_do, rows, wanted.settings, parts, given, on_progress)
    do_missing(tuple(wanted.runs()), lambda run: rows, do, on_progress)
    return _result(rows, wanted, parts, gather_facts(command, str(data), began, size))


def _identity(given: Given) -> str | None:
    """That of the encoder that is given; None where encoders are trained."""
    if given.file is None:
        return None
    return identity(on_vgg(given.file, inputs=given.inputs).encoder.state_dict())


def _keep_shown(rows: Rows[NetworkRow], parts: Parts) -> None:
    """Keep pictures of the photographs that are shown, and of what people drew in them."""
    some = [parts.tested[number] for number in chosen(parts.tested)]
    shown: Pictures = {
        PHOTOGRAPHS: [each.pixels for each in some],
        PEOPLE: [lines(each.contours.float().mean(0)) for each in some],
    }
    for name, pictures in shown.items():
        rows.keep_picture(name, _beside(pictures))


def _do(
    rows: Rows[NetworkRow],
    settings: Settings,
    parts: Parts,
    given: Given,
    on_progress: OnProgress,
    run: Run,
    stop: Callable[[], bool],
) -> None:
    """Do a run, unless another process is still at the network whose switches it reads."""
    known = None
    if run.kind == "alone":
        with_switches = replace(run, kind="switches").name
        if rows.get(with_switches) is None:
            return
        known = DenseNetwork.load(rows.find_network(with_switches))
    row, network, pictures = run_network(settings, run, parts, given, known, on_progress, stop)
    if stop():
        return
    for way, some in pictures.items():
        rows.keep_picture(f"{run.name}.{way}", _beside(some))
    if network is not None:
        network.cpu().save(rows.network(run.name))
    rows.keep(run.name, row)


def _beside(pictures: list[UInt8[Tensor, "3 h w"]]) -> bytes:
    """Pictures side by side as a PNG file, each at most `_WIDEST` pixels wide."""
    height, width = pictures[0].shape[1:]
    size = (height * _WIDEST // width, _WIDEST)
    some = [each if width <= _WIDEST else resize(each, size, "antialias") for each in pictures]
    return png(strip(torch.stack(some)))


def _result(rows: Rows[NetworkRow], wanted: Preset, parts: Parts, facts: dict[str, str]) -> ContourStudy:
    kept, missing = rows.sorted_out(wanted.runs())
    return ContourStudy(
        preset=wanted,
        rows=kept,
        missing=missing,
        trained=parts.photographs,
        tested=len(parts.tested),
        available=parts.available,
        left_out=left_out(wanted),
        folder=rows.folder,
        facts=facts,
    )
