"""The command line: one command calls one function."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
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


class Precision(StrEnum):
    """Of the arithmetic while training; weights and switches are float32 always."""

    float32 = "32"
    bf16 = "bf16"


class Coding(StrEnum):
    """How switches are written to a file."""

    entropy = "entropy"
    packed = "packed"


class ExportFormat(StrEnum):
    """What a store can be written as."""

    parquet = "parquet"


Images = Annotated[
    list[Path],
    typer.Argument(help="Photographs, or folders of them.", metavar="IMAGE...", show_default=False),
]
SwitchFiles = Annotated[
    list[Path], typer.Argument(help="Files that `encode` wrote.", metavar="FILE...", show_default=False)
]
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
    typer.Option("--data", help="Folder of photographs (subfolders count) or store.", show_default=False),
]
Size = Annotated[int, typer.Option(help="Photographs are warped to SIZE x SIZE pixels.", min=8, max=4096)]
Resize = Annotated[Resizing, typer.Option(help="bilinear without antialiasing is the paper's.")]
ArchitectureArgument = Annotated[
    str | None,
    typer.Argument(help="Filters per block, such as 16-16-16.", metavar="ARCH", show_default=False),
]
TrainData = Annotated[
    Path | None, typer.Option("--data", help="Folder or store to train on.", show_default=False)
]
ValData = Annotated[
    Path | None, typer.Option("--val", help="Folder or store to measure on.", show_default=False)
]
Run = Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the run.", metavar="RUN")]
Resume = Annotated[
    Path | None, typer.Option(help="Go on with this run; all else comes from its config.", metavar="RUN")
]
RecipeOption = Annotated[RecipeName, typer.Option("--recipe", help="paper: the paper's to the letter.")]
Steps = Annotated[int | None, typer.Option(help="Batches; by default the recipe's.", min=1)]
Minutes = Annotated[float | None, typer.Option(help="Bound on the whole run, instead of steps.", min=0.01)]
Seed = Annotated[int, typer.Option(help="Draws encoder, decoder and order.", min=0)]
PrecisionOption = Annotated[Precision | None, typer.Option("--precision", help="By default the recipe's.")]
Devices = Annotated[int, typer.Option(help="GPUs, or processes on a CPU, that share each batch.", min=1)]
Nodes = Annotated[
    int, typer.Option(help="Machines that share each batch; start the same command on each.", min=1)
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.", metavar="DIR")]


def _version(asked: bool | None) -> None:
    if asked:
        from maxtunnel import __version__

        typer.echo(f"maxtunnel {__version__}")
        raise typer.Exit


@app.callback()
def maxtunnel(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = None,
) -> None:
    """Rebuild photographs from the positions of max-pooling maxima (the switches) alone."""


@app.command(epilog="Example: `maxtunnel demo --out demo`")
def demo(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Repeatable; by default every shipped network.", metavar="M"),
    ] = None,
    out: Out = Path("demo"),
) -> None:
    """Rebuild the four photographs in the package, and measure how close they come."""
    from maxtunnel.commands.console import print_evaluations, progress, say
    from maxtunnel.evaluation.demo import run_demo

    with progress() as on_progress:
        picture, evaluations = run_demo(out, model or (), on_progress)
    title = "Four photographs of 256x256 pixels, from switches alone"
    print_evaluations(evaluations, title, intervals=False)
    say(f"Picture: {picture}")


@app.command(epilog="Example: `maxtunnel reconstruct cat.jpg --model 16-16-16 --side-by-side --out rebuilt`")
def reconstruct(
    images: Images,
    model: Model = "16-16-16",
    out: Out = Path(),
    side_by_side: Annotated[
        bool,
        typer.Option("--side-by-side", help="Original on the left, reconstruction on the right."),
    ] = False,
) -> None:
    """Rebuild photographs from their switches: one PNG each, at the photograph's own size."""
    from maxtunnel.commands.console import finish_with_skipped, progress, say
    from maxtunnel.evaluation.demo import reconstruct_files

    with progress() as on_progress:
        written, skipped = reconstruct_files(images, model, out, side_by_side, on_progress)
    for path, error in written:
        say(f"{path}  (RMSE {error:.4f})")
    finish_with_skipped(skipped, fail=any(path in images for path, _ in skipped))


