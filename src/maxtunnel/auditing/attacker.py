"""The observer who holds switches: trains decoders on them and measures what these rebuild.

All decoders of one kind have the same layers and see the same photographs; they differ in what they are
given.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from maxtunnel.auditing.ledger import KNOWN, DecoderInput, Training, TrainingLedger, still_falling
from maxtunnel.auditing.readers import READERS, Decoder, Reader
from maxtunnel.auditing.rows import Row, row_of
from maxtunnel.auditing.samples import Samples
from maxtunnel.auditing.shelf import NO_SHELF, Kept, Shelf
from maxtunnel.data.batches import PIECE, Order
from maxtunnel.evaluation.metrics import measure
from maxtunnel.support.choices import DecoderKind
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.changes import changed
from maxtunnel.training.batch import Batches
from maxtunnel.training.loop import TrainingDiverged, fit
from maxtunnel.training.phases import Reconstruction
from maxtunnel.training.recipes import Recipe


class CutShort(Exception):
    """A training was ended before it had all of its steps; the message says why."""


@dataclass
class _Answer:
    """Asks whether to stop, and keeps the last answer: between two questions it may become another.

    Attributes:
        stop: is asked.
        last: its last answer.
    """

    stop: Callable[[], bool]
    last: bool = False

    def __call__(self) -> bool:
        self.last = self.stop()
        return self.last


@dataclass(frozen=True)
class _Rest(Recipe):
    """What is left of a recipe, `before` of whose steps were done: its rate goes on where it was."""

    before: int = 0

    @classmethod
    def of(cls, recipe: Recipe, done: Training, seconds: float | None) -> "_Rest":
        """What is left after a training that was interrupted, at the rate that it had come to.

        Args:
            recipe: the whole.
            done: the training.
            seconds: for the rest, where the time bounds it: what was done is then a share of all the time.
        """
        share = 0.0 if seconds is None else done.seconds / (done.seconds + seconds)
        before = min(done.steps if seconds is None else round(share * recipe.steps), recipe.steps - 1)
        fields = vars(recipe) | {"steps": recipe.steps - before, "learning_rate": done.learning_rate}
        return cls(**fields, before=before)

    def rate(self, step: int) -> float:
        """Learning rate of the weights in step `step` of the rest, counted from 0."""
        whole = replace(self, steps=self.before + self.steps)
        return Recipe.rate(whole, self.before + step)


@dataclass(frozen=True, eq=False)
class Attacker:
    """Trains decoders on some photographs' switches and measures them on others'.

    Attributes:
        seen: to train on.
        held: to measure on.
        mean: the mean of the photographs seen.
        width: of the decoders; None for their kind's own (see `Reader`).
        seed: draws weights, order and changes.
        limit: most photographs of `held` that a row is measured on.
        decoder: the kind of all its decoders.
        ledger: where each training is entered; attackers of one audit share it.
        shelf: where each decoder is kept, and where those of an interrupted audit are found.
        stop: asked after each step whether to end.
        on_progress: told of each training.
    """

    seen: Samples
    held: Samples
    mean: Float[Tensor, "3 h w"]
    width: int | None
    seed: int
    limit: int
    decoder: DecoderKind = "strong"
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

    def read_by(self, kind: DecoderKind) -> "Attacker":
        """The same attacker with decoders of another kind."""
        return replace(self, decoder=kind)

    @property
    def reader(self) -> Reader:
        """The kind of its decoders: how they are made and trained."""
        return READERS[self.decoder]

    def train(
        self,
        given: DecoderInput,
        steps: int,
        seconds: float | None = None,
        start: Decoder | None = None,
        *,
        partial: bool = False,
    ) -> Decoder:
        """A decoder trained for `steps` steps, or, where `seconds` are given, for as long.

        Unusual models can make the loss infinite; the training then begins again at a quarter of the rate,
        while there is time. A decoder on the shelf is taken from there, and one that was interrupted is
        trained on, at the rate and with the photographs that come next; the optimiser's means begin anew.

        Args:
            given: what the decoder is given.
            steps: how many, over which the rate falls.
            seconds: for all attempts together.
            start: a decoder to begin from; without one, the initial weights are the same every time.
            partial: whether a decoder that `stop` ended before its time is returned.

        Raises:
            CutShort: `stop` ended the training before its time.
            TrainingDiverged: the loss became infinite, and no attempt is left.
        """
        kept = self.shelf.take(given.name)
        if kept is not None and kept.complete:
            self.ledger.add(kept.training)
            return self._decoder(kept)
        began, stop = time.monotonic(), _Answer(self.stop)
        recipe = replace(self.reader.recipe, steps=steps)
        if kept is not None:
            recipe = _Rest.of(recipe, kept.training, seconds)
        while True:
            left = None if seconds is None else seconds - (time.monotonic() - began)
            try:
                return self._train(given, recipe, left, self._decoder(kept or start), kept, partial, stop)
            except TrainingDiverged:
                late = seconds is not None and time.monotonic() - began >= seconds
                if late or stop.last or recipe.learning_rate < self.reader.recipe.learning_rate / 100:
                    raise
                recipe = replace(recipe, learning_rate=recipe.learning_rate / 4)

    def _train(
        self,
        given: DecoderInput,
        recipe: Recipe,
        seconds: float | None,
        decoder: Decoder,
        kept: Kept | None,
        partial: bool,
        stop: "_Answer",
    ) -> Decoder:
        first = 0 if kept is None else kept.training.steps
        done = fit(
            Reconstruction(decoder, recipe.scale), self._batches(given, recipe, decoder, first), recipe,
            seconds, self.on_progress, given.name, stop,
        )  # fmt: skip
        training = Training(
            given.name, self.decoder, done.steps, done.seconds, recipe.learning_rate, done.curve,
            still_falling(done.curve),
        )  # fmt: skip
        training = training if kept is None else kept.training.followed_by(training)
        early = done.steps < recipe.steps if seconds is None else done.seconds < seconds
        short = stop.last and early
        if short and not partial:
            # Begun anew it comes out as if it had never been interrupted.
            raise CutShort(f"ended after {training.steps:,} steps")
        self.shelf.put(decoder, training, complete=not short)
        self.ledger.add(training)
        return decoder

    def try_steps(self, most: int, seconds: float) -> tuple[Decoder, float]:
        """A decoder that a few steps were tried on, and the seconds that one of them takes.

        Args:
            most: steps; with one, its time holds the warming up too.
            seconds: after which no more are tried, when there are two; the first one warms up.
        """
        decoder, recipe = self._decoder(), replace(self.reader.recipe, steps=most)
        at, times = self._batches(KNOWN, recipe, decoder), [time.monotonic()]

        def enough() -> bool:
            times.append(time.monotonic())
            return len(times) > 2 and times[-1] - times[0] > seconds

        fit(Reconstruction(decoder, recipe.scale), at, recipe, name="speed", stop=enough)
        timed = times[1:] if len(times) > 2 else times
        return decoder, max(1e-6, (timed[-1] - timed[0]) / (len(timed) - 1))

    def _decoder(self, like: Decoder | Kept | None = None) -> Decoder:
        """A new decoder, with the weights of another one where it is given."""
        size, width = self.seen.template.image_size, self.width or self.reader.width
        decoder = self.reader.make(self.seen.levels, size, width, self.seed, self.seen.features.shape[1])
        if like is not None:
            tensors = like.tensors if isinstance(like, Kept) else like.state_dict()
            decoder.load_state_dict(dict(tensors))
        return decoder

    def _batches(self, given: DecoderInput, recipe: Recipe, decoder: Decoder, first: int = 0) -> Batches:
        """The batch of each step, where `first` steps were done before."""
        # A photograph is not mirrored: the model would have other switches for it.
        order = Order(len(self.seen), recipe.batch, self.seed, recipe.reshuffle, flips=False)

        def at(step: int) -> tuple[list[Tensor], Tensor, Tensor | None]:
            chosen, _ = order.at(first + step)
            codes, what = self._inputs(self.seen, given, chosen, first + step, decoder)
            target = (self.seen.images(chosen) - self.mean) * recipe.scale
            return codes, target.to(_device(decoder), memory_format=torch.channels_last), what

        return at

    def rebuild(
        self,
        decoder: Decoder,
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
        found, scale = [], self.reader.recipe.scale
        for first in range(0, len(chosen), PIECE):
            count = min(PIECE, len(chosen) - first)
            # A change draws level after level for a whole piece: filled up, it draws the same for the first
            # photographs, however many are asked for.
            piece = (first + torch.arange(PIECE)).clamp(max=len(chosen) - 1)
            codes, what = self._inputs(self.held, given, chosen[piece], first, decoder)
            if what is not None and donors is not None:
                what = self.held.what(donors[piece]).to(what.device)
            with torch.no_grad():
                given_what = None if what is None else what[:count]
                rebuilt = decoder([level[:count] for level in codes], given_what)
            found.append(rebuilt.float().cpu() / scale + self.mean)
        return torch.cat(found)

    def measure(self, decoder: Decoder, given: DecoderInput) -> tuple[Row, Float64[Tensor, " n"]]:
        """The row of a decoder, and the squared error of each photograph."""
        values = self._values(self.rebuild(decoder, given, torch.arange(self.measured)))
        return row_of(given.name, given.name, values, self.of_mean), values[0]

    def measure_wrong_switches(self, decoder: Decoder, given: DecoderInput) -> Row:
        """The row where each photograph is rebuilt from the switches of the next one."""
        values = self._values(self.rebuild(decoder, given, torch.arange(self.measured).roll(-1)))
        return row_of("switches of another photograph", given.name, values, self.of_mean)

    def measure_mean(self) -> Row:
        """The row of the mean image."""
        return row_of("mean image", "", self.of_mean, self.of_mean)

    @cached_property
    def of_mean(self) -> Float64[Tensor, "3 n"]:
        """MSE, PSNR and SSIM of the mean image on each photograph that rows are measured on."""
        return self._values(self.mean.expand(self.measured, -1, -1, -1))

    def _values(self, outputs: Float[Tensor, "n 3 h w"]) -> Float64[Tensor, "3 n"]:
        pieces = torch.arange(self.measured).split(PIECE)
        return torch.cat([measure(outputs[piece], self.held.images(piece)) for piece in pieces], dim=1)

    def _inputs(
        self, samples: Samples, given: DecoderInput, chosen: Tensor, draw: int, decoder: Decoder
    ) -> tuple[list[Tensor], Tensor | None]:
        """Codes and features on the decoder's device; `draw` decides what the change draws."""
        device = _device(decoder)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + draw)
        change = given.changes[int(torch.randint(len(given.changes), (), generator=generator))]
        code = changed(samples.code(chosen), change, generator, samples.numbers).to(device)
        what = samples.what(chosen).to(device) if given.what else None
        return [level.codes for level in code.levels], what


def _device(decoder: Decoder) -> torch.device:
    return next(decoder.parameters()).device
