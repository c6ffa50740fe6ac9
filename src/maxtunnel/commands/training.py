"""Commands that train networks."""

import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Unpack

import typer

from maxtunnel.commands.console import finish_with_skipped, progress, say
from maxtunnel.commands.options import Batch, Recipe, Resize, Size, Steps
from maxtunnel.commands.spelling import Context, given
from maxtunnel.support import choices
from maxtunnel.support.numbers import counted

if TYPE_CHECKING:
    from maxtunnel.models.provenance import PhaseRecord
    from maxtunnel.training.runs import Options

# Of both commands.
Architecture = Annotated[
    str | None,
    typer.Argument(
        help="Filters per block, such as 16-16-16; or a variant, such as 8-8x3-8 or 8-8-8+linear+inside64; "
        "or vgg16 and its like.",
        metavar="ARCH",
        show_default=False,
    ),
]
Data = Annotated[Path | None, typer.Option("--data", help="Folder or store to train on.", show_default=False)]
Val = Annotated[Path | None, typer.Option("--val", help="Folder or store to measure on.", show_default=False)]
Run = Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the run.", metavar="RUN")]
Resume = Annotated[
    Path | None, typer.Option(help="Go on with this run; all else comes from its config.", metavar="RUN")
]
Minutes = Annotated[float | None, typer.Option(help="Bound on the whole run, instead of steps.", min=0.01)]
Seed = Annotated[int, typer.Option(help="Draws encoder, decoder and order.", min=0)]
Precision = Annotated[choices.Precision | None, typer.Option(help="By default the recipe's.")]
Devices = Annotated[int, typer.Option(help="GPUs, or processes on a CPU, that share each batch.", min=1)]
Nodes = Annotated[
    int, typer.Option(help="Machines that share each batch; without torchrun it says what to start.", min=1)
]

Logger = Annotated[
    choices.Logger | None, typer.Option(help="Send the figures of metrics.csv there too; each an extra.")
]

History = Annotated[
    bool,
    typer.Option(
        "--history",
        help="Keep the networks of steps 0, 1, 2, 5, 10, 20, ... too, for visualise --evolution.",
    ),
]

# Of `train` alone.
Decoder = Annotated[choices.DecoderKind, typer.Option(help="The paper's decoder, or a strong one.")]
Width = Annotated[int, typer.Option(help="Channels of a strong decoder.", min=1, max=4096)]
Start = Annotated[
    str | None,
    typer.Option(
        help="The model to train further, with its decoder; --encoder M takes the encoder alone.", metavar="M"
    ),
]
Rate = Annotated[
    float | None, typer.Option("--learning-rate", help="At its highest; by default the recipe's.", min=1e-9)
]
Encoder = Annotated[
    str,
    typer.Option(
        help="random; learned, to train it with the decoder; or the model whose encoder to take, as it is, "
        "for a new decoder.",
        metavar="random|learned|M",
    ),
]
RateWeight = Annotated[
    float | None,
    typer.Option(
        help="The mean squared error that a bit per pixel and channel is worth to a learned encoder.",
        min=0,
    ),
]
Withheld = Annotated[
    float | None,
    typer.Option(
        help="Share of the batches whose finest levels the decoder is not given, to learn from any number "
        "of levels.",
        min=1e-9,
        max=1.0,
    ),
]
TargetRmse = Annotated[float | None, typer.Option(help="Stop as soon as --val is met this well.", min=0.0)]


def train(
    context: Context,
    architecture: Architecture = None,
    data: Data = None,
    val: Val = None,
    out: Run = None,
    resume: Resume = None,
    recipe: Recipe = "fast",
    decoder: Decoder = "mirrored",
    width: Width = 64,
    start: Start = None,
    encoder: Encoder = "random",
    steps: Steps = None,
    batch: Batch = None,
    learning_rate: Rate = None,
    rate_weight: RateWeight = None,
    withheld: Withheld = None,
    minutes: Minutes = None,
    target_rmse: TargetRmse = None,
    size: Size = 128,
    resize: Resize = "bilinear",
    seed: Seed = 0,
    precision: Precision = None,
    devices: Devices = 1,
    nodes: Nodes = 1,
    logger: Logger = None,
    history: History = False,
) -> None:
    """Train a decoder on photographs. Ctrl-C saves the run; --resume RUN goes on with it."""
    _run(
        "train", context, architecture, data, val, out, resume, recipe, steps, precision,
        minutes=minutes, size=size, resize=resize, seed=seed, devices=devices, nodes=nodes,
        logger=logger, history=history,
        encoder=encoder, target_rmse=target_rmse, decoder=decoder, start=start,
        batch=batch, learning_rate=learning_rate, rate_weight=rate_weight, withheld=withheld,
        # Who gives one expects it to count, also where it is the default.
        **({"width": width} if "width" in given(context) else {}),
    )  # fmt: skip


