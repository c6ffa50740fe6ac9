"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.support import choices

_MODEL = "Shipped name, saved file, run folder or .caffemodel."

Images = Annotated[
    list[Path],
    typer.Argument(help="Photographs, or folders of them.", metavar="IMAGE...", show_default=False),
]
Sources = Annotated[
    list[str],
    typer.Argument(
        help="Photographs; folders, Parquet or tar files of them; or addresses of these.",
        metavar="IMAGE...",
        show_default=False,
    ),
]
SwitchFiles = Annotated[
    list[Path], typer.Argument(help="Files that `encode` wrote.", metavar="FILE...", show_default=False)
]
Store = Annotated[Path, typer.Argument(metavar="STORE", show_default=False)]
Model = Annotated[str, typer.Option("--model", "-m", help=_MODEL, metavar="M")]
Models = Annotated[
    list[str], typer.Argument(help=f"{_MODEL} Repeatable.", metavar="M...", show_default=False)
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label", help="Name to show for a model; repeatable, in the order of models.", metavar="NAME"
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Replace files that another network made, or something else."),
]
Data = Annotated[
    Path,
    typer.Option("--data", help="Folder of photographs (subfolders count) or store.", show_default=False),
]
Target = Annotated[
    str,
    typer.Argument(
        help="package.module:callable or file.py:callable that returns an nn.Module, a torch.export file "
        "(.pt2), or a network of ours.",
        metavar="TARGET",
        show_default=False,
    ),
]
Holdout = Annotated[
    Path | None,
    typer.Option(help="Photographs to measure on; by default a tenth of --data.", show_default=False),
]
Preprocess = Annotated[
    str | None,
    typer.Option(
        help="The model's own: imagenet, or three numbers each; or file.py:callable.",
        metavar="MEAN/STD",
        show_default=False,
    ),
]
Levels = Annotated[
    str | None,
    typer.Option(
        help="The poolings that an observer sees, by number in call order: 1,3.",
        metavar="N,...",
        show_default=False,
    ),
]
Photographs = Annotated[
    str,
    typer.Option(
        "--data",
        help="Folder of photographs (subfolders count), Parquet or tar files, their address, or a store.",
        metavar="DATA",
        show_default=False,
    ),
]
Engine = Annotated[
    choices.Engine,
    typer.Option(help="What does the work: this process, or a Ray cluster, with the same results."),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        help="Of a Ray cluster that runs, such as auto; by default one is started on this machine.",
        metavar="HOST:PORT",
    ),
]
Gpus = Annotated[
    float,
    typer.Option(help="Of a node of the cluster, for each part: 0.5 for two parts on a GPU.", min=0),
]
Size = Annotated[int, typer.Option(help="Photographs are warped to SIZE x SIZE pixels.", min=8, max=4096)]
Limit = Annotated[
    int | None, typer.Option(help="Only so many photographs, evenly spread over the folder.", min=1)
]
Resize = Annotated[choices.Resize, typer.Option(help="bilinear without antialiasing is the paper's.")]
Recipe = Annotated[choices.RecipeName, typer.Option(help="paper: the paper's to the letter.")]
Refine = Annotated[
    int,
    typer.Option(
        help="Rounds in which each picture is changed until nearly all of its own switches are those it was "
        "rebuilt from; 0 leaves it as decoded, 40 do most of it.",
        metavar="ROUNDS",
        min=0,
        max=10_000,
    ),
]
Steps = Annotated[int | None, typer.Option(help="Batches; by default the recipe's.", min=1)]
Batch = Annotated[int | None, typer.Option(help="Photographs a step; by default the recipe's.", min=1)]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.", metavar="DIR")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the result here too.", metavar="FILE")]
CsvFile = Annotated[Path | None, typer.Option("--csv", help="Write the table here too.", metavar="FILE")]
LatexFile = Annotated[
    Path | None, typer.Option("--latex", help="Write the table here as LaTeX too.", metavar="FILE")
]
