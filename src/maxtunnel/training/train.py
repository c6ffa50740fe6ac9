"""Training a decoder, an encoder with it, and pretraining: a run in a folder, its record in the network."""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from maxtunnel.data.batches import PIECE, Order, Pixels, cut, resident
from maxtunnel.data.images import write_png
from maxtunnel.evaluation.measuring import measure_all
from maxtunnel.evaluation.records import Evaluation
from maxtunnel.evaluation.rows import Album
from maxtunnel.models.classifier import Classifier
from maxtunnel.models.provenance import PhaseRecord, Provenance
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.parts import here
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.training.config import DEFAULTS, TrainingConfig
from maxtunnel.training.feeds import ENDLESS, LabelFeed, LearningFeed, SwitchFeed, WithholdingFeed
from maxtunnel.training.loop import Session
from maxtunnel.training.phases import Classification, Learning, Phase, Reconstruction, top1

SAMPLES = 8  # photographs in each picture of samples


def train_decoder(
    network: TunnelNetwork,
    photographs: Pixels,
    run: str | Path,
    config: TrainingConfig = DEFAULTS,
    *,
    val: Pixels | None = None,
    resume: bool = False,
    on_progress: OnProgress = silent,
) -> TunnelNetwork:
    """Train the decoder of `network` to rebuild `photographs` from the switches of its encoder.

    The encoder stays as it is, or with `encoder` `learned` in the config is trained too.

    Args:
        network: changed in place.
        photographs: uint8 RGB, (n, 3, h, w), all of one size.
        run: folder for config.json, metrics.csv, model.safetensors, samples and the state to resume from.
        config: recipe, seed and bounds.
        val: photographs that are never trained on: measured at the end, shown in the samples.
        resume: go on from the state in `run`; ends bit for bit like a run that was never stopped (CPU).
        on_progress: told often how far the run is, in steps.

    Returns:
        The network, which `run` also holds as model.safetensors.

    Raises:
        TrainingStopped: interrupted by Ctrl-C or SIGTERM; the state is saved.
        TrainingDiverged: the loss became NaN or infinite; the last good state is saved.
        ValueError: there are no photographs, none to measure a target on, or not as many in all processes, or
            `run` holds another run.
        FormatError: there is nothing sound to resume.
    """
    _check_some(photographs)
    if config.target_rmse is not None and val is None:
        raise ValueError("`target_rmse` is measured on the photographs of `val`: give some")
    if not resume:
        known = network.provenance
        of_encoder = known if config.learned else known.of_encoder()
        network.provenance = replace(of_encoder, training=None, earlier=known.training)
    network.encoder.requires_grad_(config.learned)
    task: Phase = (
        Learning(network, config.recipe, config.seed)
        if config.learned
        else Reconstruction(network.decoder, network.scale)
    )
    session = Session(network, task, Path(run), config, resume)
    _check_same(session, photographs, val)
    pixels = resident(photographs, session.fabric.device)
    feed = _feed(session, pixels, on_progress)
    reached = _target(session, val, config.target_rmse, on_progress)
    shown = pixels if val is None else val
    session.fit(feed.at, on_progress, lambda step: _write_samples(network, shown, session.run, step), reached)
    session.settle()
    network.encoder.requires_grad_(False)
    record = _record(session, len(photographs))
    if val is not None:
        result = _measure(session, val)
        record = replace(
            record,
            val=_short_name(config.val or ""),
            val_images=result.images,
            rmse=result.rmse,
            rmse_ci95=result.rmse_ci95,
            stored_bits_per_pixel=result.bits_per_pixel.stored,
            bits_images=result.bits_images,
        )
    session.finish(replace(network.provenance, training=record))
    return network


def train_encoder(
    network: TunnelNetwork,
    photographs: Pixels,
    labels: Int64[Tensor, " n"],
    run: str | Path,
    config: TrainingConfig = DEFAULTS,
    *,
    val: tuple[Pixels, Int64[Tensor, " m"]] | None = None,
    resume: bool = False,
    on_progress: OnProgress = silent,
) -> TunnelNetwork:
    """Train the encoder of `network` to classify photographs, with a classifier that is thrown away.

    Args:
        network: its encoder is changed in place; its decoder stays as it is.
        photographs: uint8 RGB, (n, 3, h, w), all of one size.
        labels: the number of each photograph's class, from 0.
        run: as for `train_decoder`; model.safetensors holds the encoder, for `maxtunnel train --encoder RUN`.
        config: recipe, seed and bounds.
        val: photographs and labels that are never trained on, for the top-1 accuracy.
        resume: as for `train_decoder`.
        on_progress: told often how far the run is, in steps.

    Returns:
        The network, whose provenance has the accuracy.

    Raises:
        As `train_decoder`.
    """
    _check_some(photographs)
    if not resume:
        network.provenance = Provenance()
    size = photographs.shape[-2], photographs.shape[-1]
    generator = torch.Generator().manual_seed(config.seed)
    classes = int(labels.max()) + 1
    task = Classification(network, Classifier(network.architecture, classes, size, generator))
    network.encoder.requires_grad_(True)
    session = Session(network, task, Path(run), replace(config, phase="pretrain"), resume)
    _check_same(session, photographs, None if val is None else val[0])
    pixels = resident(photographs, session.fabric.device)
    session.fit(LabelFeed(network, pixels, labels, session.order(len(pixels))).at, on_progress)
    session.settle()
    network.encoder.requires_grad_(False)
    record = replace(_record(session, len(photographs)), classes=classes)
    if val is not None:
        record = replace(
            record,
            val=_short_name(config.val or ""),
            val_images=len(val[1]),
            top1=top1(task, network, *val, session.peers),
        )
    session.finish(Provenance(pretraining=record))
    return network


