"""`study contours`: how much of the contours that a network draws comes through the switches.

CEDN (Yang et al. 2016) unpools with switches, as DeconvNet does, of which the paper under reproduction says
(section V) that it works so well because the spatial information can be extracted from the switches alone.
Here networks like CEDN are trained with and without them, and read with other ones, on BSDS500.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
from maxtunnel.studies.rows import Rows
from maxtunnel.support.choices import VggInputs
from maxtunnel.support.files import check_folder, replacing
from maxtunnel.support.progress import OnProgress, Stopped, silent
from maxtunnel.support.records import Json, from_json, to_json
from maxtunnel.training.loop import interrupts

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
    steps: int | None = None,
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
        steps: of every training.
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
    if networks is not None and (encoder is not None or width is not None or steps is not None):
        raise ValueError(
            "`networks` were trained elsewhere: leave out `encoder`, `width` and `steps`, which are of "
            "trainings"
        )
    check_folder(out)
    given = Given(
        None if encoder is None else Path(encoder), inputs, None if networks is None else Path(networks)
    )
    changed = {"width": width, "steps": steps, "tested": tested, "thresholds": thresholds}
    settings = _settings(base.settings, given, changed)
    parts = read_parts(str(data), settings.shrink, settings.crop, settings.tested, on_progress)
    wanted = Preset(replace(settings, data=parts.identity), base.seeds if seeds is None else seeds)
    for run in wanted.runs():
        given.trained(run)
    rows = Rows(out, STUDY, wanted.settings, NetworkRow)
    _keep_shown(rows, parts)
    _run_all(rows, wanted, parts, given, on_progress)
    return _result(rows, wanted, parts, gather_facts(command, str(data), began))


def _settings(base: Settings, given: Given, changed: dict[str, int | None]) -> Settings:
    """Those that were asked for."""
    known: dict[str, Json] = {name: value for name, value in changed.items() if value is not None}
    known["elsewhere"] = given.networks is not None
    if given.file is not None:
        known["encoder"] = identity(on_vgg(given.file, inputs=given.inputs).encoder.state_dict())
    return from_json(Settings, to_json(base) | known)


def _keep_shown(rows: Rows[NetworkRow], parts: Parts) -> None:
    """Keep pictures of the photographs that are shown, and of what people drew in them."""
    some = [parts.tested[number] for number in chosen(parts.tested)]
    shown: Pictures = {
        PHOTOGRAPHS: [each.pixels for each in some],
        PEOPLE: [lines(each.contours.float().mean(0)) for each in some],
    }
    for name, pictures in shown.items():
        _write(rows.picture(name), pictures)


def _run_all(
    rows: Rows[NetworkRow], wanted: Preset, parts: Parts, given: Given, on_progress: OnProgress
) -> None:
    """Do every run that is missing, but for those that another process is at."""
    runs = tuple(wanted.runs())
    with interrupts() as interrupted:
        for run in _missing(runs, rows, on_progress):
            known = _network(rows, replace(run, kind="switches"))
            # The network whose switches are to be read is another process's to train, and not there yet.
            if run.kind == "alone" and known is None:
                continue
            with rows.claim(run.name) as mine:
                if not mine:
                    continue
                row, network, pictures = run_network(
                    wanted.settings, run, parts, given, known, on_progress, interrupted.is_set
                )
                if not interrupted.is_set():
                    _keep(rows, run, row, network, pictures)
            if interrupted.is_set():
                done = sum(rows.get(each.name) is not None for each in runs)
                raise Stopped(
                    f"stopped; {done} of {len(runs)} networks are kept in {rows.folder}: give the same "
                    "command again to go on"
                )


def _missing(runs: tuple[Run, ...], rows: Rows[NetworkRow], on_progress: OnProgress) -> Iterator[Run]:
    """The runs without a row, each told before it begins."""
    for number, run in enumerate(runs):
        on_progress("networks", number, len(runs), run.name)
        if rows.get(run.name) is None:
            yield run
    on_progress("networks", len(runs), len(runs), "")


def _keep(
    rows: Rows[NetworkRow], run: Run, row: NetworkRow, network: DenseNetwork | None, pictures: Pictures
) -> None:
    """Write a run's network and pictures, and at last its row."""
    for way, some in pictures.items():
        _write(rows.picture(f"{run.name}.{way}"), some)
    if network is not None:
        network.cpu().save(_file(rows, run))
    rows.keep(run.name, row)


def _file(rows: Rows[NetworkRow], run: Run) -> Path:
    return rows.picture(run.name).with_suffix(".safetensors")


def _network(rows: Rows[NetworkRow], run: Run) -> DenseNetwork | None:
    """The network of a run; None where it is not done."""
    if rows.get(run.name) is None:
        return None
    return DenseNetwork.load(_file(rows, run))


def _write(path: Path, pictures: list[UInt8[Tensor, "3 h w"]]) -> None:
    """Pictures side by side as one file, each at most `_WIDEST` pixels wide."""
    height, width = pictures[0].shape[1:]
    size = (height * _WIDEST // width, _WIDEST)
    some = [each if width <= _WIDEST else resize(each, size, "antialias") for each in pictures]
    with replacing(path) as temporary:
        temporary.write_bytes(png(strip(torch.stack(some))))


def _result(rows: Rows[NetworkRow], wanted: Preset, parts: Parts, facts: dict[str, str]) -> ContourStudy:
    found = {run.name: rows.get(run.name) for run in wanted.runs()}
    return ContourStudy(
        preset=wanted,
        rows=tuple(row for row in found.values() if row is not None),
        missing=tuple(name for name, row in found.items() if row is None),
        trained=parts.photographs,
        tested=len(parts.tested),
        available=parts.available,
        left_out=left_out(wanted),
        folder=rows.folder,
        facts=facts,
    )
