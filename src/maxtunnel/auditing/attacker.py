"""One who holds switches and trains decoders on them; every decoder has the same layers and the same data."""

import time
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from maxtunnel.auditing.outcome import Measured, Trained, measured, still_falling
from maxtunnel.auditing.samples import Samples
from maxtunnel.data.batches import PIECE, Order
from maxtunnel.evaluation.metrics import measure
from maxtunnel.models.mirrored import MirroredDecoder, mirror
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.changes import Change, changed, known
from maxtunnel.training.loop import TrainingDiverged, fit
from maxtunnel.training.phases import Reconstruction
from maxtunnel.training.recipes import FAST, Recipe


@dataclass(frozen=True)
class Fed:
    """What a decoder is given.

    Attributes:
        name: in words.
        changes: what is done to the switches first; of several, one drawn for each batch.
        what: the coarsest features take the place of the bias code.
    """

    name: str
    changes: tuple[Change, ...] = (known,)
    what: bool = False


class Attacker:
    """Trains decoders on some photographs' switches and measures them on others'.

    Args:
        seen: to train on.
        held: to measure on.
        mean: the mean of the photographs seen, (3, h, w).
        width: see `MirroredDecoder`.
        seed: draws weights, order and changes.
        rows: how many of `held` the rows of a table are measured on.
    """

    def __init__(
        self,
        seen: Samples,
        held: Samples,
        mean: Float[Tensor, "3 h w"],
        width: int,
        seed: int,
        rows: int,
        on_progress: OnProgress = silent,
    ) -> None:
        self.seen, self.held, self.mean, self.width, self.seed = seen, held, mean, width, seed
        self.rows = min(rows, len(held))
        self.trained: list[Trained] = []
        self._on_progress = on_progress

    def on(self, seen: Samples, held: Samples) -> "Attacker":
        """One with the same settings on other switches of the same photographs; its training is told here."""
        other = Attacker(seen, held, self.mean, self.width, self.seed, self.rows, self._on_progress)
        other.trained = self.trained
        return other

    def train(
        self, fed: Fed, steps: int, seconds: float | None = None, start: MirroredDecoder | None = None
    ) -> MirroredDecoder:
        """A new decoder, or `start` taken further: `steps` steps, or as many as `seconds` hold.

        Where the loss becomes infinite, which an unusual model can do to it, again at a quarter of the rate.
        """
        began, rate = time.monotonic(), FAST.learning_rate
        while True:
            try:
                left = None if seconds is None else seconds - (time.monotonic() - began)
                return self._train(fed, steps, left, replace(FAST, learning_rate=rate), start)
            except TrainingDiverged:
                if rate < FAST.learning_rate / 100:
                    raise
                rate /= 4

    def _train(
        self, fed: Fed, steps: int, seconds: float | None, recipe: Recipe, start: MirroredDecoder | None
    ) -> MirroredDecoder:
        """One training; without `start` the initial weights are the same every time."""
        decoder = mirror(
            self.seen.levels, self.seen.template.image_size, self.width, self.seed, recipe.bias_code or 1.0
        )
        if start is not None:
            decoder.load_state_dict(start.state_dict())
        order = Order(len(self.seen), recipe.batch, self.seed, recipe.reshuffle, recipe.flips)

        def at(step: int) -> tuple[list[Tensor], Tensor, Tensor | None]:
            numbers, _ = order.at(step)
            codes, what = self._feed(self.seen, fed, numbers, step, decoder)
            target = (self.seen.images(numbers) - self.mean) * recipe.scale
            return codes, target.to(decoder.bias_code.device, memory_format=torch.channels_last), what

        done = fit(
            Reconstruction(decoder, recipe.scale),
            decoder,
            at,
            replace(recipe, steps=steps),
            seconds,
            self._on_progress,
            fed.name,
        )
        self.trained.append(
            Trained(
                fed.name,
                done.steps,
                done.seconds,
                recipe.learning_rate,
                done.curve,
                still_falling(done.curve),
            )
        )
        return decoder

    def rebuild(
        self,
        decoder: MirroredDecoder,
        fed: Fed,
        numbers: Int64[Tensor, " b"],
        donors: Int64[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b 3 h w"]:
        """Held photographs rebuilt, not clipped; features come from `donors` where given."""
        found = []
        for batch in torch.arange(len(numbers)).split(PIECE):
            # The draws of a change are the same however many photographs are asked for.
            codes, what = self._feed(self.held, fed, numbers[batch], int(batch[0]), decoder)
            if what is not None and donors is not None:
                what = self.held.what(donors[batch]).to(what.device)
            with torch.no_grad():
                found.append(decoder(codes, what).float().cpu() / FAST.scale + self.mean)
        return torch.cat(found)

    def measure(
        self, decoder: MirroredDecoder, fed: Fed, name: str = "", other: bool = False
    ) -> tuple[Measured, Float64[Tensor, " n"]]:
        """The row of a decoder, and each photograph's squared error.

        Args:
            decoder: what is measured.
            fed: what it is given now.
            name: of the row; by default what it is fed.
            other: give every photograph the switches of the next one.
        """
        numbers = torch.arange(self.rows)
        outputs = self.rebuild(decoder, fed, numbers.roll(-1) if other else numbers)
        values = self._values(outputs)
        return measured(name or fed.name, fed.name, values, self._of_mean), values[0]

    def by_mean(self) -> Measured:
        """The row of the mean image."""
        return measured("mean image", "", self._of_mean, self._of_mean)

    @cached_property
    def _of_mean(self) -> Float64[Tensor, "3 n"]:
        return self._values(self.mean.expand(self.rows, -1, -1, -1))

    def _values(self, outputs: Float[Tensor, "n 3 h w"]) -> Float64[Tensor, "3 n"]:
        pieces = torch.arange(self.rows).split(PIECE)
        return torch.cat([measure(outputs[piece], self.held.images(piece)) for piece in pieces], dim=1)

    def _feed(
        self, samples: Samples, fed: Fed, numbers: Tensor, draw: int, decoder: MirroredDecoder
    ) -> tuple[list[Tensor], Tensor | None]:
        device = decoder.bias_code.device
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + draw)
        chosen = fed.changes[int(torch.randint(len(fed.changes), (), generator=generator))]
        code = changed(samples.code(numbers), chosen, generator).to(device)
        return [level.codes for level in code.levels], samples.what(numbers).to(device) if fed.what else None


def transplanted(
    results: Float[Tensor, "n 3 h w"], where: Float[Tensor, "n 3 h w"], what: Float[Tensor, "n 3 h w"]
) -> tuple[Float64[Tensor, " n"], Float64[Tensor, " n"]]:
    """Squared error of each result to the photograph of its switches, and to that of its features."""
    to_where, to_what = ((results - images).double().square().mean((1, 2, 3)) for images in (where, what))
    return to_where, to_what
