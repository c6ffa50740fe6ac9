"""The observer who holds switches: trains decoders on them and measures what these rebuild.

All decoders have the same layers and see the same photographs; they differ in what they are given.
"""

import time
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from maxtunnel.auditing.ledger import DecoderInput, Training, TrainingLedger, still_falling
from maxtunnel.auditing.rows import Row, row_of
from maxtunnel.auditing.samples import Samples
from maxtunnel.data.batches import PIECE, Order
from maxtunnel.evaluation.metrics import measure
from maxtunnel.models.mirrored import MirroredDecoder, mirror
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.changes import changed
from maxtunnel.training.loop import TrainingDiverged, fit
from maxtunnel.training.phases import Reconstruction
from maxtunnel.training.recipes import FAST, Recipe


@dataclass(frozen=True, eq=False)
class Attacker:
    """Trains decoders on some photographs' switches and measures them on others'.

    Attributes:
        seen: to train on.
        held: to measure on.
        mean: the mean of the photographs seen.
        width: most channels between the two layers of a decoder's block.
        seed: draws weights, order and changes.
        limit: most photographs of `held` that a row is measured on.
        ledger: where each training is entered; attackers of one audit share it.
        on_progress: told of each training.
    """

    seen: Samples
    held: Samples
    mean: Float[Tensor, "3 h w"]
    width: int
    seed: int
    limit: int
    ledger: TrainingLedger = field(default_factory=TrainingLedger)
    on_progress: OnProgress = silent

    @property
    def measured(self) -> int:
        """Held photographs that each row is measured on."""
        return min(self.limit, len(self.held))

    def with_samples(self, seen: Samples, held: Samples) -> "Attacker":
        """The same attacker with what another model makes of the photographs; the ledger is shared."""
        return replace(self, seen=seen, held=held)

    def train(
        self,
        given: DecoderInput,
        steps: int,
        seconds: float | None = None,
        start: MirroredDecoder | None = None,
    ) -> MirroredDecoder:
        """A decoder trained for `steps` steps, or, where `seconds` are given, for as long.

        Unusual models can make the loss infinite; the training then begins again at a quarter of the rate.

        Args:
            given: what the decoder is given.
            steps: how many, over which the rate falls.
            seconds: for all attempts together.
            start: a decoder to begin from; without one, the initial weights are the same every time.
        """
        began, rate = time.monotonic(), FAST.learning_rate
        while True:
            recipe = replace(FAST, learning_rate=rate, steps=steps)
            left = None if seconds is None else seconds - (time.monotonic() - began)
            try:
                return self._train(given, recipe, left, start)
            except TrainingDiverged:
                if rate < FAST.learning_rate / 100:
                    raise
                rate /= 4

    def _train(
        self, given: DecoderInput, recipe: Recipe, seconds: float | None, start: MirroredDecoder | None
    ) -> MirroredDecoder:
        size = self.seen.template.image_size
        decoder = mirror(self.seen.levels, size, self.width, self.seed, recipe.bias_code or 1.0)
        if start is not None:
            decoder.load_state_dict(start.state_dict())
        order = Order(len(self.seen), recipe.batch, self.seed, recipe.reshuffle, recipe.flips)

        def at(step: int) -> tuple[list[Tensor], Tensor, Tensor | None]:
            chosen, _ = order.at(step)
            codes, what = self._inputs(self.seen, given, chosen, step, decoder)
            target = (self.seen.images(chosen) - self.mean) * recipe.scale
            return codes, target.to(decoder.bias_code.device, memory_format=torch.channels_last), what

        task = Reconstruction(decoder, recipe.scale)
        done = fit(task, at, recipe, seconds, self.on_progress, given.name)
        falling = still_falling(done.curve)
        self.ledger.add(
            Training(given.name, done.steps, done.seconds, recipe.learning_rate, done.curve, falling)
        )
        return decoder

    def rebuild(
        self,
        decoder: MirroredDecoder,
        given: DecoderInput,
        chosen: Int64[Tensor, " b"],
        donors: Int64[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b 3 h w"]:
        """Held photographs rebuilt, not clipped.

        Args:
            decoder: rebuilds them.
            given: what it is given.
            chosen: the photographs whose switches it is given.
            donors: the photographs whose features it is given; by default the same.
        """
        found = []
        for batch in torch.arange(len(chosen)).split(PIECE):
            # A change draws the same for the first photographs, however many are asked for.
            codes, what = self._inputs(self.held, given, chosen[batch], int(batch[0]), decoder)
            if what is not None and donors is not None:
                what = self.held.what(donors[batch]).to(what.device)
            with torch.no_grad():
                found.append(decoder(codes, what).float().cpu() / FAST.scale + self.mean)
        return torch.cat(found)

    def measure(self, decoder: MirroredDecoder, given: DecoderInput) -> tuple[Row, Float64[Tensor, " n"]]:
        """The row of a decoder, and the squared error of each photograph."""
        values = self._values(self.rebuild(decoder, given, torch.arange(self.measured)))
        return row_of(given.name, given.name, values, self._of_mean), values[0]

    def measure_wrong_switches(self, decoder: MirroredDecoder, given: DecoderInput) -> Row:
        """The row where each photograph is rebuilt from the switches of the next one."""
        values = self._values(self.rebuild(decoder, given, torch.arange(self.measured).roll(-1)))
        return row_of("switches of another photograph", given.name, values, self._of_mean)

    def measure_mean(self) -> Row:
        """The row of the mean image."""
        return row_of("mean image", "", self._of_mean, self._of_mean)

    @cached_property
    def _of_mean(self) -> Float64[Tensor, "3 n"]:
        return self._values(self.mean.expand(self.measured, -1, -1, -1))

    def _values(self, outputs: Float[Tensor, "n 3 h w"]) -> Float64[Tensor, "3 n"]:
        pieces = torch.arange(self.measured).split(PIECE)
        return torch.cat([measure(outputs[piece], self.held.images(piece)) for piece in pieces], dim=1)

    def _inputs(
        self, samples: Samples, given: DecoderInput, chosen: Tensor, draw: int, decoder: MirroredDecoder
    ) -> tuple[list[Tensor], Tensor | None]:
        """Codes and features on the decoder's device; `draw` decides what the change draws."""
        device = decoder.bias_code.device
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + draw)
        change = given.changes[int(torch.randint(len(given.changes), (), generator=generator))]
        code = changed(samples.code(chosen), change, generator, samples.numbers).to(device)
        what = samples.what(chosen).to(device) if given.what else None
        return [level.codes for level in code.levels], what
