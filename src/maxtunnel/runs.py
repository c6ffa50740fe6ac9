"""Runs from names: folders become photographs, model names become networks, and training is given both."""

from dataclasses import replace
from pathlib import Path

import torch

from maxtunnel.images import Photographs, Resize, mean_image, read_folder
from maxtunnel.network import Architecture, TunnelNetwork
from maxtunnel.progress import OnProgress, counter, silent
from maxtunnel.recipes import RECIPES
from maxtunnel.training import Config, train
from maxtunnel.zoo import load

Skipped = tuple[tuple[Path, str], ...]


def start_run(
    architecture: str, config: Config, out: Path, on_progress: OnProgress = silent
) -> tuple[TunnelNetwork, Skipped]:
    """Train a new decoder in the folder `out`.

    Returns:
        The network, and the files that could not be read.

    Raises:
        ValueError: the encoder is of another architecture, or training and test folder are the same.
    """
    shape = Architecture.parse(architecture)
    train_set, val_set, skipped = _read(config, on_progress)
    network = TunnelNetwork(shape, mean_image(train_set.pixels), config.recipe.scale, config.seed)
    if config.recipe.bias_code is not None:
        torch.nn.init.constant_(network.decoder.bias_code, config.recipe.bias_code)
    if config.encoder != "random":
        take_encoder(network, load(config.encoder))
    return _train(network, train_set, val_set, out, config, False, on_progress), skipped


def take_encoder(network: TunnelNetwork, source: TunnelNetwork) -> None:
    """Give `network` the encoder of `source` with its mean image, at the inner scale of `network`."""
    if source.architecture != network.architecture:
        raise ValueError(f"the encoder of a {source.architecture} does not fit a {network.architecture}")
    network.encoder.load_state_dict(source.encoder.state_dict())
    # With its biases scaled too, an encoder of ReLUs gives the same switches at any scale.
    for bias in (p for p in network.encoder.parameters() if p.ndim == 1):
        bias.data *= network.scale / source.scale
    network.mean = source.mean.clone()


def resume_run(run: Path, on_progress: OnProgress = silent) -> tuple[TunnelNetwork, Skipped]:
    """Go on with the run in a folder, with everything as its config.json says."""
    config = Config.load(run)
    train_set, val_set, skipped = _read(config, on_progress)
    network = TunnelNetwork.load(run / "model.safetensors")
    return _train(network, train_set, val_set, run, config, True, on_progress), skipped


def _read(config: Config, on_progress: OnProgress) -> tuple[Photographs, Photographs | None, Skipped]:
    def read(folder: str) -> Photographs:
        return read_folder(
            folder,
            config.size,
            config.resize,
            on_progress=counter(on_progress, f"read {folder}"),
        )

    if config.val is not None and Path(config.val).resolve() == Path(config.data).resolve():
        raise ValueError(
            f"{config.val} is the training data: measure on photographs that were not trained on"
        )
    train_set = read(config.data)
    val_set = None if config.val is None else read(config.val)
    return train_set, val_set, train_set.skipped + (() if val_set is None else val_set.skipped)


def _train(
    network: TunnelNetwork,
    train_set: Photographs,
    val_set: Photographs | None,
    run: Path,
    config: Config,
    resume: bool,
    on_progress: OnProgress,
) -> TunnelNetwork:
    val = None if val_set is None else val_set.pixels
    return train(network, train_set.pixels, run, config, val=val, resume=resume, on_progress=on_progress)


def make_config(
    recipe: str,
    data: Path | None,
    val: Path | None,
    encoder: str,
    steps: int | None,
    minutes: float | None,
    size: int,
    resize: Resize,
    seed: int,
) -> Config:
    """The config of a new run; `steps` takes the place of the recipe's."""
    if steps is not None and minutes is not None:
        raise ValueError("steps and minutes both bound the run: give one of them")
    chosen = RECIPES[recipe]
    return Config(
        recipe=replace(chosen, steps=steps or chosen.steps),
        seed=seed,
        encoder=encoder,
        data=str(data),
        val=None if val is None else str(val),
        size=size,
        resize=resize,
        minutes=minutes,
    )
