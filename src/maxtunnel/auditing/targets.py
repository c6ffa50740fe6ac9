"""A model that is audited, and what an observer sees of it."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxtunnel.auditing.untrained import Drawn, redrawn
from maxtunnel.support.files import with_kind
from maxtunnel.switches.capture import NoSwitches, planes, record
from maxtunnel.switches.guard import Settings, keeping_state
from maxtunnel.switches.recording import PooledLevel, Recording, Swap
from maxtunnel.switches.returned import tensors_in

Preprocess = Callable[[Tensor], Tensor]
_DRAWS = 3  # of an untrained copy, until its switches are others


@dataclass(frozen=True, eq=False)
class Target:
    """A model, and how photographs are shown to it.

    Attributes:
        model: runs in eval mode, and is left in the mode it was in.
        name: for the report.
        preprocess: from photographs, float32 RGB in [0, 1], to what the model takes.
        batch: images at a time, where the model takes only that many (an exported program).
        levels: numbers of the poolings that an observer sees, in call order from 1; None for all.
        swap: replaces what the model's pooling gives.
        drawn: of an untrained copy, how its weights were drawn; its `note` says what a reader must know.
        settings: what the model's own file made of the process (see `keeping_state`); in force while it runs.
    """

    model: nn.Module
    name: str
    preprocess: Preprocess = lambda images: images
    batch: int | None = None
    levels: tuple[int, ...] | None = None
    swap: Swap | None = None
    drawn: Drawn | None = None
    settings: Settings = field(default_factory=dict, repr=False)
    # By the size of the photographs, the levels of the first pass: every other must have the same.
    _pooled: dict[torch.Size, dict[int, str]] = field(default_factory=dict, init=False, repr=False)

    def observed(self, levels: Collection[int] | None, preprocess: Preprocess | None = None) -> "Target":
        """The same model, of which an observer sees only these levels; None changes nothing."""
        numbers = self.levels if levels is None else tuple(sorted({*levels}))
        return replace(self, levels=numbers, preprocess=preprocess or self.preprocess)

    def shows(self, number: int) -> bool:
        """Whether an observer sees the pooling of this number."""
        return self.levels is None or number in self.levels

    def record(self, images: Float[Tensor, "n 3 h w"], *, trace: bool = False) -> Recording:
        """One forward pass, with the levels that an observer sees.

        Args:
            images: photographs.
            trace: find out what becomes of the indices, which takes a pass more for each level.

        Raises:
            NoSwitches: the model has no 2-d max pooling.
            ValueError: the model fails, with its own words; or it has no such levels, or other levels than
                for the photographs before.
        """
        try:
            with keeping_state(self.settings), evaluating(self.model):
                x = self.preprocess(images)
                found = record(self.model, x, swap=self.swap, observed=self.shows, trace=trace)
            self._check_levels(found.ran)
            self._check_same(images.shape[1:], found.levels)
            return found
        except ValueError as error:
            kind = NoSwitches if isinstance(error, NoSwitches) else ValueError
            raise kind(f"{self.name}: {error}") from error
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except (Exception, SystemExit) as error:
            count, _, height, width = images.shape
            raise ValueError(
                f"{self.name} fails on photographs of {width}x{height} pixels, width x height, {count} at a "
                f"time ({with_kind(error)}): "
                "give a model of one batch of images, and the `size` and `preprocess` that it was made for"
            ) from error

    def _check_levels(self, count: int) -> None:
        if self.levels is None:
            return
        wrong = [number for number in self.levels if not 1 <= number <= count]
        if wrong or not self.levels:
            asked = ", ".join(map(str, wrong or self.levels)) or "empty"
            raise ValueError(f"`levels` is {asked}: expected numbers of poolings, in call order 1 to {count}")

    def _check_same(self, size: torch.Size, levels: list[PooledLevel]) -> None:
        now = {level.number: _described(level) for level in levels}
        before = self._pooled.setdefault(size, now)
        if now != before:
            common = [str(number) for number, text in before.items() if now.get(number) == text]
            advice = (
                f"give `levels` {','.join(common)}, which are the same" if common else "it cannot be audited"
            )
            raise ValueError(
                f"pools {_joined(before)} for some photographs but {_joined(now)} for others, as with an "
                f"early exit: {advice}"
            )

    def planes(self, image: Float[Tensor, "1 3 h w"]) -> dict[int, tuple[str, Float[Tensor, "1 _ _ _"]]]:
        """What the poolings that an observer sees are given for an image, with its gradient.

        Returns:
            By number, the level's name and the plane; a plane without a batch counts as a batch of one.
        """
        with keeping_state(self.settings), evaluating(self.model):
            found = planes(self.model, self.preprocess(self.filled(image.clone())), self.shows)
        return {number: (name, _first(plane)) for number, (name, plane) in found.items()}

    def try_out(self, images: Float[Tensor, "n 3 h w"]) -> Recording:
        """`record` of as few of the images as the model takes, traced; ValueError where it returns NaN."""
        found = self.record(self.filled(images[:1]), trace=True)
        for tensor in tensors_in(found.output):
            if tensor.is_floating_point() and bool(tensor.isnan().any()):
                raise ValueError(
                    f"{self.name} returns NaN: look for NaN or infinity in its weights, and at `preprocess`"
                )
        return found

    def untrained(self, seed: int, images: Float[Tensor, "n 3 h w"] | None = None) -> "Target":
        """A copy whose weights are drawn anew, as far as that can be done; its `drawn` says how far.

        Args:
            seed: of the draw.
            images: photographs on which the switches must become others, or a new draw is made.

        Raises:
            ValueError: the model cannot be copied, none of its weights can be drawn, or the copy fails.
        """
        for attempt in range(_DRAWS):
            with keeping_state(self.settings):
                try:
                    model, drawn = redrawn(self.model, seed, attempt)
                except ValueError as error:
                    raise ValueError(f"{self.name}: {error}") from error
            copy = replace(self, model=model, name=f"untrained {self.name}", drawn=drawn)
            if images is None:
                return copy
            same = self._same_switches(copy, images)
            if not all(same.values()):
                break
        return replace(copy, drawn=replace(drawn, same_levels=tuple(name for name in same if same[name])))

    def _same_switches(self, other: "Target", images: Tensor) -> dict[str, bool]:
        """By the name of each level, whether both models have the same switches on all images."""
        pairs = [target.record(self.filled(images)).levels for target in (self, other)]
        described = [{level.number: _described(level) for level in levels} for levels in pairs]
        if described[0] != described[1]:
            raise ValueError(f"{other.name} pools {_joined(described[1])}, the model {_joined(described[0])}")
        return {
            own.switches.name: torch.equal(own.switches.codes, its.switches.codes)
            for own, its in zip(*pairs, strict=True)
        }

    def filled(self, images: Tensor) -> Tensor:
        """As many images as the model takes, from the first again where there are too few."""
        return images[torch.arange(self.batch or len(images)) % len(images)]


@contextmanager
def evaluating(model: nn.Module, settings: Settings | None = None) -> Iterator[None]:
    """Eval mode while entered, with the state of the process kept (see `keeping_state`).

    The mode is set module by module: an exported program refuses `model.eval()`. A frozen one has none.
    """
    modes = [(module, module.training) for module in model.modules() if hasattr(module, "training")]
    with keeping_state(settings):
        try:
            for module, _ in modes:
                module.training = False
            yield
        finally:
            for module, training in modes:
                module.training = training


def _first(plane: Tensor) -> Tensor:
    return plane[:1] if plane.ndim == 4 else plane[None]


def _described(level: PooledLevel) -> str:
    """What must be the same for all photographs, in words."""
    height, width = level.switches.size
    channels = level.switches.codes.shape[1]
    return f"{level.switches.name} ({channels} channels, {width}x{height}, width x height)"


def _joined(levels: dict[int, str]) -> str:
    return ", ".join(levels.values())
