"""What may be concluded, in sentences, and what to know before a number is trusted."""

import json
from pathlib import Path

from maxtunnel.auditing.rows import LITTLE
from maxtunnel.protection.outcome import Line, Protection
from maxtunnel.support.files import replacing
from maxtunnel.support.records import Json, to_json

FORMAT = "maxtunnel protect 1"
_SHORT = 200  # steps, below which readers have hardly begun to learn


def verdict(result: Protection) -> list[str]:
    """What fine-tuning gained, against the original, the control and what can be done without training."""
    leak = result.original.leak
    assert leak is not None
    if leak.explained_ci95[0] < LITTLE:
        return [
            f"The reader found nothing in the switches of the original (RMSE {leak.rmse:.3f}, the mean image "
            f"{result.mean.rmse:.3f}): there is nothing to hide from it, and nothing can be said."
        ]
    if result.steps < result.config.least_steps:
        return [
            f"No verdict: with {result.steps:,} steps fine-tunings and readers have hardly begun; "
            f"give at least {result.config.least_steps:,}."
        ]
    tuned = [line for line in result.models if line.weight and line.leak]
    if not tuned:
        return ["No model that was fine-tuned against a reader was read again: nothing can be said."]
    best = min(tuned, key=lambda line: _explained(line))
    return [_of_original(result), _of_best(best), *_compared(result, best)]


def warnings(result: Protection) -> list[str]:
    """Sentences without an end; what was left out stands among them."""
    falling = [training.name for training in result.readers if training.still_falling]
    partial = [line.name for line in result.models if line.tuning and not line.tuning.complete]
    beyond = [line.name for line in result.lines if line.lost is not None and line.lost > 1]
    drawn_again = any(line.weight == 0 for line in result.models)
    given = "time" if result.config.steps is None else "steps"
    control = (
        "; how far the original and the control (weight 0) are apart says what a draw of the reader does"
        if drawn_again
        else ""
    )
    texts = {
        "this was interrupted: the report is partial": result.interrupted,
        f"fine-tunings that were cut short: {'; '.join(partial)}": bool(partial),
        f"readers of {result.steps:,} steps have hardly begun to learn: give more {given}": result.steps
        < _SHORT,
        f"readers whose error was still falling, which would have read more: {'; '.join(falling)}": bool(
            falling
        ),
        "over 100 % of the outputs lost: further from the original's than if all photographs had their mean "
        f"output ({'; '.join(beyond)})": bool(beyond),
        "intervals cover the photographs, neither the draw of the readers nor that of the fine-tuning"
        + control: True,
    }
    return [*(text for text, applies in texts.items() if applies), *result.left_out]


def save(result: Protection, path: str | Path) -> None:
    """Write protect.json: all fields but pictures and the metric's value of each photograph."""
    fields = to_json(result)
    del fields["pictures"]
    content: dict[str, Json] = {
        "format": FORMAT,
        "verdict": [*verdict(result)],
        "warnings": [*warnings(result)],
        **fields,
    }
    with replacing(path) as temporary:
        temporary.write_text(
            json.dumps(content, indent=1, default=lambda each: None) + "\n", encoding="utf-8"
        )


def _of_original(result: Protection) -> str:
    leak = result.original.leak
    assert leak is not None
    low, high = leak.explained_ci95
    control = next((line for line in result.models if line.weight == 0 and line.leak), None)
    beside = f"; of the control, fine-tuned without a reader, {_explained(control):.0%}" if control else ""
    return (
        f"By the switches of the original a reader explains {leak.explained:.0%} of the pixels' variance "
        f"(95 % interval {low:.0%} to {high:.0%}){beside}."
    )


def _of_best(best: Line) -> str:
    assert best.leak is not None
    low, high = best.leak.explained_ci95
    score = ""
    if best.score is not None and best.score.change is not None:
        interval = best.score.change_ci95
        between = "" if interval is None else f" ({interval[0]:+.3g} to {interval[1]:+.3g})"
        score = f" and its metric changed by {best.score.change:+.3g}{between}"
    return (
        f"Of the model that tells least ({best.name}), a fresh reader explains {best.leak.explained:.0%} "
        f"({low:.0%} to {high:.0%}); it lost {best.lost or 0:.1%} of its outputs' variance{score}."
    )


def _compared(result: Protection, best: Line) -> list[str]:
    """The best of the fine-tuned models against the original, and against what takes no training."""
    original = result.original.leak
    assert best.leak is not None
    assert original is not None
    controls = [line.leak for line in result.models if line.weight == 0 and line.leak]
    least = min(leak.explained_ci95[0] for leak in (original, *controls))
    if best.leak.explained_ci95[1] >= least:
        return [
            "That is no less than before, beyond chance: the fine-tuning gained nothing. What can be done "
            "without training, and what that costs, is in the table."
        ]
    if not result.mitigations:
        return []
    as_good = [line.name for line in result.mitigations if _as_good(line, best)]
    if as_good:
        return [
            f"Without any training as little is left to read, and no more of the outputs lost, by "
            f"{_listed(as_good)}."
        ]
    return ["No mitigation without training leaves as little to read and loses as little of the outputs."]


def _as_good(line: Line, best: Line) -> bool:
    """Whether a mitigation leaves as little, and costs no more."""
    if line.lost is None or best.lost is None or line.lost > best.lost:
        return False
    return line.bits == 0 or (line.leak is not None and line.leak.explained <= _explained(best))


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _explained(line: Line) -> float:
    assert line.leak is not None
    return line.leak.explained
