"""Commands on networks: measure, import, list and describe them."""

from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import finish_with_skipped, progress, say
from maxtunnel.commands.options import (
    CsvFile,
    Engine,
    Gpus,
    JsonFile,
    Labels,
    LatexFile,
    Limit,
    Models,
    Photographs,
    RayAddress,
    Refine,
    Resize,
    Size,
)
from maxtunnel.commands.tables import (
    check_targets,
    print_bits,
    print_sources,
    print_summary,
    print_table,
    tabulate_dense,
    tabulate_differences,
    tabulate_evaluations,
    tabulate_models,
)
from maxtunnel.scale.cluster import start_engine
from maxtunnel.support import choices
from maxtunnel.support.numbers import counted
from maxtunnel.support.places import without_secrets
from maxtunnel.support.tables import write_tables


def evaluate(
    models: Models,
    data: Photographs,
    size: Size = 128,
    resize: Resize = "bilinear",
    mean: Annotated[
        Path | None,
        typer.Option(
            help="For a .caffemodel, which carries no mean image: a folder whose photographs' mean is taken, "
            "or a .npy of (3, h, w) RGB in [0, 1].",
            metavar="FOLDER|FILE.npy",
        ),
    ] = None,
    limit: Limit = None,
    labels: Labels = None,
    json_file: JsonFile = None,
    csv_file: CsvFile = None,
    latex_file: LatexFile = None,
    rows: Annotated[
        str | None,
        typer.Option(
            help="Folder, or its address, to keep what each photograph reached as Parquet files, and to go "
            "on from when stopped.",
            metavar="DIR",
        ),
    ] = None,
    engine: Engine = "here",
    ray_address: RayAddress = None,
    gpus: Gpus = 0.0,
    refine: Refine = 0,
) -> None:
    """Measure how close reconstructions come: RMSE, PSNR, SSIM and bits, with 95 % intervals.

    Of several models, each is compared with the first.
    """
    from maxtunnel.evaluation.comparison import evaluate_models

    check_targets(json_file, csv_file, latex_file)
    with progress() as on_progress, start_engine(engine, ray_address, gpus) as spread:
        results, differences, skipped = evaluate_models(
            models,
            data,
            size,
            resize,
            mean,
            limit,
            labels or (),
            json_file,
            rows=rows,
            device="cuda" if gpus else None,
            spread=spread,
            refine=refine,
            on_progress=on_progress,
        )
    photographs, shown = counted(results[0].images, "photograph"), without_secrets(data)
    moved = f", refined in {counted(refine, 'round')}" if refine else ""
    title = f"{photographs} of {shown} at {size}x{size}, {resize}{moved}"
    tables = [tabulate_evaluations(results, title)]
    if differences:
        tables.append(tabulate_differences(differences, intervals=results[0].images > 1))
    for table in tables:
        print_table(table)
    print_bits(results)
    write_tables(tables, csv_file, latex_file)
    finish_with_skipped(skipped)


def import_network(
    source: Annotated[
        Path,
        typer.Argument(
            help="A snapshot of the paper's authors, a .caffemodel of SegNet, DeconvNet or CEDN, or a file "
            "with a VGG's weights.",
            metavar="FILE",
            show_default=False,
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT.safetensors", show_default=False)],
    mean: Annotated[
        Path | None,
        typer.Option(
            help="For a snapshot: folder whose photographs' mean image to store, or a .npy of (3, h, w) RGB "
            "in [0, 1]; default ImageNet's channel means.",
            metavar="FOLDER|FILE.npy",
        ),
    ] = None,
    inputs: Annotated[
        choices.VggInputs | None,
        typer.Option(
            help="What a VGG was given: imagenet, (x - mean) / deviation of RGB in [0, 1]; caffe, BGR in "
            "grey levels less the mean; by default what is usual for such files."
        ),
    ] = None,
    size: Size = 128,
) -> None:
    """Turn a network of another program into a maxtunnel file: a snapshot of the paper, or a VGG's encoder.

    A VGG is read from PyTorch (.pth, .safetensors), Keras (.h5) or Caffe. Its decoder is new: train one with
    `maxtunnel train ARCH --encoder OUT.safetensors`.
    """
    from maxtunnel.models.dense import DenseNetwork
    from maxtunnel.zoo import names

    with progress() as on_progress:
        network = names.import_network(source, target, mean, inputs, size, on_progress)
    if isinstance(network, DenseNetwork):
        classes = network.shape.classes
        command = "segment" if classes > 1 else "contours"
        say(f"{target}: {classes} answers a pixel. maxtunnel {command} IMAGE --model {target} draws them.")
        return
    say(f"{target}: {network.architecture}")
    if network.provenance.imported is not None:
        say(f"Its encoder is from {network.provenance.imported}.")
        say(f"Its decoder is new: maxtunnel train {network.architecture} --encoder {target} trains one.")


def models(csv_file: CsvFile = None, latex_file: LatexFile = None) -> None:
    """List the networks that ship: decoder, size, bits and measured RMSE; below, those of classes, contours.

    --csv and --latex write the first table.
    """
    from maxtunnel.zoo.dense_files import list_shipped_dense
    from maxtunnel.zoo.names import list_shipped

    check_targets(csv_file, latex_file)
    shipped, dense = list_shipped(), list_shipped_dense()
    table = tabulate_models(shipped)
    print_table(table)
    print_sources(shipped)
    say("")
    print_table(tabulate_dense(dense))
    for model in dense:
        say(f"{model.name}: {model.about}")
    write_tables([table], csv_file, latex_file)


def summary(
    name: Annotated[str, typer.Argument(help="Architecture or model.", metavar="ARCH|M", show_default=False)],
    size: Size = 128,
) -> None:
    """Print Table I for any architecture: layer, filters, size, ReLU, parameters, switch bits."""
    from maxtunnel.zoo.names import architecture_of

    print_summary(architecture_of(name), size)
