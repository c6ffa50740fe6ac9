"""The observer who holds switches: trains decoders on them and measures what these rebuild.

All decoders have the same layers and see the same photographs; they differ in what they are given.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from maxtunnel.auditing.ledger import KNOWN, DecoderInput, Training, TrainingLedger, still_falling
from maxtunnel.auditing.rows import Row, row_of
from maxtunnel.auditing.samples import Samples
from maxtunnel.auditing.shelf import NO_SHELF, Kept, Shelf
from maxtunnel.data.batches import PIECE, Order
from maxtunnel.evaluation.metrics import measure
from maxtunnel.models.mirrored import MirroredDecoder, mirror
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.changes import changed
from maxtunnel.training.engine import Batches
from maxtunnel.training.loop import TrainingDiverged, fit
from maxtunnel.training.phases import Reconstruction
from maxtunnel.training.recipes import FAST, Recipe


class CutShort(Exception):
    """A training was ended before it had all of its steps; the message says why."""


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
        shelf: where each decoder is kept, and where those of an interrupted audit are found.
        stop: asked after each step whether to end.
        on_progress: told of each training.
    """

    seen: Samples
    held: Samples
    mean: Float[Tensor, "3 h w"]
    width: int
    seed: int
    limit: int
    ledger: TrainingLedger = field(default_factory=TrainingLedger)
    shelf: Shelf = NO_SHELF
    stop: Callable[[], bool] = lambda: False
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
        *,
        partial: bool = False,
    ) -> MirroredDecoder:
        """A decoder trained for `steps` steps, or, where `seconds` are given, for as long.

        Unusual models can make the loss infinite; the training then begins again at a quarter of the rate.
        A decoder on the shelf is taken from there, and trained on where it was interrupted.

        Args:
            given: what the decoder is given.
            steps: how many, over which the rate falls.
            seconds: for all attempts together.
            start: a decoder to begin from; without one, the initial weights are the same every time.
            partial: whether a decoder that `stop` ended before its time is returned.

        Raises:
            CutShort: `stop` ended the training before its time.
        """
        kept = self.shelf.take(given.name)
        if kept is not None and kept.complete:
            self.ledger.add(kept.training)
            return self._decoder(kept)
        if kept is not None:
            start, steps = self._decoder(kept), max(1, steps - kept.training.steps)
        began, rate = time.monotonic(), FAST.learning_rate
        while True:
            recipe = replace(FAST, learning_rate=rate, steps=steps)
            left = None if seconds is None else seconds - (time.monotonic() - began)
            try:
                return self._train(given, recipe, left, start, kept, partial)
            except TrainingDiverged:
                if rate < FAST.learning_rate / 100 or self.stop():
                    raise
                rate /= 4

    def _train(
        self,
        given: DecoderInput,
        recipe: Recipe,
        seconds: float | None,
        start: MirroredDecoder | None,
        kept: Kept | None,
        partial: bool,
    ) -> MirroredDecoder:
        decoder = self._decoder(start)
        done = fit(
            Reconstruction(decoder, recipe.scale), self._batches(given, recipe, decoder), recipe, seconds,
            self.on_progress, given.name, self.stop,
        )  # fmt: skip
        training = Training(
            given.name, done.steps, done.seconds, recipe.learning_rate, done.curve, still_falling(done.curve)
        )
        training = training if kept is None else kept.training.followed_by(training)
        short = self.stop() and (seconds is not None or done.steps < recipe.steps)
        if short and not partial:
            # Begun anew it comes out as if it had never been interrupted.
            raise CutShort(f"ended after {training.steps:,} steps")
        self.shelf.put(decoder, training, complete=not short)
        self.ledger.add(training)
        return decoder

    def try_steps(self, most: int, seconds: float) -> tuple[MirroredDecoder, float]:
        """A decoder that a few steps were tried on, and the seconds that one of them takes.

        Args:
            most: steps.
            seconds: after which no more are tried, when there are two; the first one warms up.
        """
        decoder, recipe = self._decoder(), replace(FAST, steps=most)
        at, times = self._batches(KNOWN, recipe, decoder), [time.monotonic()]

        def enough() -> bool:
            times.append(time.monotonic())
            return len(times) > 2 and times[-1] - times[0] > seconds

        fit(Reconstruction(decoder, recipe.scale), at, recipe, name="speed", stop=enough)
        return decoder, max(1e-6, (times[-1] - times[1]) / (len(times) - 2))

    def _decoder(self, like: MirroredDecoder | Kept | None = None) -> MirroredDecoder:
        """A new decoder, with the weights of another one where it is given."""
        size = self.seen.template.image_size
        decoder = mirror(self.seen.levels, size, self.width, self.seed, FAST.bias_code or 1.0)
        if like is not None:
            tensors = like.tensors if isinstance(like, Kept) else like.state_dict()
            decoder.load_state_dict(dict(tensors))
        return decoder

    def _batches(self, given: DecoderInput, recipe: Recipe, decoder: MirroredDecoder) -> Batches:
        order = Order(len(self.seen), recipe.batch, self.seed, recipe.reshuffle, recipe.flips)

        def at(step: int) -> tuple[list[Tensor], Tensor, Tensor | None]:
            chosen, _ = order.at(step)
            codes, what = self._inputs(self.seen, given, chosen, step, decoder)
            target = (self.seen.images(chosen) - self.mean) * recipe.scale
            return codes, target.to(decoder.bias_code.device, memory_format=torch.channels_last), what

        return at

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