@app.command(epilog="Example: `maxtunnel encode cat.jpg --model 16-16-16 --out switches`")
def encode(
    images: Images,
    model: Model = "16-16-16",
    coding: Annotated[
        Coding,
        typer.Option(help="packed: the least whole bits a switch; entropy: fewer, as docs/codec.md says."),
    ] = Coding.entropy,
    out: Out = Path(),
) -> None:
    """Write the switches of photographs, and nothing else, as .mxt files."""
    from maxtunnel.codec.files import encode as encode_files
    from maxtunnel.commands.console import finish_with_skipped, progress, say

    with progress() as on_progress:
        written, skipped = encode_files(images, model, out, coding.value, on_progress)
    for path, bits in written:
        say(f"{path}  ({path.stat().st_size:,} bytes, {bits:.3f} bits per pixel and colour channel)")
    finish_with_skipped(skipped, fail=any(path in images for path, _ in skipped))


@app.command(epilog="Example: `maxtunnel decode switches/cat.mxt --out rebuilt`")
def decode(
    files: SwitchFiles,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="By default the shipped model that a file names.", metavar="M"),
    ] = None,
    levels: Annotated[
        str,
        typer.Option(
            help="Levels to make use of, 1 the finest: all, or such as 3 or 3,2.", metavar="all|N,..."
        ),
    ] = "all",
    out: Out = Path(),
) -> None:
    """Rebuild photographs from .mxt files."""
    from maxtunnel.codec.files import decode as decode_files
    from maxtunnel.codec.files import parse_levels
    from maxtunnel.commands.console import progress, say

    with progress() as on_progress:
        written = decode_files(files, model, parse_levels(levels), out, on_progress)
    for path in written:
        say(str(path))


@app.command(epilog="Example: `maxtunnel inspect switches/cat.mxt`")
def inspect(files: SwitchFiles) -> None:
    """Show what .mxt files hold: geometry, bits a level (nominal, entropy, stored), and the model."""
    from maxtunnel.codec.files import inspect as inspect_file
    from maxtunnel.commands.console import print_inspection

    for file in files:
        print_inspection(inspect_file(file))


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
    from maxtunnel.commands.console import counted, finish_with_skipped, print_evaluations, progress
    from maxtunnel.evaluation.evaluate import evaluate_folder

    with progress() as on_progress:
        result, skipped = evaluate_folder(
            model, data, size, resize.value, mean, limit, json, on_progress=on_progress
        )
    photographs = counted(result.images, "photograph")
    print_evaluations([result], f"{photographs} of {data} at {size}x{size}, {resize.value}")
    finish_with_skipped(skipped)


@app.command(epilog="Example: `maxtunnel train 8-8-8 --data photographs --val others --out runs/8-8-8`")
def train(
    architecture: ArchitectureArgument = None,
    data: TrainData = None,
    val: ValData = None,
    out: Run = None,
    resume: Resume = None,
    recipe: RecipeOption = RecipeName.fast,
    encoder: Annotated[
        str, typer.Option(help="random, or the model whose encoder to take.", metavar="random|M")
    ] = "random",
    steps: Steps = None,
    minutes: Minutes = None,
    target_rmse: Annotated[
        float | None, typer.Option(help="Stop as soon as --val is met this well.", min=0.0)
    ] = None,
    size: Size = 128,
    resize: Resize = Resizing.bilinear,
    seed: Seed = 0,
    precision: PrecisionOption = None,
    devices: Devices = 1,
    nodes: Nodes = 1,
) -> None:
    """Train a decoder on photographs. Ctrl-C saves the run; --resume RUN goes on with it."""
    _run(
        "train",
        architecture,
        data,
        val,
        out,
        resume,
        recipe,
        encoder=encoder,
        steps=steps,
        minutes=minutes,
        target_rmse=target_rmse,
        size=size,
        resize=resize.value,
        seed=seed,
        precision=precision,
        devices=devices,
        nodes=nodes,
    )


@app.command(
    epilog="Example: `maxtunnel pretrain 16-16-16 --data photographs --val others --out runs/encoder`"
)
def pretrain(
    architecture: ArchitectureArgument = None,
    data: TrainData = None,
    val: ValData = None,
    out: Run = None,
    resume: Resume = None,
    recipe: RecipeOption = RecipeName.fast,
    steps: Steps = None,
    minutes: Minutes = None,
    size: Size = 128,
    resize: Resize = Resizing.bilinear,
    seed: Seed = 0,
    precision: PrecisionOption = None,
    devices: Devices = 1,
    nodes: Nodes = 1,
) -> None:
    """Train an encoder to tell class folders apart; `train --encoder RUN` then puts a decoder on it."""
    _run(
        "pretrain",
        architecture,
        data,
        val,
        out,
        resume,
        recipe,
        steps=steps,
        minutes=minutes,
        size=size,
        resize=resize.value,
        seed=seed,
        precision=precision,
        devices=devices,
        nodes=nodes,
    )


