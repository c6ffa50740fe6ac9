"""A model runs on photographs, and what one of its layers gives is kept: with the way back, or without."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxtunnel.auditing.targets import Target, evaluating
from maxtunnel.support.files import with_kind
from maxtunnel.switches.guard import keeping_state, restoring
from maxtunnel.visualising.layers import Enough, Layers
from maxtunnel.visualising.ways import Way


def outputs(
    target: Target, images: Float[Tensor, "n 3 h w"], layers: Sequence[str]
) -> dict[str, Float[Tensor, "n ..."]]:
    """What the layers of these names give for photographs in [0, 1], without the way back.

    Raises:
        UnknownLayer: there is none of a name.
        ValueError: the model fails on such photographs, or a layer gives something else for each batch.
    """
    with torch.no_grad():
        found = _run(target, images, layers)
    return {name: _of(images, name, found.choose(name)) for name in layers}


def shapes_of(target: Target, images: Float[Tensor, "n 3 h w"]) -> dict[str, tuple[int, ...]]:
    """The layers of a model by name, in the order in which they give something, and the shape of that."""
    with torch.no_grad():
        return _run(target, images, ()).shapes


def way_to(target: Target, images: Float[Tensor, "n 3 h w"], layer: str) -> Way:
    """The way back from a layer to these photographs, through the preprocessing too; as for `outputs`."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = images.detach().clone().requires_grad_()
        kept = _of(images, layer, _run(target, leaf, [layer]).choose(layer))
        return Way(kept, leaf)


def _run(target: Target, images: Tensor, layers: Sequence[str]) -> Layers:
    count, _, height, width = images.shape
    weight = _first_weight(target.model)
    try:
        with _undisturbed(target):
            # A preprocessing may write into what it is given.
            x = target.preprocess(images.clone())
            x = x if weight is None else x.to(weight.device, weight.dtype)
            with Layers(target.model, layers) as found, suppress(Enough):
                target.model(x)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    # A person's model may fail in any way.
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"{target.name} fails on photographs of {width}x{height} pixels, width x height, {count} at a "
            f"time ({with_kind(error)}): "
            "give a model of one batch of images, and the `size` and `preprocess` that it was made for"
        ) from error
    return found


@contextmanager
def _undisturbed(target: Target) -> Iterator[None]:
    """The model runs as it does in an audit; compiled code runs as the Python that it was made of."""
    with ExitStack() as stack:
        stack.enter_context(keeping_state(target.settings))
        stack.enter_context(evaluating(target.model))
        stack.enter_context(restoring(target.model))
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def _first_weight(model: nn.Module) -> Tensor | None:
    """Of several types of weights, that of the first layer is the one of the images."""
    weights = [weight for weight in model.parameters() if weight.is_floating_point()]
    return next((weight for weight in weights if weight.ndim > 1), weights[0] if weights else None)


def _of(images: Tensor, layer: str, found: Tensor) -> Tensor:
    if len(found) != len(images):
        raise ValueError(
            f"{layer} gives a batch of {len(found)} for {len(images)} photographs: give a layer that keeps "
            "them apart"
        )
    return found
