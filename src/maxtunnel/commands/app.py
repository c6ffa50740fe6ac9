"""The command line, put together."""

from collections.abc import Sequence
from functools import cache
from typing import Annotated

import typer
from typer.core import TyperGroup, TyperOption

from maxtunnel.commands import (
    adaptive,
    audit,
    bench,
    contours,
    data,
    dense_study,
    networks,
    onnx,
    paper,
    photographs,
    plan,
    protect,
    segment,
    serve,
    site,
    studies,
    study,
    training,
    transplant,
    visualise,
)
from maxtunnel.commands.spelling import Context, spellings

# In the order of the help, each with the example that its own help ends with.
COMMANDS = (
    (photographs.demo, "maxtunnel demo --out demo"),
    (photographs.reconstruct, "maxtunnel reconstruct cat.jpg --model 16-16-16 --side-by-side --out rebuilt"),
    (photographs.encode, "maxtunnel encode cat.jpg --model 16-16-16 --out switches"),
    (photographs.decode, "maxtunnel decode switches/cat.mxt --out rebuilt"),
    (photographs.inspect, "maxtunnel inspect switches/cat.mxt"),
    (segment.segment, "maxtunnel segment street.jpg --switches all --out classes"),
    (contours.contours, "maxtunnel contours cat.jpg --switches all --out lines"),
    (networks.evaluate, "maxtunnel evaluate 16-16-16 --data photographs --json result.json"),
    (training.train, "maxtunnel train 8-8-8 --data photographs --val others --out runs/8-8-8"),
    (training.pretrain, "maxtunnel pretrain 16-16-16 --data photographs --val others --out runs/encoder"),
    (data.prepare, "maxtunnel prepare imagenette/train stores/train --size 128"),
    (data.verify, "maxtunnel verify stores/train"),
    (data.export, "maxtunnel export stores/train train-parquet --format parquet"),
    (audit.audit, "maxtunnel audit mymodel.py:build --data photographs --preprocess imagenet --out audit"),
    (protect.protect, "maxtunnel protect mymodel.py:build --data photographs --metric mymodel.py:accuracy"),
    (visualise.visualise, "maxtunnel visualise 8-8-8-pretrained photographs --layer pool3 --out visualised"),
    (networks.import_network, "maxtunnel import vgg16.pth vgg16.safetensors"),
    (onnx.export_onnx, "maxtunnel export-onnx 16-16-16 16-16-16.onnx"),
    (paper.reproduce, "maxtunnel reproduce --train stores/train --test stores/val --out reproduction"),
    (studies.frontier, "maxtunnel frontier --data stores/val --out frontier"),
    (studies.triggers, "maxtunnel triggers 8-8-8 --data stores/val --out triggers.png"),
    (paper.figure, "maxtunnel figure 3 --data stores/val --out figures"),
    (serve.serve, "maxtunnel serve --port 8000"),
    (site.site, "maxtunnel site public --onnxruntime-web node_modules/onnxruntime-web"),
    (networks.models, "maxtunnel models"),
    (networks.summary, "maxtunnel summary 48-96-192 --size 128"),
    (bench.bench, "maxtunnel bench --models 8-8-8,16-16-16 --json result.json"),
    (plan.plan, "maxtunnel plan --images 1e9 --nodes 100"),
)

# Those of the group `study`.
STUDIES = (
    (study.swwae, "maxtunnel study swwae --data mnist --out study"),
    (study.recon_dec, "maxtunnel study recon-dec --data imagenette/train --val imagenette/val --out study"),
    (study.all_conv, "maxtunnel study all-conv --data cifar-10 --out study"),
    (dense_study.contours, "maxtunnel study contours --data BSDS500/data --out study"),
    (dense_study.segmentation, "maxtunnel study segmentation --data CamVid --out study"),
    (adaptive.adaptive, "maxtunnel study adaptive --data 101_ObjectCategories --out study"),
    (transplant.transplant, "maxtunnel study transplant --data CroppedYale --out study"),
    (study.verdicts, "maxtunnel study verdicts docs/studies --into docs/claims.md"),
)


class _Commands(TyperGroup):
    """Commands by name: without one, their help; where an argument is empty, none is looked for."""

    # Typer's own class of contexts has moved between versions.
    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Refuse an empty argument: as a path it would name the folder that the command is given in."""
        for argument in args:
            if not argument or (argument.startswith("--") and argument.endswith("=")):
                raise typer.BadParameter(f"{argument or 'an argument'} is empty: is a variable not set?")
        return super().parse_args(ctx, args or ["--help"])


app = typer.Typer(
    cls=_Commands,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command, _example in COMMANDS:
    # By the name that stands in its example: `import` is none that a function can have.
    app.command(_example.split()[1], epilog=f"Example: `{_example}`")(_command)
_studies = typer.Typer(cls=_Commands)
for _study, _example in STUDIES:
    _studies.command(_example.split()[2], epilog=f"Example: `{_example}`")(_study)
app.add_typer(_studies, name="study", help="Answer a question about a paper by many trainings.")


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


# Putting it together takes longer than many commands take, and an error asks for it again.
@cache
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
    names = [argument for argument in arguments if not argument.startswith("-")]
    command: object = command_line()
    while isinstance(command, TyperGroup) and names:
        command = command.commands.get(names.pop(0))
    params = getattr(command, "params", None)
    return {} if params is None or isinstance(command, TyperGroup) else spellings(params)
