"""The command line: one command calls one function."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Rebuild photographs from the positions of max-pooling maxima (the switches) alone.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Resizing(StrEnum):
    """How photographs come to the size of the network."""

    bilinear = "bilinear"
    antialias = "antialias"


class RecipeName(StrEnum):
    """Names of the recipes."""

    fast = "fast"
    paper = "paper"


Model = Annotated[
    str,
    typer.Option("--model", "-m", help="Shipped name, saved file, run folder or .caffemodel.", metavar="M"),
]
ModelArgument = Annotated[
    str,
    typer.Argument(
        help="Shipped name, saved file, run folder or .caffemodel.", metavar="M", show_default=False
    ),
]
Data = Annotated[
    Path,
    typer.Option("--data", help="Folder of photographs; subfolders count.", show_default=False),
]
Size = Annotated[int, typer.Option(help="Photographs are warped to SIZE x SIZE pixels.", min=8, max=4096)]
Resize = Annotated[Resizing, typer.Option(help="bilinear without antialiasing is the paper's.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.", metavar="DIR")]


@app.command(epilog="Example: `maxtunnel demo --out demo`")
def demo(out: Out = Path("demo")) -> None:
    """Rebuild the photographs in the package with every shipped network."""
    from maxtunnel.console import print_evaluations, progress, say
    from maxtunnel.demo import run_demo

    with progress() as on_progress:
        picture, evaluations = run_demo(out, on_progress)
    print_evaluations(evaluations, "Four photographs of 256x256 pixels, rebuilt from switches alone")
    say(f"Picture: {picture}")


@app.command(epilog="Example: `maxtunnel reconstruct cat.jpg --model 16-16-16 --side-by-side --out rebuilt`")
def reconstruct(
    images: Annotated[
        list[Path],
        typer.Argument(help="Photographs, or folders of them.", metavar="IMAGE...", show_default=False),
    ],
    model: Model = "16-16-16",
    out: Out = Path(),
    side_by_side: Annotated[
        bool,
        typer.Option("--side-by-side", help="Original on the left, reconstruction on the right."),
    ] = False,
) -> None:
    """Rebuild photographs from their switches: one PNG each, at the photograph's own size."""
    from maxtunnel.console import finish_with_skipped, progress, say
    from maxtunnel.demo import reconstruct_files

    with progress() as on_progress:
        written, skipped = reconstruct_files(images, model, out, side_by_side, on_progress)
    for path, error in written:
        say(f"{path}  (RMSE {error:.4f})")
    finish_with_skipped(skipped, fail=True)


@app.command(
    epilog="Example: `maxtunnel evaluate 16-16-16 --data photographs --json result.json`",
)
def evaluate(
    model: ModelArgument,
    data: Data,
    size: Size = 128,
    resize: Resize = Resizing.bilinear,
    mean: Annotated[
        Path | None,
        typer.Option(
            help="For a .caffemodel, which carries no mean image: a folder whose photographs' mean is taken, "
            "or a .npy of (3, h, w) RGB in [0, 1].",
            metavar="FOLDER|FILE.npy",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Only so many photographs, evenly spread over the folder.", min=1),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the result here too.", metavar="FILE")] = None,
) -> None:
    """Measure how close reconstructions come: RMSE, PSNR, SSIM and bits, with 95 % intervals."""
    from maxtunnel.console import finish_with_skipped, print_evaluations, progress
    from maxtunnel.evaluation import evaluate_folder

    with progress() as on_progress:
        result, skipped = evaluate_folder(model, data, size, resize.value, mean, limit, json, on_progress)
    print_evaluations([result], f"{result.images} photographs of {data} at {size}x{size}, {resize.value}")
    finish_with_skipped(skipped)


