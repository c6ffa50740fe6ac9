"""What people are shown as the name of a network: what it is called, and where it came from."""

from collections.abc import Sequence
from pathlib import Path

from maxtunnel.zoo.names import shipped

_LONGEST = 40


def label(model: str | Path, parents: int = 0) -> str:
    """`8-8-8 (shipped)`, `8-8-8 (run)`, `net8_8_8_iter_50000 (snapshot)` or `own (file)`.

    Args:
        model: what `load` takes.
        parents: how many of the folders above a run or a file are named too.
    """
    path = Path(model)
    if path.suffix == ".caffemodel":
        kind = "snapshot"
    elif str(model) in shipped():
        return f"{model} (shipped)"
    else:
        kind = "run" if path.is_dir() else "file"
    # A folder may be given as `.` or `..`, which name nothing.
    parts = path.resolve().parts
    name = Path(*parts[max(0, len(parts) - 1 - parents) :])
    if kind != "run":
        name = name.with_suffix("")
    return f"{shorten(str(name))} ({kind})"


def labels(models: Sequence[str | Path], given: Sequence[str] = ()) -> list[str]:
    """A label for each model, all different where the models are.

    Args:
        models: what `load` takes.
        given: labels for the first of them, in order, in the place of their own.

    Raises:
        ValueError: more labels are given than there are models, or one twice.
    """
    if len(given) > len(models):
        raise ValueError(f"`labels` has {len(given)} for {len(models)} models: give at most one each")
    twice = [name for name in given if list(given).count(name) > 1]
    if twice:
        raise ValueError(f"`labels` has {twice[0]!r} twice: nobody could tell the two apart")
    return [*given, *(_own_label(models, place, given) for place in range(len(given), len(models)))]


def shorten(text: str, most: int = _LONGEST) -> str:
    """A text of at most `most` letters: of a longer one the beginning and the end."""
    if len(text) <= most:
        return text
    end = 2 * most // 3
    return f"{text[: most - end - 1]}…{text[-end:]}"


def _own_label(models: Sequence[str | Path], place: int, given: Sequence[str]) -> str:
    """A model's label with as many folders as it takes to tell it from all other models."""
    model = models[place]
    path = Path(model).resolve()
    others = [other for other in models if Path(other).resolve() != path]
    for parents in range(len(path.parts)):
        found = label(model, parents)
        if found not in {*given, *(label(other, parents) for other in others)}:
            return found
    # Only what `shorten` leaves out is different.
    return str(path)
