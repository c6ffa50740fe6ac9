"""How the command line spells the arguments of the library's functions.

A parameter of a command has the name of the library's argument that it becomes, so that an error of the
library, which names an argument in backticks, can be shown in the words of the command line.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import typer
from typer.core import TyperArgument, TyperOption

if TYPE_CHECKING:
    from typer import Context as Context
else:
    # Typer hands out the class below the one that it tells commands to ask for: run-time type checks notice.
    Context = typer.Context.__base__

Spellings = Mapping[str, str]


def spellings(parameters: Iterable[object]) -> dict[str, str]:
    """Each parameter of a command by its name: `--steps`, or an argument as help shows it, such as `ARCH`."""
    found = {}
    for parameter in parameters:
        if isinstance(parameter, TyperOption) and parameter.name is not None:
            found[parameter.name] = max(parameter.opts, key=len)
        if isinstance(parameter, TyperArgument) and parameter.name is not None:
            found[parameter.name] = (parameter.metavar or parameter.name).removesuffix("...")
    return found


def spell(text: str, known: Spellings) -> str:
    """`text` with each name in backticks that is `known` in the words of the command line."""
    return re.sub(r"`(\w+)`", lambda name: known.get(name[1], name[0]), text)


def given(context: Context) -> dict[str, str]:
    """As `spellings`, of the parameters that a person gave on the command line or in the environment."""
    known = spellings(context.command.params)
    return {name: known[name] for name in known if _source(context, name) in ("COMMANDLINE", "ENVIRONMENT")}


def _source(context: Context, name: str) -> str:
    source = context.get_parameter_source(name)
    return "" if source is None else source.name