@app.command(epilog="Example: `maxtunnel train 8-8-8 --data photographs --val others --out runs/8-8-8`")
def train(
    architecture: Annotated[
        str | None,
        typer.Argument(help="Filters per block, such as 16-16-16.", metavar="ARCH", show_default=False),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of photographs to train on.")] = None,
    val: Annotated[Path | None, typer.Option(help="Folder of photographs to measure on.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the run.", metavar="RUN")] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with this run; all else comes from its config.", metavar="RUN"),
    ] = None,
    recipe: Annotated[RecipeName, typer.Option(help="paper: the paper's to the letter.")] = RecipeName.fast,
    encoder: Annotated[
        str, typer.Option(help="random, or the model whose encoder to take.", metavar="random|M")
    ] = "random",
    steps: Annotated[int | None, typer.Option(help="Batches; by default the recipe's.", min=1)] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Bound on the whole run, instead of steps.", min=0.01)
    ] = None,
    size: Size = 128,
    resize: Resize = Resizing.bilinear,
    seed: Annotated[int, typer.Option(help="Draws encoder, decoder and order.", min=0)] = 0,
) -> None:
    """Train a decoder on a folder of photographs. Ctrl-C saves the run; --resume RUN goes on with it."""
    from maxtunnel.console import finish_with_skipped, progress, say
    from maxtunnel.runs import make_config, resume_run, start_run

    if resume is None and not (architecture and data and out):
        raise typer.BadParameter("a new run needs ARCH, --data and --out; an old one --resume RUN")
    with progress() as on_progress:
        if resume is not None:
            network, skipped = resume_run(resume, on_progress)
        else:
            config = make_config(recipe.value, data, val, encoder, steps, minutes, size, resize.value, seed)
            network, skipped = start_run(str(architecture), config, Path(str(out)), on_progress)
    if "rmse" in network.info:
        say(f"RMSE {network.info['rmse']:.4f} on {network.info['val_images']} photographs")
    say(f"Saved in {resume or out}")
    finish_with_skipped(skipped)


@app.command(
    "import-caffe",
    epilog="Example: `maxtunnel import-caffe net8_8_8.caffemodel 8-8-8.safetensors --mean photographs`",
)
def import_caffe(
    snapshot: Annotated[Path, typer.Argument(metavar="FILE.caffemodel", show_default=False)],
    target: Annotated[Path, typer.Argument(metavar="OUT.safetensors", show_default=False)],
    mean: Annotated[
        Path | None,
        typer.Option(
            help="Folder whose photographs' mean image to store, or a .npy of (3, h, w) RGB in [0, 1]; "
            "default ImageNet's channel means.",
            metavar="FOLDER|FILE.npy",
        ),
    ] = None,
    size: Size = 128,
) -> None:
    """Turn a snapshot that the paper's authors published into a maxtunnel file."""
    from maxtunnel.console import progress, say
    from maxtunnel.zoo import import_snapshot

    with progress() as on_progress:
        network = import_snapshot(snapshot, target, mean, size, on_progress)
    say(f"{target}: {network.architecture}")


@app.command(epilog="Example: `maxtunnel models`")
def models() -> None:
    """List the networks that ship: size, bits and measured RMSE."""
    from maxtunnel.console import print_models
    from maxtunnel.zoo import list_shipped

    print_models(list_shipped())


@app.command(epilog="Example: `maxtunnel summary 48-96-192 --size 128`")
def summary(
    what: Annotated[str, typer.Argument(help="Architecture or model.", metavar="ARCH|M", show_default=False)],
    size: Size = 128,
) -> None:
    """Print Table I for any architecture: layer, filters, size, ReLU, parameters, switch bits."""
    from maxtunnel.console import print_summary
    from maxtunnel.zoo import architecture_of

    print_summary(architecture_of(what), size)


def main() -> int:
    """Run the command line; an error is one line on standard error and exit status 2."""
    from maxtunnel.console import explain

    try:
        return app(sys.argv[1:] or ["--help"], prog_name="maxtunnel", standalone_mode=False) or 0
    except Exception as error:  # noqa: BLE001 - whatever explain does not know is raised again
        return explain(error)


if __name__ == "__main__":
    sys.exit(main())
