"""The command line, put together."""

from collections.abc import Sequence
from typing import Annotated

import typer
from typer.core import TyperGroup, TyperOption

from maxtunnel.commands import audit, bench, data, networks, paper, photographs, serve, training
from maxtunnel.commands.spelling import spellings

# In the order of the help, each with the example that its own help ends with.
COMMANDS = (
    (photographs.demo, "maxtunnel demo --out demo"),
    (photographs.reconstruct, "maxtunnel reconstruct cat.jpg --model 16-16-16 --side-by-side --out rebuilt"),
    (photographs.encode, "maxtunnel encode cat.jpg --model 16-16-16 --out switches"),
    (photographs.decode, "maxtunnel decode switches/cat.mxt --out rebuilt"),
    (photographs.inspect, "maxtunnel inspect switches/cat.mxt"),
    (networks.evaluate, "maxtunnel evaluate 16-16-16 --data photographs --json result.json"),
    (training.train, "maxtunnel train 8-8-8 --data photographs --val others --out runs/8-8-8"),
    (training.pretrain, "maxtunnel pretrain 16-16-16 --data photographs --val others --out runs/encoder"),
    (data.prepare, "maxtunnel prepare imagenette/train stores/train --size 128"),
    (data.verify, "maxtunnel verify stores/train"),
    (data.export, "maxtunnel export stores/train train-parquet --format parquet"),
    (audit.audit, "maxtunnel audit mymodel.py:build --data photographs --preprocess imagenet --out audit"),
    (
        networks.import_caffe,
        "maxtunnel import-caffe net8_8_8.caffemodel 8-8-8.safetensors --mean photographs",
    ),
    (paper.reproduce, "maxtunnel reproduce --train stores/train --test stores/val --out reproduction"),
    (paper.figure, "maxtunnel figure 3 --data stores/val --out figures"),
    (serve.serve, "maxtunnel serve --port 8000"),
    (networks.models, "maxtunnel models"),
    (networks.summary, "maxtunnel summary 48-96-192 --size 128"),
    (bench.bench, "maxtunnel bench --models 8-8-8,16-16-16 --json result.json"),
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command, _example in COMMANDS:
    app.command(epilog=f"Example: `{_example}`")(_command)


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


def command_line() -> TyperGroup:
    """All commands; the options for shell completion work, but are no part of the help."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    for parameter in group.params:
        if isinstance(parameter, TyperOption) and parameter.name in ("install_completion", "show_completion"):
            parameter.hidden = True
    return group


def spellings_of(arguments: Sequence[str]) -> dict[str, str]:
    """How the command that `arguments` call spells its parameters; nothing where they call none."""
    # Before the name of a command stand options without a value only.
    name = next((argument for argument in arguments if not argument.startswith("-")), "")
    command = command_line().commands.get(name)
    return {} if command is None else spellings(command.params)