def _check_some(photographs: Pixels) -> None:
    if len(photographs) == 0:
        raise ValueError("there are no photographs to train on")
    if photographs.dtype != torch.uint8:
        raise ValueError(f"`photographs` are {photographs.dtype}: give uint8, 0 to 255")


def _check_same(session: Session, photographs: Pixels, val: Pixels | None) -> None:
    """Refuse photographs that are not as many in all processes, whose sums would not fit together."""
    for name, pixels in (("photographs", photographs), ("val", val)):
        counts = session.peers.gather(0 if pixels is None else len(pixels))
        if len(set(counts)) > 1:
            raise ValueError(
                f"`{name}` differ between machines, whose processes read {counts} of them: give all the same"
            )


def _feed(
    session: Session, pixels: Pixels, on_progress: OnProgress
) -> SwitchFeed | WithholdingFeed | LearningFeed:
    """The batches for a decoder, or for encoder and decoder together."""
    network, order = session.network, session.order(len(pixels))
    if not session.config.learned:
        feed = SwitchFeed(network, pixels, order, session.most_steps, on_progress, peers=session.peers)
        levels, share = len(network.architecture.widths), session.config.recipe.withheld
        return WithholdingFeed(feed, levels, share, session.config.seed) if share and levels > 1 else feed
    # A run that is bound in time comes to know its steps on the way, and the recipe with it.
    return LearningFeed(
        network, pixels, order, session.config.seed, lambda step: session.config.recipe.noise_at(step)
    )


def _target(
    session: Session, val: Pixels | None, target_rmse: float | None, on_progress: OnProgress
) -> Callable[[], bool]:
    """What tells whether the decoder has come as close to the photographs of `val` as was asked for."""
    if val is None or target_rmse is None:
        return lambda: False
    frozen, own = not session.config.learned, _share(val, session)
    # In the order in which they lie: whatever shares the pieces, each holds the same photographs.
    order = Order(len(own), PIECE, None, reshuffle=False, flips=False)
    feed = SwitchFeed(session.network, own, order, ENDLESS, on_progress, frozen, session.peers)
    return lambda: _rmse(session, feed, len(val)) <= target_rmse


def _share(pixels: Pixels, session: Session) -> Pixels:
    """The pieces of some photographs that this process measures: every so many, from its own number on."""
    if session.peers.ranks == 1:
        return pixels
    pieces = torch.arange(len(pixels)).split(PIECE)[session.peers.rank :: session.peers.ranks]
    numbers = torch.cat([*pieces, torch.arange(0)])
    return pixels[numbers] if isinstance(pixels, Tensor) else pixels.select(numbers)


@torch.no_grad()
def _rmse(session: Session, feed: SwitchFeed, images: int) -> float:
    """RMSE of `images` images, of which the feed has this process's share; in float32, equal in all."""
    peers, pieces = session.peers, -(-images // PIECE)
    # Of each piece: other than zero where it was measured.
    squares = torch.zeros(pieces, dtype=torch.float64)
    for step, piece in enumerate(range(peers.rank, pieces, peers.ranks)):
        codes, target = feed.at(step)
        # The last batch goes on with the first images again.
        count = min(PIECE, images - piece * PIECE)
        squares[piece] = session.network.decoder.squared_error(
            [where[:count] for where in codes], target[:count]
        )
    values = images * feed.values
    return math.sqrt(sum(peers.total(squares).tolist()) / values) / session.network.scale


def _measure(session: Session, val: Pixels) -> Evaluation:
    """What the network reached on the photographs of `val`, which all processes measure together."""
    spread = here if session.peers.ranks == 1 else session.peers.spread
    config = session.config
    (result,), _ = measure_all([session.network], [""], Album(val), config.size, config.resize, spread=spread)
    return result


def _write_samples(network: TunnelNetwork, pixels: Pixels, run: Path, step: int) -> None:
    """A picture: photographs, evenly spread over the set, above their reconstructions."""
    numbers = torch.linspace(0, len(pixels) - 1, min(SAMPLES, len(pixels))).long()
    images = cut(pixels, numbers, torch.zeros_like(numbers, dtype=torch.bool), network.device)
    rows = [torch.cat(list(row), dim=-1) for row in (images, network.reconstruct(images))]
    write_png(run / "samples" / f"{step:06d}.png", torch.cat(rows, dim=-2).cpu())


def _record(session: Session, photographs: int) -> PhaseRecord:
    """How the phase that a session did came about."""
    config = session.config
    settings = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(config.recipe).items()
    }
    return PhaseRecord(
        recipe=settings,
        seed=config.seed,
        encoder=_short_name(config.encoder) if Path(config.encoder).exists() else config.encoder,
        data=_short_name(config.data),
        images=photographs,
        size=config.size,
        resize=config.resize,
        seconds=round(session.seconds, 1),
        stopped_at=config.stopped_at,
        torch=torch.__version__,
    )


def _short_name(folder: str) -> str:
    """The last two names of a path: enough to know the data, and nothing about the machine."""
    return "/".join(Path(folder).resolve().parts[-2:])
