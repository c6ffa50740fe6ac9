"""`visualise`: what units of a model's layers see in photographs, and how much of that the switches drew."""

from collections.abc import Sequence
from dataclasses import replace

from jaxtyping import UInt8
from torch import Tensor, nn

from maxtunnel.auditing.photographs import check_photographs
from maxtunnel.auditing.targets import Preprocess, Target
from maxtunnel.data.images import to_float
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.capture import NoSwitches
from maxtunnel.visualising.config import DEFAULTS, VisualisingConfig
from maxtunnel.visualising.occlusion import occlude_units
from maxtunnel.visualising.outcome import LayerPictures, UnitPictures, Visualisation
from maxtunnel.visualising.passes import shapes_of
from maxtunnel.visualising.projecting import project_layer, project_unit, tunnel
from maxtunnel.visualising.units import Fired, filled, find_fired


def visualise(
    model: nn.Module | Target,
    images: UInt8[Tensor, "n 3 h w"],
    layers: str | Sequence[str],
    units: str | Sequence[int] = "top",
    config: VisualisingConfig = DEFAULTS,
    *,
    preprocess: Preprocess | None = None,
    on_progress: OnProgress = silent,
) -> Visualisation:
    """Picture units of a model's layers on the photographs where they fire most strongly.

    Of each unit the strongest activation on at most nine photographs is projected to the pixels, with
    everything else in the layer set to 0, and so are the controls that say how much of it the switches drew.

    Args:
        model: any network with 2-d max pooling; `guided`, `gradient` and `occlusion` need none. It runs in
            eval mode, and is left as it was.
        images: photographs, RGB from 0 to 255, all of one size: one, or as many as a data set has.
        layers: a name or several: of modules, or of functions that they call, as `conv2`, `features.3`,
            `max_pool2d#2`.
        units: their numbers from 0, or `top`, the nine that fire most strongly on these photographs.
        config: the method, and its settings.
        preprocess: from photographs, float32 in [0, 1], to what the model takes, in PyTorch's operations.
        on_progress: told of the photographs that were looked at, and of the units that were pictured.

    Raises:
        NoSwitches: `deconvnet` is asked for, and the model has no 2-d max pooling.
        UnknownLayer: the model has no layer of a name.
        ValueError: a unit is out of range, the model cannot take these photographs, or what lies below a
            layer has no way back (see `visualising.ways`).

    Source: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014; Springenberg
    and others, Striving for Simplicity, ICLR 2015 (workshop).
    """
    check_photographs(images)
    target = model if isinstance(model, Target) else Target(model, type(model).__name__)
    if preprocess is not None:
        target = replace(target, preprocess=preprocess)
    names = [layers] if isinstance(layers, str) else list(dict.fromkeys(layers))
    if not names:
        known = shapes_of(target, to_float(filled(images[:1], target.batch)))
        raise ValueError(f"`layers` names none: give some of {', '.join(known)}")
    if config.method == "deconvnet":
        _refuse_no_pooling(target, images)
    fired = find_fired(target, images, names, config.batch, on_progress)
    chosen = {name: fired[name].choose(name, units) for name in names}
    found = []
    for name in names:
        pictures = _pictures(target, images, name, chosen[name], fired[name], config, on_progress)
        found.append(_layer(target, images, name, fired[name], pictures, config))
    size = images.shape[-2], images.shape[-1]
    return Visualisation(target.name, config, len(images), size, tuple(found))


def _refuse_no_pooling(target: Target, images: Tensor) -> None:
    try:
        target.record(to_float(filled(images[:1], target.batch)))
    except NoSwitches as error:
        raise NoSwitches(
            f"{error}; the `method` deconvnet unpools by switches: give guided, gradient or occlusion, or "
            "another model"
        ) from error


def _pictures(
    target: Target,
    images: Tensor,
    layer: str,
    units: Sequence[int],
    fired: Fired,
    config: VisualisingConfig,
    on_progress: OnProgress,
) -> tuple[UnitPictures, ...]:
    if config.method == "occlusion":
        return occlude_units(target, images, layer, units, fired, config, on_progress)
    found = []
    for unit in units:
        found.append(project_unit(target, images, layer, unit, fired, config))
        on_progress("pictures", len(found), len(units), layer)
    return tuple(found)


def _layer(
    target: Target,
    images: Tensor,
    name: str,
    fired: Fired,
    units: tuple[UnitPictures, ...],
    config: VisualisingConfig,
) -> LayerPictures:
    channels = fired.strengths.shape[1]
    if config.method == "occlusion":
        return LayerPictures(name, channels, None, units, ())
    poolings, whole = project_layer(target, images, name, config)
    controls = sorted({control for unit in units for control in unit.shares})
    shares = {
        control: [unit.shares[control] for unit in units if control in unit.shares] for control in controls
    }
    return LayerPictures(name, channels, poolings, units, (tunnel("unit", shares), whole))
