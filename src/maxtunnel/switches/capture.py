"""The switches of any PyTorch model, taken from a forward pass that leaves the model as it was."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from logging import getLogger
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from maxtunnel.switches.changes import random_codes
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.switches.guard import keeping_state, restoring
from maxtunnel.switches.pooling import refuse_nan
from maxtunnel.switches.recorder import PoolingRecorder
from maxtunnel.switches.recording import Evidence, Finding, PooledLevel, Recording, Swap
from maxtunnel.switches.returned import Leaves, finding, same_leaves

T = TypeVar("T")
Observed = Callable[[int], bool]


class NoSwitches(ValueError):
    """The model pools no maximum that a switch describes; the message says what it does instead."""


def capture(model: nn.Module, images: Float[Tensor, "n c h w"]) -> SwitchCode:
    """The switches of every 2-d max pooling that `model` runs on `images`, in call order.

    `nn.MaxPool2d`, the functional `max_pool2d`, `maxtunnel.pool`, exported and scripted programs are seen,
    with any geometry. The model runs in the mode it is in, without gradients. Its buffers, its modes, the
    random states and what else is global to the process are restored afterwards, also when it raises.

    Args:
        model: takes `images` as its one argument; they are brought to its device and floating-point type.
        images: of any size and number of channels that the model takes.

    Returns:
        One level for each call, with the name of the module that made the call.

    Raises:
        NoSwitches: there is no 2-d max pooling; other poolings, and what cannot be looked into, are named.
        ValueError: a pooled value is NaN, or a pooling sees another number of images than were given, or
            `images` are no batch.
    """
    found = record(model, images)
    for problem, texts in (("not covered, so not in the code", found.not_covered),
                           ("poolings may have run unseen", found.unseen)):  # fmt: skip
        if texts:
            getLogger("maxtunnel").warning("%s: %s", problem, ", ".join(texts))
    size = images.shape[-2], images.shape[-1]
    return SwitchCode(tuple(level.switches for level in found.levels), size)


def record(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    *,
    swap: Swap | None = None,
    observed: Observed = lambda number: True,
    trace: bool = False,
    check: bool = True,
) -> Recording:
    """Run `model` on `images` as `capture` does, and keep all that its poolings did.

    Args:
        model, images: as for `capture`.
        swap: replaces the values and switches of every pooling.
        observed: which levels, by number, are kept; what another one pools is not looked at.
        trace: find out whether the indices leave with the output: the model runs again for every level.
        check: raise NoSwitches where no pooling ran.
    """
    _check_images(images)
    _refuse_lazy(model)
    found = _run(model, images, swap, observed, trace)
    for level in found.levels:
        if len(level.values) != len(images):
            raise ValueError(
                f"{level.switches.name} (level {level.number}) pools a batch of {len(level.values)}, "
                f"but images are {len(images)}: give (n, c, h, w); a level that mixes or splits images "
                "is not covered, so leave it out of `levels`"
            )
    refuse_nan(*(level.values for level in found.levels))
    if trace or not found.ran:
        found.unseen += Leaves(found.output).later
    if check and not found.ran:
        raise NoSwitches(_why_none(found))
    if trace:
        found.leaving = dict(_leaving(model, images, swap, found))
    return found


def _run(
    model: nn.Module, images: Tensor, swap: Swap | None, observed: Observed, trace: bool = False
) -> Recording:
    """One forward pass, in the first floating-point type that the model takes."""

    def run(x: Tensor) -> Recording:
        with PoolingRecorder(model, swap, observed, trace=trace) as recorder, torch.no_grad():
            output = model(x)
        return replace(recorder.recording, output=output)

    return _in_its_type(model, images, run)


def _in_its_type(model: nn.Module, images: Tensor, run: Callable[[Tensor], T]) -> T:
    """What `run` gives for the images where the model lies, in the first floating-point type it takes."""
    device, dtypes = _device_and_dtypes(model, images)
    failed: list[RuntimeError] = []
    for dtype in dtypes:
        try:
            with keeping_state(), restoring(model):
                return run(images.to(device, dtype))
        except RuntimeError as error:
            # Of a model in several types, one is that of its images.
            failed.append(error)
    raise failed[0]


def planes(
    model: nn.Module, images: Float[Tensor, "n c h w"], observed: Observed
) -> dict[int, tuple[str, Tensor]]:
    """What the poolings of a model are given, with its gradient: by number, the level's name and the plane.

    The model runs where it lies, and its buffers stay as they were.

    Raises:
        ValueError: the model changes a plane after it was pooled.
    """

    def run(x: Tensor) -> dict[int, tuple[str, Tensor]]:
        found: dict[int, tuple[str, Tensor, int]] = {}

        def keep(plane: Tensor, level: PooledLevel) -> tuple[Tensor, Tensor]:
            if observed(level.number):
                found[level.number] = level.switches.name, plane, plane._version
            return level.values, level.switches.codes

        with PoolingRecorder(model, keep, lambda number: False):
            # A copy, as a model may write into what it is given.
            model(x.clone())
        # What the model wrote into a buffer would lead back into this pass.
        for buffer in (each for each in model.buffers() if each.grad_fn is not None):
            buffer.detach_()
        for name, plane, version in found.values():
            if plane._version != version:
                raise ValueError(f"the model changes the plane of {name} after it was pooled")
        return {number: (name, plane) for number, (name, plane, _) in found.items()}

    return _in_its_type(model, images, run)


def _leaving(
    model: nn.Module, images: Tensor, swap: Swap | None, found: Recording
) -> Iterator[tuple[str, Finding]]:
    """For each level, whether its indices leave with the output; `switches.returned` says how."""
    before = Leaves(found.output)
    steady = same_leaves(before, Leaves(_run(model, images, swap, lambda number: False).output))
    for level in found.levels:
        name, codes = level.switches.name, random_codes(level.switches, torch.Generator().manual_seed(0))
        if not steady:
            yield name, Finding(Evidence.UNKNOWN, "the output differs from run to run")
            continue
        other = _with_codes(level.number, codes, swap)
        try:
            after = Leaves(_run(model, images, other, lambda number: False).output)
        # The model may check its own indices in any way.
        except Exception as error:  # noqa: BLE001
            yield (
                name,
                Finding(Evidence.UNKNOWN, f"with other indices the model fails ({type(error).__name__})"),
            )
        else:
            yield name, finding(level.switches, before, after, level.switches.with_codes(codes))


def _with_codes(number: int, codes: Tensor, swap: Swap | None) -> Swap:
    """`swap`, and at one level these codes."""

    def other(x: Tensor, level: PooledLevel) -> tuple[Tensor, Tensor]:
        values, own = (level.values, level.switches.codes) if swap is None else swap(x, level)
        return values, codes if level.number == number else own

    return other


def _device_and_dtypes(model: nn.Module, images: Tensor) -> tuple[torch.device, list[torch.dtype]]:
    """Where the model's weights lie, and their floating-point types, that of the first layer first."""
    weights = [weight for weight in model.parameters() if weight.is_floating_point()]
    if not weights:
        return images.device, [images.dtype]
    # A scale or a shift, of one dimension, is often kept in another type than the layers.
    layers = [weight.dtype for weight in weights if weight.ndim > 1]
    return weights[0].device, list(dict.fromkeys(layers + [weight.dtype for weight in weights]))


def _check_images(images: object) -> None:
    if not isinstance(images, Tensor):
        raise ValueError(
            f"`images` is a {type(images).__name__}: give one tensor (n, c, h, w), as torch.stack makes it"
        )
    if images.ndim != 4:
        raise ValueError(f"`images` are of shape {tuple(images.shape)}: give (n, c, h, w)")


def _refuse_lazy(model: nn.Module) -> None:
    if any(is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        raise ValueError("the model has lazy layers without weights: run it once before capturing")


def _why_none(found: Recording) -> str:
    if found.unseen:
        others = f"; not covered: {', '.join(found.not_covered)}" if found.not_covered else ""
        return (
            "no 2-d max pooling was seen, and whether one ran cannot be known, so neither can the leak: "
            f"{', '.join(found.unseen)}{others}; give a model that does all its work in PyTorch's operators, "
            "in the thread that calls it"
        )
    if found.not_covered:
        return (
            "the model has no 2-d max pooling whose switches can be taken; not covered: "
            f"{', '.join(found.not_covered)}"
        )
    return "the model has no max pooling: it has no switches, so nothing can leak through them"
