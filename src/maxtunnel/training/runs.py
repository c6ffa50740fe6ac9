"""Runs from names: folders and stores become photographs, models become networks, training gets both."""

import logging
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack

import torch

from maxtunnel.data import ImageSet, is_store, open_store, read_photographs
from maxtunnel.data.batches import Pixels
from maxtunnel.data.image_set import refuse_trained_on
from maxtunnel.data.mean import mean_image
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.mirrored import MirroredDecoder, new_decoder
from maxtunnel.models.provenance import LEARNED
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import DecoderKind, Logger, Precision, RecipeName, Resize
from maxtunnel.support.files import FormatError, check_folder
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.engine import check_launched, check_logger
from maxtunnel.training.peers import join_peers, minding_peers, processes_started
from maxtunnel.training.recipes import PhaseName, recipe_of
from maxtunnel.training.train import train_decoder, train_encoder
from maxtunnel.zoo.foreign import refuse_missing
from maxtunnel.zoo.names import load

Skipped = tuple[tuple[Path, str], ...]


class Options(TypedDict, total=False):
    """What a new run may be given besides its recipe and photographs; see `TrainingConfig`."""

    seed: int
    decoder: DecoderKind
    width: int
    start: str | None
    encoder: str
    size: int
    resize: Resize
    minutes: float | None
    target_rmse: float | None
    devices: int
    nodes: int
    logger: Logger | None
    history: bool


def make_config(
    phase: PhaseName,
    recipe: RecipeName,
    data: Path | None,
    val: Path | None,
    *,
    steps: int | None = None,
    batch: int | None = None,
    learning_rate: float | None = None,
    rate_weight: float | None = None,
    withheld: float | None = None,
    precision: Precision | None = None,
    **options: Unpack[Options],
) -> TrainingConfig:
    """The config of a new run.

    Args:
        phase: what is trained.
        recipe: one of `RECIPES`.
        data: folder or store to train on; None where the photographs come from memory.
        val: folder or store to measure on.
        steps, batch, learning_rate, rate_weight, withheld, precision: in the place of the recipe's.
        options: other fields of the config; the rest have their defaults.

    Raises:
        ValueError: both `steps` and `minutes` are given, or `start` and a model for `encoder`, or
            `rate_weight` for an encoder that does not learn, or `withheld` for one that does, or `width`
            without a strong decoder, or training and test photographs are the same, or a number is not above
            0 (`rate_weight`: below 0), or `withheld` is above 1, or the `logger` is not installed.
    """
    bounds = {"steps": steps, "batch": batch, "learning_rate": learning_rate, "withheld": withheld}
    for name, value in bounds.items():
        if value is not None and not value > 0:
            raise ValueError(f"`{name}` is {value}: expected a number above 0")
    if not (rate_weight or 0) >= 0:
        raise ValueError(f"`rate_weight` is {rate_weight}: expected a number from 0")
    if steps is not None and options.get("minutes") is not None:
        raise ValueError("`steps` and `minutes` both bound the run: give one of them")
    learned = phase == "train" and options.get("encoder") == LEARNED
    if options.get("start") is not None and not learned and options.get("encoder", "random") != "random":
        raise ValueError("`start` and `encoder` both name a model: the one to start from has its encoder")
    for given in (options.get("start"), options.get("encoder")):
        refuse_missing(given or "", "a network's file, the folder of a run, or the name of one that ships")
    if options.get("width") is not None and options.get("decoder") != "strong":
        raise ValueError("`width` is that of a strong decoder: give `decoder` strong too, or leave it out")
    if rate_weight and not learned:
        raise ValueError("`rate_weight` is what switches cost an encoder that learns: give `encoder` learned")
    if withheld is not None and (phase == "pretrain" or learned or withheld > 1):
        raise ValueError(
            f"`withheld` is {withheld}: expected a share of the batches, up to 1, and an encoder that stays "
            "as it is"
        )
    if val is not None and data is not None:
        refuse_trained_on(data, val)
    chosen = recipe_of(phase, recipe, options.get("decoder", "mirrored"), learned)
    chosen = replace(
        chosen,
        steps=steps or chosen.steps,
        batch=batch or chosen.batch,
        learning_rate=learning_rate or chosen.learning_rate,
        rate_weight=rate_weight or chosen.rate_weight,
        withheld=withheld or chosen.withheld,
        precision=precision or chosen.precision,
    )
    check_logger(options.get("logger"))
    # Absolute, so that the run can be resumed from anywhere.
    source = "" if data is None else str(data.resolve())
    held_out = None if val is None else str(val.resolve())
    return TrainingConfig(phase, chosen, data=source, val=held_out, **options)