def _run(
    phase: Any,
    architecture: str | None,
    data: Path | None,
    val: Path | None,
    out: Path | None,
    resume: Path | None,
    recipe: RecipeName,
    **more: Any,
) -> None:
    from maxtunnel.commands.console import counted, finish_with_skipped, progress, say
    from maxtunnel.training.runs import make_config, resume_run, start_run

    with progress() as on_progress:
        if resume is not None:
            if architecture is not None or data is not None or out is not None:
                raise typer.BadParameter("--resume takes everything from the run's config: give nothing else")
            network, skipped = resume_run(resume, on_progress)
        elif architecture is None or data is None or out is None:
            raise typer.BadParameter("a new run needs ARCH, --data and --out; an old one --resume RUN")
        else:
            config = make_config(phase, recipe.value, data, val, **more)
            network, skipped = start_run(architecture, config, out, on_progress)
    record = network.provenance.pretraining if phase == "pretrain" else network.provenance.training
    for name, value in () if record is None else (("RMSE", record.rmse), ("Top-1 accuracy", record.top1)):
        if record is not None and value is not None:
            say(f"{name} {value:.4f} on {counted(record.val_images or 0, 'photograph')}")
    say(f"Saved in {resume or out}")
    finish_with_skipped(skipped)


@app.command(epilog="Example: `maxtunnel prepare imagenette/train stores/train --size 128`")
def prepare(
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder (of class folders), Parquet files (Hugging Face) or WebDataset tar shards.",
            metavar="SOURCE",
            show_default=False,
        ),
    ],
    store: Annotated[Path, typer.Argument(help="Folder to make.", metavar="STORE", show_default=False)],
    size: Size = 128,
    resize: Resize = Resizing.bilinear,
    select: Annotated[
        str | None,
        typer.Option(
            help="Draw so many classes and images of each, as the paper did: with replacement.",
            metavar="CLASSESxIMAGES",
        ),
    ] = None,
    distinct: Annotated[bool, typer.Option("--distinct", help="Draw without replacement.")] = False,
    seed: Annotated[int, typer.Option(help="Of the draw.", min=0)] = 0,
    workers: Annotated[int | None, typer.Option(help="Workers; by default one a core.", min=1)] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first unreadable image.")] = False,
) -> None:
    """Decode and warp photographs once, into a store that opens at once. Can be stopped and goes on."""
    from maxtunnel.commands.console import print_manifest, progress
    from maxtunnel.data import prepare as prepare_store

    with progress() as on_progress:
        manifest = prepare_store(
            source,
            store,
            size=size,
            resize=resize.value,
            select=select,
            distinct=distinct,
            seed=seed,
            workers=workers,
            strict=strict,
            on_progress=on_progress,
        )
    print_manifest(store, manifest)


@app.command(epilog="Example: `maxtunnel verify stores/train`")
def verify(store: Annotated[Path, typer.Argument(metavar="STORE", show_default=False)]) -> None:
    """Read a whole store and compare it with the hashes in its manifest."""
    from maxtunnel.commands.console import progress, say
    from maxtunnel.data import verify as verify_store

    with progress() as on_progress:
        verify_store(store, on_progress)
    say(f"{store} is whole")


@app.command(epilog="Example: `maxtunnel export stores/train train-parquet --format parquet`")
def export(
    store: Annotated[Path, typer.Argument(metavar="STORE", show_default=False)],
    out: Annotated[Path, typer.Argument(metavar="OUT", show_default=False)],
    format: Annotated[
        ExportFormat, typer.Option(help="The Hugging Face image layout.")
    ] = ExportFormat.parquet,
) -> None:
    """Write a store as Parquet files that any engine can read."""
    from maxtunnel.commands.console import progress, say
    from maxtunnel.data import export as export_store

    with progress() as on_progress:
        export_store(store, out, format.value, on_progress)
    say(f"Written to {out}")


