"""Runs from names: folders and stores become photographs, models become networks, training gets both."""

from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack

import torch

from maxtunnel.data import ImageSet, is_store, open_store, read_photographs
from maxtunnel.data.mean import mean_image
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.provenance import Provenance
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import Precision, RecipeName, Resize
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.recipes import RECIPES, PhaseName
from maxtunnel.training.train import pretrain, train
from maxtunnel.zoo.names import load

Skipped = tuple[tuple[Path, str], ...]


class Options(TypedDict, total=False):
    """What a new run may be given besides its recipe and photographs; see `TrainingConfig`."""

    seed: int
    encoder: str
    size: int
    resize: Resize
    minutes: float | None
    target_rmse: float | None
    devices: int
    nodes: int


def make_config(
    phase: PhaseName,
    recipe: RecipeName,
    data: Path,
    val: Path | None,
    *,
    steps: int | None = None,
    precision: Precision | None = None,
    **options: Unpack[Options],
) -> TrainingConfig:
    """The config of a new run.

    Args:
        phase: what is trained.
        recipe: one of `RECIPES`.
        data: folder or store to train on.
        val: folder or store to measure on.
        steps, precision: in the place of the recipe's.
        options: other fields of the config; the rest have their defaults.

    Raises:
        ValueError: both `steps` and `minutes` are given, or training and test photographs are the same.
    """
    if steps is not None and options.get("minutes") is not None:
        raise ValueError("`steps` and `minutes` both bound the run: give one of them")
    if val is not None and val.resolve() == data.resolve():
        raise ValueError(
            f"`val` is {val}, which is `data` too: measure on photographs that were not trained on"
        )
    chosen = RECIPES[phase][recipe]
    chosen = replace(chosen, steps=steps or chosen.steps, precision=precision or chosen.precision)
    # Absolute, so that the run can be resumed from anywhere.
    held_out = None if val is None else str(val.resolve())
    return TrainingConfig(phase, chosen, data=str(data.resolve()), val=held_out, **options)


def start_run(
    architecture: str, config: TrainingConfig, out: Path, on_progress: OnProgress = silent
) -> tuple[TunnelNetwork, Skipped]:
    """Train a new decoder, or pretrain a new encoder, in the folder `out`.

    Returns:
        The network, and the files that could not be read.

    Raises:
        ValueError: the encoder is of another architecture.
    """
    shape = Architecture.parse(architecture)
    data, val = _read(config, on_progress)
    mean = open_store(config.data).mean if is_store(config.data) else mean_image(data.pixels[:])
    network = TunnelNetwork(shape, mean, config.recipe.scale, config.seed)
    if config.recipe.bias_code is not None:
        torch.nn.init.constant_(network.decoder.bias_code, config.recipe.bias_code)
    if config.encoder != "random":
        take_encoder(network, load(config.encoder))
    return _run(network, data, val, out, config, False, on_progress)


def resume_run(run: Path, on_progress: OnProgress = silent) -> tuple[TunnelNetwork, Skipped]:
    """Go on with the run in a folder, with everything as its config.json says."""
    config = TrainingConfig.load(run)
    data, val = _read(config, on_progress)
    return _run(TunnelNetwork.load(run / "model.safetensors"), data, val, run, config, True, on_progress)


def take_encoder(network: TunnelNetwork, source: TunnelNetwork) -> None:
    """Give `network` the encoder of `source`, its mean image, and how it was pretrained."""
    if source.architecture != network.architecture:
        raise ValueError(f"the encoder of a {source.architecture} does not fit a {network.architecture}")
    network.encoder.load_state_dict(source.encoder.state_dict())
    # With its biases scaled too, an encoder of ReLUs gives the same switches at any scale.
    for bias in (p for p in network.encoder.parameters() if p.ndim == 1):
        bias.data *= network.scale / source.scale
    network.mean = source.mean.clone()
    network.provenance = Provenance(pretraining=source.provenance.pretraining)


def _read(config: TrainingConfig, on_progress: OnProgress) -> tuple[ImageSet, ImageSet | None]:
    def read(source: str) -> ImageSet:
        return read_photographs(source, config.size, config.resize, on_progress=on_progress)

    return read(config.data), None if config.val is None else read(config.val)


def _run(
    network: TunnelNetwork,
    data: ImageSet,
    val: ImageSet | None,
    run: Path,
    config: TrainingConfig,
    resume: bool,
    on_progress: OnProgress,
) -> tuple[TunnelNetwork, Skipped]:
    if config.phase == "train":
        pixels = None if val is None else val.pixels
        train(network, data.pixels, run, config, val=pixels, resume=resume, on_progress=on_progress)
    else:
        _pretrain(network, data, val, run, config, resume, on_progress)
    return network, data.skipped + (() if val is None else val.skipped)


def _pretrain(
    network: TunnelNetwork,
    data: ImageSet,
    val: ImageSet | None,
    run: Path,
    config: TrainingConfig,
    resume: bool,
    on_progress: OnProgress,
) -> None:
    if data.labels is None:
        raise ValueError(
            f"{config.data} has no classes: put the photographs of each class in a folder of its own"
        )
    labelled = None
    if val is not None:
        if val.labels is None or val.class_names != data.class_names:
            raise ValueError(f"{config.val} has other classes than {config.data}: both need the same folders")
        labelled = val.pixels, val.labels
    pretrain(
        network, data.pixels, data.labels, run, config, val=labelled, resume=resume, on_progress=on_progress
    )