def train(
    network: str | Path | Architecture | TunnelNetwork,
    photographs: str | Path | Pixels,
    out: str | Path,
    *,
    val: str | Path | Pixels | None = None,
    recipe: RecipeName = "fast",
    steps: int | None = None,
    batch: int | None = None,
    learning_rate: float | None = None,
    rate_weight: float | None = None,
    withheld: float | None = None,
    precision: Precision | None = None,
    on_progress: OnProgress = silent,
    **options: Unpack[Options],
) -> TunnelNetwork:
    """Train a decoder to rebuild photographs from switches: what `maxtunnel train` does, and its defaults.

    Args:
        network: an architecture, such as `8-8-8`, of which a new network is made; or a model that `load`
            takes, or a network (changed in place), whose decoder is trained further, as what it is. With
            `encoder` `learned` the encoder is trained with it.
        photographs: a folder or a store; or uint8 RGB, (n, 3, h, w), as they are.
        out: folder of the run; `resume_run` goes on with one that was stopped.
        val: photographs that are never trained on, as above, to measure on at the end.
        recipe: `fast` or `paper`.
        steps, batch, learning_rate, rate_weight, withheld, precision: in the place of the recipe's.
        on_progress: told what is done, how far and out of how much.
        options: `seed`, `decoder`, `width`, `start`, `encoder`, `size`, `resize`, `minutes`, `target_rmse`,
            `devices`, `nodes`, `logger` and `history`, as in `TrainingConfig`.

    Returns:
        The network, which `out` also holds as model.safetensors. Files that could not be read are logged.

    Raises:
        NotLaunched: `nodes` is more than 1, and no launcher has started this process.
        PeerLost: another process of the training ended.
        ValueError: settings that contradict each other, or photographs of another size than the store's.
        FormatError: there are no photographs, or no such model.
        TrainingStopped: interrupted by Ctrl-C or SIGTERM; the state is saved.
        TrainingDiverged: the loss became NaN or infinite; the last good state is saved.
    """
    check_launched(options.get("devices", 1), options.get("nodes", 1))
    check_folder(out)
    made = _named(network) if isinstance(network, str | Path) else network
    if isinstance(made, TunnelNetwork):
        options = _options_of(made, options)
    config = make_config(
        "train",
        recipe,
        _path(photographs),
        _path(val),
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        rate_weight=rate_weight,
        withheld=withheld,
        precision=precision,
        **options,
    )
    if not isinstance(photographs, str | Path):
        config = replace(config, size=photographs.shape[-1])
    data = _photographs(photographs, config, on_progress)
    held_out = None if val is None else _photographs(val, config, on_progress)
    if isinstance(made, Architecture):
        made = _new_network(made, data, config)
    elif config.taken is not None:
        take_encoder(made, _taken(config.taken))
    made, skipped = _run(made, data, held_out, Path(out), config, False, on_progress)
    for _, reason in skipped:
        logging.getLogger("maxtunnel").warning("skipped: %s", reason)
    return made


def start_run(
    architecture: str, config: TrainingConfig, out: Path, on_progress: OnProgress = silent
) -> tuple[TunnelNetwork, Skipped]:
    """Train a new decoder, or pretrain a new encoder, in the folder `out`.

    Returns:
        The network, and the files that could not be read.

    Raises:
        ValueError: the encoder, or the network to start from, is of another architecture, or that has another
            kind of decoder.
        NotLaunched, PeerLost: as for `train`.
    """
    check_launched(config.devices, config.nodes)
    check_folder(out)
    shape = Architecture.parse(architecture)
    data, val = _read(config, on_progress)
    return _run(_new_network(shape, data, config), data, val, out, config, False, on_progress)


def resume_run(run: Path, on_progress: OnProgress = silent) -> tuple[TunnelNetwork, Skipped]:
    """Go on with the run in a folder, with everything as its config.json says.

    Raises:
        ValueError: its photographs came from memory, or machines hold different states of the run.
        FormatError: there is no run, or nothing sound to resume.
        NotLaunched, PeerLost: as for `train`.
    """
    config = _config_of(run)
    if not config.data:
        raise ValueError(
            f"{run} was trained on photographs from memory: go on with `train_decoder` or `train_encoder`, "
            "with the same ones and `resume`"
        )
    data, val = _read(config, on_progress)
    return _run(TunnelNetwork.load(run / "model.safetensors"), data, val, run, config, True, on_progress)


def _config_of(run: Path) -> TrainingConfig:
    """What the run in a folder was asked for, once all its processes have met."""
    try:
        config = TrainingConfig.load(run)
    except FormatError as error:
        if (processes_started() or 1) == 1:
            raise
        # The others are to notice that this process ends.
        join_peers()
        raise FormatError(
            f"{error}; a run on several machines goes on from storage that all of them share, or from a copy "
            "of its folder on each"
        ) from None
    check_launched(config.devices, config.nodes)
    return config