@app.command(
    epilog="Example: `maxtunnel audit mymodel.py:build --data photographs --preprocess imagenet --out audit`"
)
def audit(
    target: Annotated[
        str,
        typer.Argument(
            help="package.module:callable or file.py:callable that returns an nn.Module, a torch.export file "
            "(.pt2), or a network of ours.",
            metavar="TARGET",
            show_default=False,
        ),
    ],
    data: Data,
    holdout: Annotated[
        Path | None,
        typer.Option(help="Photographs to measure on; by default a tenth of --data.", show_default=False),
    ] = None,
    size: Size = 128,
    resize: Resize = Resizing.bilinear,
    preprocess: Annotated[
        str | None,
        typer.Option(
            help="The model's own: imagenet, or three numbers each; or file.py:callable.",
            metavar="MEAN/STD",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[float, typer.Option(help="For all but the mitigations.", min=0.01)] = 10.0,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Of the known-switch decoder, a quarter for others: instead of minutes, repeatable.", min=1
        ),
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option(
            help="The poolings that an observer sees, by number in call order: 1,3.",
            metavar="N,...",
            show_default=False,
        ),
    ] = None,
    mitigations: Annotated[
        float, typer.Option(help="Minutes to try out counter-measures; 0 leaves them out.", min=0)
    ] = 0.0,
    metric: Annotated[
        str | None,
        typer.Option(
            help="The model's own task, for the mitigations: takes a module to call like the model, gives a "
            "number.",
            metavar="FILE.py:CALLABLE",
            show_default=False,
        ),
    ] = None,
    width: Annotated[int, typer.Option(help="Most channels inside the decoders' blocks.", min=1)] = 32,
    seed: Annotated[int, typer.Option(help="Draws split, decoders and order.", min=0)] = 0,
    out: Out = Path("audit"),
) -> None:
    """Measure what the pooling indices of your model give away; write audit.html and audit.json."""
    from maxtunnel.auditing import Config
    from maxtunnel.auditing.folders import audit_folder
    from maxtunnel.commands.console import finish_with_skipped, print_audit, progress, say

    config = Config(minutes, steps, mitigations, width=width, seed=seed)
    with progress() as on_progress:
        result, page, skipped = audit_folder(
            target,
            data,
            out,
            config,
            holdout=holdout,
            size=size,
            resize=resize.value,
            preprocess=preprocess,
            levels=levels,
            metric=metric,
            on_progress=on_progress,
        )
    print_audit(result)
    say(f"Report: {page}")
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
    from maxtunnel.commands.console import progress, say
    from maxtunnel.zoo.names import import_snapshot

    with progress() as on_progress:
        network = import_snapshot(snapshot, target, mean, size, on_progress)
    say(f"{target}: {network.architecture}")


