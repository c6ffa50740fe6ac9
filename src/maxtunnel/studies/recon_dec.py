"""`study recon-dec`: what an encoder's activations and its switches each carry, at every depth.

Zhang, Lee and Lee (2016, arXiv 1606.06582) rebuild images from the activations and switches of a pretrained
VGG16, and conclude that the activations preserve almost all of the image but local detail. The paper under
reproduction (section VI) replies that the switches alone are enough for that. Here readers are given either
and both; and, as there, decoders are trained beside a classifier.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.data.folders import evenly_spaced
from maxtunnel.data.image_set import check_prepared, read_photographs, refuse_trained_on
from maxtunnel.data.labelled import LabelledSet, Split
from maxtunnel.data.labelled_sets import list_classes
from maxtunnel.data.manifest import is_store
from maxtunnel.data.mean import mean_image
from maxtunnel.data.store import open_store
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.swwae import Swwae
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.report.pictures import png
from maxtunnel.studies.recon_dec_config import (
    PARTS,
    DepthRun,
    Grid,
    NetworkRun,
    Settings,
    Size,
    check_size,
    left_out,
    preset,
)
from maxtunnel.studies.recon_dec_depths import DepthRow, capture, mean_errors, run_reader
from maxtunnel.studies.recon_dec_networks import NetworkRow, as_tunnel, held_of, run_network
from maxtunnel.studies.report import gather_facts
from maxtunnel.studies.rows import Rows, do_missing
from maxtunnel.studies.swwae_config import parse_choices
from maxtunnel.studies.swwae_run import Parts, fingerprint
from maxtunnel.support.choices import VggInputs
from maxtunnel.support.files import FormatError
from maxtunnel.support.numbers import parse_numbers
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.support.records import changed
from maxtunnel.training.engine import place, start_fabric
from maxtunnel.zoo.foreign import refuse_foreign, refuse_missing
from maxtunnel.zoo.names import load, shipped
from maxtunnel.zoo.vgg import load_vgg

STUDY = "recon-dec"
OWN = NetworkRun(None, None, 0)  # whose encoder is read where none is given
Run = TypeVar("Run", DepthRun, NetworkRun)


@dataclass(frozen=True)
class ReconDecStudy:
    """All that is known.

    Attributes:
        settings, grid: what was asked for.
        depths: of the readers that are done, in the order of the grid.
        networks: of the networks that are done, in the order of the grid.
        encoder: architecture of the encoder whose depths are read; empty where it is not there yet.
        missing: names of the runs that are not done, as another process is at them.
        of_mean: `mse`, `psnr`, `ssim` and `coarse` of the mean photograph on each that is measured on.
        classes: how many there are.
        trained, measured: photographs to train on, and to measure on.
        left_out: what is not there of the full study, in words; empty for nothing.
        folder: where the rows and the pictures lie.
        facts: where and when it was made, by name.
    """

    settings: Settings
    grid: Grid
    depths: tuple[DepthRow, ...]
    networks: tuple[NetworkRow, ...]
    encoder: str
    missing: tuple[str, ...]
    of_mean: dict[str, tuple[float, ...]]
    classes: int
    trained: int
    measured: int
    left_out: str
    folder: Path
    facts: dict[str, str]


def study_recon_dec(
    data: str | Path,
    val: str | Path,
    out: str | Path,
    *,
    encoder: str | None = None,
    inputs: VggInputs | None = None,
    size: Size = "small",
    parts: str | None = None,
    levels: str | None = None,
    seeds: int | None = None,
    side: int | None = None,
    network: str | None = None,
    steps: int | None = None,
    reader_steps: int | None = None,
    l2rec: float | None = None,
    l2m: float | None = None,
    seen: int | None = None,
    held: int | None = None,
    command: str = "",
    on_progress: OnProgress = silent,
) -> ReconDecStudy:
    """Train and measure the readers and networks of the study that are not in its folder yet.

    Args:
        data: photographs to train on: a folder of class folders, or a store.
        val: others to measure on, of the same classes.
        out: the study's folder.
        encoder: whose depths are read: a VGG's file (torchvision, timm, Keras' HDF5, Caffe), a network of
            ours, or an architecture such as `vgg16`, whose weights are drawn; None for that of the first
            network that is trained on classes here.
        inputs: what the VGG of a file was trained on, see `load_vgg`.
        size: `toy`, `small` or `full`; it decides what is not given.
        parts: some of `Part`, or `all`.
        levels: depths that are read, such as `1,5`, or `all`.
        seeds: networks of each kind.
        side: of the photographs in pixels.
        network: architecture of the networks that are trained on classes.
        steps: of each of these.
        reader_steps: of each reader.
        l2rec, l2m: weights of the image term and of each plane's.
        seen, held: photographs that readers are trained on, and that reconstructions are measured on.
        command: the command line, for the report.
        on_progress: told of reading, of every training, and as phases `networks` and `readers` of these.

    Raises:
        FormatError: the photographs, the encoder or the folder are damaged or of another kind.
        ValueError: an argument cannot be; or the folder holds a study with other settings.
        Stopped: interrupted; what is done is kept.
    """
    began, base = time.monotonic(), preset(size)
    grid = _grid(base.grid, parts, levels, seeds)
    settings = changed(
        base.settings, size=side, network=network, steps=steps, reader_steps=reader_steps, l2rec=l2rec,
        l2m=l2m, seen=seen, held=held,
    )  # fmt: skip
    if inputs is not None and encoder is None:
        raise ValueError("`inputs` says what a VGG's file was trained on: give that file as `encoder`")
    given = None if encoder is None else load_encoder(encoder, inputs)
    for architecture in _architectures(settings, grid, given):
        # Refused before anything is read.
        check_size(architecture, settings.size)
        grid.depths(architecture)
    _check(data, val, settings.size)
    photographs = _read(data, val, settings.size, base.limit, on_progress)
    read = None if given is None else as_network(given, photographs.trained.pixels)
    settings = replace(
        settings,
        data=fingerprint(photographs),
        encoder="trained here" if read is None else f"{Path(encoder or '').name} {read.identity().hex()}",
    )
    work = _Work(settings, grid, photographs, read, Path(out), on_progress)
    work.run()
    both = f"{data} to train on, {val} to measure on"
    told = gather_facts(command, both, began, size, encoder=encoder or "")
    return work.result(base.limit, told)


def load_encoder(encoder: str, inputs: VggInputs | None = None) -> TunnelNetwork | Architecture:
    """The network whose encoder is read, or the architecture of one whose weights are to be drawn.

    Args:
        encoder: a VGG's file, a shipped or saved network of ours, or an architecture.
        inputs: what the VGG of a file was trained on.

    Raises:
        FormatError: the file is missing, empty, damaged or of another kind.
        ValueError: it is neither a file nor an architecture, or `inputs` is given and it is no VGG's file.
    """
    path = Path(encoder)
    ours = encoder in shipped() or path.is_dir()
    if not ours:
        refuse_missing(encoder, "a VGG's file, a network of ours, or an architecture such as vgg16")
        ours = path.exists() and _is_ours(path)
    if path.is_file() and not ours:
        return load_vgg(path, inputs)
    found = load(encoder) if ours else Architecture.parse(encoder)
    if inputs is not None:
        raise ValueError(f"`inputs` is {inputs}, and {encoder} is no VGG's file: leave `inputs` out")
    return found


def as_network(given: TunnelNetwork | Architecture, pixels: UInt8[Tensor, "n 3 s s"]) -> TunnelNetwork:
    """A network as it is; one of an architecture is drawn, and subtracts the mean of the photographs."""
    return given if isinstance(given, TunnelNetwork) else TunnelNetwork(given, mean_image(pixels))


def _architectures(
    settings: Settings, grid: Grid, given: TunnelNetwork | Architecture | None
) -> tuple[Architecture, ...]:
    """Of what is read by depths: the encoder that is given, or that of the first network trained here."""
    if given is not None:
        return (given.architecture if isinstance(given, TunnelNetwork) else given,)
    return (Architecture.parse(settings.network),) if "depths" in grid.parts else ()


def _is_ours(path: Path) -> bool:
    """Whether a file is a network of ours by its content; it may be damaged."""
    try:
        refuse_foreign(path)
    except FormatError:
        return False
    return path.suffix != ".caffemodel"


class _Work:
    """The runs of one study, and what is known after them."""

    def __init__(
        self,
        settings: Settings,
        grid: Grid,
        photographs: Parts,
        encoder: TunnelNetwork | None,
        out: Path,
        on_progress: OnProgress,
    ) -> None:
        self.settings, self.grid, self.photographs, self.encoder = settings, grid, photographs, encoder
        self.on_progress = on_progress
        self.networks = grid.networks() if "networks" in grid.parts else ()
        if "depths" in grid.parts and encoder is None:
            self.networks = self.networks or (OWN,)
        self.depths: tuple[DepthRun, ...] = ()
        self.depth_rows = Rows(out, STUDY, settings, DepthRow)
        self.network_rows = Rows(out, STUDY, settings, NetworkRow)

    def run(self) -> None:
        """Do every run that is missing, but for those that another process is at."""
        do_missing(self.networks, lambda run: self.network_rows, self._train, self.on_progress, "networks")
        if "depths" not in self.grid.parts:
            return
        self.encoder = self.encoder or self._own_encoder()
        if self.encoder is None:
            return
        self.depths = self.grid.depths(self.encoder.architecture)
        if self.depth_rows.sorted_out(self.depths)[1]:
            self._capture(self.encoder)
            do_missing(self.depths, lambda run: self.depth_rows, self._read, self.on_progress, "readers")

    def _train(self, run: NetworkRun, stop: Callable[[], bool]) -> None:
        photographs = self.photographs
        row, network = run_network(
            self.settings, run, photographs.trained, photographs.measured, self.on_progress, stop
        )
        if not stop():
            if run == OWN:
                network.save(self.network_rows.network(OWN.name))
            self.network_rows.keep(run.name, row)

    def _read(self, run: DepthRun, stop: Callable[[], bool]) -> None:
        assert self.encoder is not None
        row, picture = run_reader(
            self.settings, run, self.encoder.architecture, self.seen, self.held, self.on_progress, stop
        )
        if not stop():
            self.depth_rows.keep_picture(run.name, png(picture))
            self.depth_rows.keep(run.name, row)

    def _own_encoder(self) -> TunnelNetwork | None:
        """The encoder that was trained here; None where another process is at it."""
        if self.network_rows.get(OWN.name) is None:
            return None
        return as_tunnel(Swwae.load(self.network_rows.find_network(OWN.name)))

    def _capture(self, encoder: TunnelNetwork) -> None:
        seen, held = self._pixels()
        place(encoder, start_fabric(self.settings.recipe).device)
        self.seen = capture(encoder, seen, on_progress=self.on_progress)
        self.held = capture(encoder, held, self.seen, self.on_progress)

    def _pixels(self) -> tuple[UInt8[Tensor, "n 3 s s"], UInt8[Tensor, "m 3 s s"]]:
        """Those that readers are trained on, and those that reconstructions are measured on."""
        pixels = self.photographs.trained.pixels
        numbers = torch.tensor(evenly_spaced(len(pixels), self.settings.seen))
        return pixels[numbers], held_of(self.photographs.measured.pixels, self.settings)

    def result(self, limit: int | None, facts: dict[str, str]) -> ReconDecStudy:
        """What is known now; of each folder at most `limit` photographs were read."""
        depths, unread = self.depth_rows.sorted_out(self.depths)
        networks, untrained = self.network_rows.sorted_out(self.networks)
        of_mean = mean_errors(*self._pixels())
        trained, measured = len(self.photographs.trained), len(self.photographs.measured)
        read = (
            Architecture.parse(self.settings.network) if self.encoder is None else self.encoder.architecture
        )
        return ReconDecStudy(
            settings=self.settings,
            grid=self.grid,
            depths=depths,
            networks=networks,
            encoder="" if self.encoder is None else str(self.encoder.architecture),
            missing=untrained + unread,
            of_mean={name: tuple(values.tolist()) for name, values in of_mean.items()},
            classes=len(self.photographs.trained.class_names),
            trained=trained,
            measured=measured,
            left_out=left_out(
                self.settings, self.grid, read, limit if limit in (trained, measured) else None
            ),
            folder=self.depth_rows.folder,
            facts=facts,
        )


def _grid(base: Grid, parts: str | None, levels: str | None, seeds: int | None) -> Grid:
    names = PARTS if parts is None else parse_choices(parts, "parts", PARTS)
    return Grid(
        base.levels if levels is None else parse_numbers(levels, "levels"),
        base.seeds if seeds is None else seeds,
        tuple(part for part in PARTS if part in names),
    )


def _check(data: str | Path, val: str | Path, side: int) -> None:
    """Look at both before either is read, which may take minutes.

    Raises:
        FormatError: one of them has no photographs, or no classes.
        ValueError: both share photographs, their classes differ, or a store was prepared at another size.
    """
    refuse_trained_on(data, val)
    classes, others = (list_classes(source) for source in (data, val))
    if classes != others:
        raise ValueError(
            f"`val` has {len(others)} classes, other than the {len(classes)} of `data`: give folders of the "
            "same classes"
        )
    for source in (data, val):
        if is_store(source):
            check_prepared(open_store(source), side, "bilinear")


def _read(data: str | Path, val: str | Path, side: int, limit: int | None, on_progress: OnProgress) -> Parts:
    """The photographs, with their classes."""
    found: list[LabelledSet] = []
    splits: tuple[Split, Split] = ("train", "test")
    for source, split in zip((data, val), splits, strict=True):
        images = read_photographs(source, side, limit=limit, on_progress=on_progress)
        images.warn_of_skipped()
        assert images.labels is not None
        pixels = images.pixels if isinstance(images.pixels, Tensor) else images.pixels.load()
        found.append(LabelledSet(pixels, images.labels, images.class_names, split))
    trained, measured = found
    return Parts(trained, measured, trained.pixels)