def take_encoder(network: TunnelNetwork, source: TunnelNetwork) -> None:
    """Give `network` the encoder of `source`, its mean image, and how that encoder came about."""
    if source.architecture != network.architecture:
        raise ValueError(f"the encoder of a {source.architecture} does not fit a {network.architecture}")
    network.encoder.load_state_dict(source.encoder.state_dict())
    # With its biases scaled too, an encoder of ReLUs gives the same switches at any scale.
    for bias in (p for p in network.encoder.parameters() if p.ndim == 1):
        bias.data *= network.scale / source.scale
    network.mean = source.mean.clone()
    network.provenance = source.provenance.of_encoder()


def _path(photographs: str | Path | Pixels | None) -> Path | None:
    """Where photographs come from; None for those in memory."""
    return Path(photographs) if isinstance(photographs, str | Path) else None


def _photographs(given: str | Path | Pixels, config: TrainingConfig, on_progress: OnProgress) -> ImageSet:
    """Those of a folder or store, read as the config says; or those given, as they are."""
    if isinstance(given, str | Path):
        return read_photographs(given, config.size, config.resize, on_progress=on_progress)
    return ImageSet(given, labels=None, class_names=(), paths=(), skipped=(), ignored=())


def _named(name: str | Path) -> Architecture | TunnelNetwork:
    """The architecture that a name writes out, or the model of this name."""
    try:
        return Architecture.parse(str(name))
    except ValueError:
        return load(name)


def _options_of(network: TunnelNetwork, options: Options) -> Options:
    """The options of a training of the decoder that a network has; ValueError where they name another."""
    kind = _kind(network)
    if options.get("start") is not None:
        raise ValueError(f"`start` is {options['start']}, but `network` is a model already: give one of them")
    if options.get("decoder", kind) != kind:
        raise ValueError(
            f"`decoder` is {options['decoder']}, but that of this {network.architecture} is {kind}: "
            "leave it out"
        )
    found: Options = {**options, "decoder": kind}
    if network.strong_width is not None:
        found["width"] = network.strong_width
    return found


def _kind(network: TunnelNetwork) -> DecoderKind:
    return network.decoder_kind


def _new_network(architecture: Architecture, data: ImageSet, config: TrainingConfig) -> TunnelNetwork:
    """A network to train as the config says: a new one, with the photographs' mean image, or one further.

    An encoder that learns may start from a network with another kind of decoder: then the decoder is new.
    """
    started = None if config.start is None else _started(config.start, architecture)
    if started is not None and _kind(started) == config.decoder:
        return started
    if started is not None and not config.learned:
        # The recipe is that of the kind which was asked for.
        raise ValueError(
            f"`start` is {config.start}, whose decoder is {_kind(started)}: give `decoder` {_kind(started)}"
        )
    stored = bool(config.data) and is_store(config.data)
    strong = config.phase == "train" and config.decoder == "strong"
    mean = open_store(config.data).mean if stored else mean_image(data.pixels[:])
    network = TunnelNetwork(
        architecture, mean, config.recipe.scale, config.seed, config.width if strong else None
    )
    if config.phase == "pretrain":
        # None is trained here, and `untrained` knows this one.
        network.decoder = new_decoder(architecture)
    elif config.recipe.bias_code is not None and isinstance(network.decoder, MirroredDecoder):
        torch.nn.init.constant_(network.decoder.bias_code, config.recipe.bias_code)
    if started is not None:
        take_encoder(network, started)
    elif config.taken is not None:
        take_encoder(network, _taken(config.taken))
    return network


def _taken(encoder: str) -> TunnelNetwork:
    """The network whose encoder is taken."""
    try:
        return load(encoder)
    except FormatError as error:
        if Path(encoder).exists():
            raise
        raise FormatError(f"`encoder` is {encoder}: expected random, learned, or a model ({error})") from None


def _started(start: str, architecture: Architecture) -> TunnelNetwork:
    """The network to train further."""
    network = load(start)
    if network.architecture != architecture:
        raise ValueError(f"`start` is {start}, a {network.architecture}: it cannot become a {architecture}")
    return network


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
    again = f"maxtunnel {config.phase} --resume {shlex.quote(str(run))}"
    with minding_peers(f"start all of them again, with: {again}"):
        if config.phase == "train":
            pixels = None if val is None else val.pixels
            train_decoder(
                network, data.pixels, run, config, val=pixels, resume=resume, on_progress=on_progress
            )
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
    train_encoder(
        network, data.pixels, data.labels, run, config, val=labelled, resume=resume, on_progress=on_progress
    )