@app.command(
    epilog="Example: `maxtunnel reproduce --train stores/train --test stores/val --out reproduction`"
)
def reproduce(
    test: Annotated[Path, typer.Option(help="Store to measure on.", metavar="STORE", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of report and runs.", show_default=False)],
    train: Annotated[
        Path | None,
        typer.Option(
            help="Store to train on; without it, --use-shipped.", metavar="STORE", show_default=False
        ),
    ] = None,
    recipe: RecipeOption = RecipeName.fast,
    only: Annotated[
        str | None,
        typer.Option(
            help="Rows of Table II, such as 8-8-8,16-16-16-pretrained; by default all fourteen.",
            metavar="ROWS",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Networks a row, to see the spread over draws.", min=1)] = 1,
    steps: Steps = None,
    minutes: Annotated[
        float | None, typer.Option(help="Bound on all training together, instead of steps.", min=0.01)
    ] = None,
    use_shipped: Annotated[
        bool, typer.Option("--use-shipped", help="Take the networks in the package instead of training them.")
    ] = False,
    snapshots: Annotated[
        Path | None, typer.Option(help="Folder of the authors' .caffemodel files, to measure too.")
    ] = None,
    photographs: Annotated[
        int, typer.Option(help="How many the claims are measured on; the table takes all.", min=4)
    ] = 400,
    seed: Annotated[int, typer.Option(help="Draws the photographs and channels shown.", min=0)] = 0,
) -> None:
    """Re-measure the paper: Table II, figures and claims in one page. Goes on where it was stopped."""
    import shlex

    from maxtunnel.commands.console import print_table2, progress, say
    from maxtunnel.paper import Reproduction
    from maxtunnel.paper import reproduce as run

    asked = Reproduction(
        test=test,
        out=out,
        train=train,
        recipe=recipe.value,
        only=only,
        seeds=seeds,
        steps=steps,
        minutes=minutes,
        use_shipped=use_shipped,
        snapshots=snapshots,
        photographs=photographs,
        seed=seed,
        command=shlex.join(["maxtunnel", *sys.argv[1:]]),
    )
    with progress() as on_progress:
        report, table = run(asked, on_progress, say)
    print_table2(table)
    say(f"Report: {report}")


@app.command(epilog="Example: `maxtunnel figure 3 --data stores/val --out figures`")
def figure(
    number: Annotated[int, typer.Argument(help="1, 2, 3 or 4.", min=1, max=4, show_default=False)],
    data: Annotated[
        Path | None, typer.Option(help="Folder or store to draw photographs from.", show_default=False)
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", help="Repeat it for Figure 3; Figure 2 takes an architecture.", metavar="M"
        ),
    ] = None,
    out: Out = Path("figures"),
    count: Annotated[int, typer.Option(help="Photographs in Figures 1 and 3.", min=1, max=40)] = 8,
    seed: Annotated[int, typer.Option(help="Draws photographs, and channels.", min=0)] = 0,
    size: Size = 128,
    resize: Resize = Resizing.bilinear,
) -> None:
    """Draw a figure of the paper as PNG and PDF: 1 and 3 reconstructions, 2 the schematic, 4 the layers."""
    from maxtunnel.commands.console import progress, say
    from maxtunnel.paper import draw_figure

    with progress() as on_progress:
        written = draw_figure(number, out, data, model or (), count, seed, size, resize.value, on_progress)
    say(f"Figure: {written[0]}, {written[1]}")


@app.command(epilog="Example: `maxtunnel serve --port 8000`")
def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets others on the network in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 7860,
    auth: Annotated[
        str | None,
        typer.Option(
            help="What visitors must give.",
            metavar="NAME:PASSWORD",
            envvar="MAXTUNNEL_AUTH",
            show_default=False,
        ),
    ] = None,
    megabytes: Annotated[int, typer.Option("--max-megabytes", help="Of a file.", min=1)] = 20,
    megapixels: Annotated[
        int, typer.Option("--max-megapixels", help="Of a photograph, before it is made smaller.", min=1)
    ] = 25,
    side: Annotated[
        int,
        typer.Option("--max-side", help="Longest side to compute on: 128, 256, 512, 1024 or 2048 pixels."),
    ] = 1024,
) -> None:
    """Open a page in which to try all this on your own photographs. Nothing leaves the machine."""
    from maxtunnel.commands.console import say
    from maxtunnel.web import Limits
    from maxtunnel.web import serve as serve_page

    serve_page(host, port, auth, Limits(megabytes, megapixels, side), say)


@app.command(epilog="Example: `maxtunnel models`")
def models() -> None:
    """List the networks that ship: size, bits and measured RMSE."""
    from maxtunnel.commands.console import print_models
    from maxtunnel.zoo.names import list_shipped

    print_models(list_shipped())


@app.command(epilog="Example: `maxtunnel summary 48-96-192 --size 128`")
def summary(
    what: Annotated[str, typer.Argument(help="Architecture or model.", metavar="ARCH|M", show_default=False)],
    size: Size = 128,
) -> None:
    """Print Table I for any architecture: layer, filters, size, ReLU, parameters, switch bits."""
    from maxtunnel.commands.console import print_summary
    from maxtunnel.zoo.names import architecture_of

    print_summary(architecture_of(what), size)


@app.command(epilog="Example: `maxtunnel bench --models 8-8-8,16-16-16 --json result.json`")
def bench(
    models: Annotated[
        str, typer.Option(help="Architectures, separated by commas.", metavar="ARCH,...")
    ] = "8-8-8,16-16-16,24-48-96,64-64-64",
    large: Annotated[
        str,
        typer.Option(help="Architectures that rebuild 1, 12 and 48 megapixels.", metavar="ARCH,..."),
    ] = "",
    repeats: Annotated[int, typer.Option(help="Rounds; every way has a turn in each.", min=1)] = 7,
    json: Annotated[Path | None, typer.Option(help="Write the result here too.", metavar="FILE")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write tables here too.", metavar="FILE")] = None,
) -> None:
    """Time every operation against stock PyTorch and against the limits of the machine."""
    from maxtunnel.benchmark import run_benchmark
    from maxtunnel.benchmark.tables import markdown as to_markdown
    from maxtunnel.commands.console import print_benchmark, progress
    from maxtunnel.support.files import replacing

    with progress() as on_progress:
        result = run_benchmark(
            [model for model in models.split(",") if model],
            repeats,
            [model for model in large.split(",") if model],
            json,
            on_progress,
        )
    if markdown is not None:
        with replacing(markdown) as temporary:
            temporary.write_text(to_markdown(result))
    print_benchmark(result)


def main() -> int:
    """Run the command line; an error is one line on standard error and exit status 2."""
    from maxtunnel.commands.console import explain
    from maxtunnel.support.memory import keep_freed_memory

    keep_freed_memory()
    try:
        return app(sys.argv[1:] or ["--help"], prog_name="maxtunnel", standalone_mode=False) or 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - what explain does not know is raised again
        return explain(error)


if __name__ == "__main__":
    sys.exit(main())