def pretrain(
    context: Context,
    architecture: Architecture = None,
    data: Data = None,
    val: Val = None,
    out: Run = None,
    resume: Resume = None,
    recipe: Recipe = "fast",
    steps: Steps = None,
    minutes: Minutes = None,
    size: Size = 128,
    resize: Resize = "bilinear",
    seed: Seed = 0,
    precision: Precision = None,
    devices: Devices = 1,
    nodes: Nodes = 1,
    logger: Logger = None,
    history: History = False,
) -> None:
    """Train an encoder to tell class folders apart; `train --encoder RUN` then puts a decoder on it."""
    _run(
        "pretrain", context, architecture, data, val, out, resume, recipe, steps, precision,
        minutes=minutes, size=size, resize=resize, seed=seed, devices=devices, nodes=nodes,
        logger=logger, history=history,
    )  # fmt: skip


def _run(
    phase: Literal["train", "pretrain"],
    context: Context,
    architecture: str | None,
    data: Path | None,
    val: Path | None,
    out: Path | None,
    resume: Path | None,
    recipe: choices.RecipeName,
    steps: int | None,
    precision: choices.Precision | None,
    batch: int | None = None,
    learning_rate: float | None = None,
    rate_weight: float | None = None,
    withheld: float | None = None,
    **options: "Unpack[Options]",
) -> None:
    """A new run, or an old one that goes on, and what it reached; `options` become fields of its config."""
    from maxtunnel.training.runs import make_config, resume_run, start_run

    with _showing_launch(), progress() as on_progress:
        if resume is not None:
            _refuse_all_but_resume(context)
            network, skipped = resume_run(resume, on_progress)
        elif architecture is None or data is None or out is None:
            raise typer.BadParameter("a new run needs ARCH, --data and --out; an old one --resume RUN")
        else:
            config = make_config(
                phase,
                recipe,
                data,
                val,
                steps=steps,
                batch=batch,
                learning_rate=learning_rate,
                rate_weight=rate_weight,
                withheld=withheld,
                precision=precision,
                **options,
            )
            network, skipped = start_run(architecture, config, out, on_progress)
    provenance = network.provenance
    _say_reached(provenance.training if phase == "train" else provenance.pretraining)
    say(f"Saved in {resume or out}")
    finish_with_skipped(skipped)


@contextmanager
def _showing_launch() -> Iterator[None]:
    """Where several machines were asked for and nothing started them, say what to start on each."""
    from maxtunnel.training.peers import NotLaunched

    try:
        yield
    except NotLaunched as error:
        others = "1" if error.nodes == 2 else f"1 to {error.nodes - 1}"
        count = f"--nnodes={error.nodes} --node-rank=0 --nproc-per-node={error.devices}"
        raise ValueError(
            f"`nodes` is {error.nodes}, but no launcher has started this process: start this here, and with "
            f"--node-rank={others} in the place of 0 on the other machine{'s' * (error.nodes > 2)}: "
            f"torchrun {count} --master-addr={socket.gethostname()} --master-port=29500 "
            f"-m maxtunnel {shlex.join(sys.argv[1:])}"
        ) from None


def _refuse_all_but_resume(context: Context) -> None:
    others = [spelling for name, spelling in given(context).items() if name != "resume"]
    if others:
        raise typer.BadParameter(
            f"--resume takes everything from the run's config, so leave out {', '.join(others)}"
        )


def _say_reached(record: "PhaseRecord | None") -> None:
    if record is None:
        return
    for name, value in (("RMSE", record.rmse), ("Top-1 accuracy", record.top1)):
        if value is not None:
            say(f"{name} {value:.4f} on {counted(record.val_images or 0, 'photograph')}")
