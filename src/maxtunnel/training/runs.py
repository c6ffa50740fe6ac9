"""Runs from names: folders and stores become photographs, models become networks, training gets both."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from maxtunnel.data import ImageSet, is_store, open_store, read_photographs
from maxtunnel.data.images import mean_image
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.provenance import Provenance
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.training.loop import Config, pretrain, train
from maxtunnel.training.recipes import RECIPES, PhaseName
from maxtunnel.zoo.names import load

Skipped = tuple[tuple[Path, str], ...]


def make_config(
    phase: PhaseName,
    recipe: str,
    data: Path,
    val: Path | None,
    *,
    steps: int | None,
    precision: Literal["32", "bf16"] | None,
    **more: Any,
) -> Config:
    """The config of a new run; `steps` and `precision` take the place of the recipe's.

    Raises:
        ValueError: both `steps` and `minutes` are given, or training and test photographs are the same.
    """
    if steps is not None and more.get("minutes") is not None:
        raise ValueError("steps and minutes both bound the run: give one of them")
    if val is not None and val.resolve() == data.resolve():
        raise ValueError(f"{val} is the training data: measure on photographs that were not trained on")
    chosen = RECIPES[phase][recipe]
    chosen = replace(chosen, steps=steps or chosen.steps, precision=precision or chosen.precision)
    # Absolute, so that the run can be resumed from anywhere.
    held_out = None if val is None else str(val.resolve())
    return Config(phase, chosen, data=str(data.resolve()), val=held_out, **more)


def start_run(
    architecture: str, config: Config, out: Path, on_progress: OnProgress = silent
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
    config = Config.load(run)
    data, val = _read(config, on_progress)
    return _run(TunnelNetwork.load(run / "model.safetensors"), data, val, run, config, True, on_progress)


def take_encoder(network: TunnelNetwork, source: TunnelNetwork) -> None:
    """Give `network` the encoder of `source` with its mean image, at the inner scale, and how that was pretrained."""
    if source.architecture != network.architecture:
        raise ValueError(f"the encoder of a {source.architecture} does not fit a {network.architecture}")
    network.encoder.load_state_dict(source.encoder.state_dict())
    # With its biases scaled too, an encoder of ReLUs gives the same switches at any scale.
    for bias in (p for p in network.encoder.parameters() if p.ndim == 1):
        bias.data *= network.scale / source.scale
    network.mean = source.mean.clone()
    network.provenance = Provenance(pretraining=source.provenance.pretraining)


def _read(config: Config, on_progress: OnProgress) -> tuple[ImageSet, ImageSet | None]:
    def read(source: str) -> ImageSet:
        return read_photographs(source, config.size, config.resize, on_progress=on_progress)

    return read(config.data), None if config.val is None else read(config.val)


def _run(
    network: TunnelNetwork,
    data: ImageSet,
    val: ImageSet | None,
    run: Path,
    config: Config,
    resume: bool,
    on_progress: OnProgress,
) -> tuple[TunnelNetwork, Skipped]:
    skipped = data.skipped + (() if val is None else val.skipped)
    if config.phase == "train":
        pixels = None if val is None else val.pixels
        train(network, data.pixels, run, config, val=pixels, resume=resume, on_progress=on_progress)
        return network, skipped
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
    return network, skipped
