"""The experiments of an audit that follow the decoder of known switches; none of them can lose the others."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor

from maxtunnel.auditing.attacker import Attacker, CutShort
from maxtunnel.auditing.budget import (
    CONTROL,
    COPY,
    EQUALS,
    HELD_CAPTURE,
    LEVELS,
    REDRAWN,
    Budget,
    Courses,
    Experiment,
    Plan,
    Speed,
)
from maxtunnel.auditing.contest import Contest
from maxtunnel.auditing.identification import Identification, identify
from maxtunnel.auditing.ledger import (
    AGAIN,
    BOTH,
    FIXED,
    KNOWN,
    RANDOM,
    UNTRAINED,
    WHAT,
    WHERE,
    DecoderInput,
    known_by,
)
from maxtunnel.auditing.levels import CODED, audit_levels, describe_levels
from maxtunnel.auditing.outcome import AuditedLevel, Draws, Refined, Transplant
from maxtunnel.auditing.readers import Decoder
from maxtunnel.auditing.refining import refine_pictures
from maxtunnel.auditing.rows import LITTLE, Row, Shares, shares
from maxtunnel.auditing.samples import LEAST_CAPTURED, Samples, sample
from maxtunnel.auditing.targets import Target
from maxtunnel.data.images import to_float, to_uint8
from maxtunnel.evaluation.intervals import bootstrap
from maxtunnel.support.files import with_kind

SHOWN = 8  # photographs that pictures are made of
_COMPARED = 4  # photographs on which an untrained copy's switches are compared


@dataclass
class Found:
    """What the experiments found so far; see `AuditResult` for the fields."""

    rows: dict[str, Row] = field(default_factory=dict)
    levels: tuple[AuditedLevel, ...] = ()
    shares: Shares | None = None
    identified: tuple[Identification, ...] = ()
    transplant: Transplant | None = None
    untrained: str = ""
    untrained_note: str = ""
    draws: Draws | None = None
    refined: Refined | None = None
    left_out: list[str] = field(default_factory=list)
    pictures: dict[str, UInt8[Tensor, "n 3 h w"]] = field(default_factory=dict)


class Experiments:
    """The experiments of one audit, each of which adds to what was found, or to what was left out.

    Args:
        target: the model.
        attacker: has its switches.
        contest: what was read of the known ones.
        budget: the time for all of it.
        plan: how many photographs are measured.
        courses: how the time that is left is used.
        speed: of the parts.

    Attributes:
        attacker: of the kind that read more, by which all is read that is put against known switches.
        known: its decoder of these.
        apart: an attacker of the kind by which all else is read.
        found: what was found so far.
    """

    def __init__(
        self,
        target: Target,
        attacker: Attacker,
        contest: Contest,
        budget: Budget,
        plan: Plan,
        courses: Courses,
        speed: Speed,
    ) -> None:
        self.target, self.contest, self.budget, self.speed = target, contest, budget, speed
        self.plan, self.courses = plan, courses
        self.attacker = attacker.read_by(courses.beside.reader)
        self.apart = attacker.read_by(courses.apart.reader)
        self.known = contest.readings[contest.best].decoder
        self._errors: dict[str, Float64[Tensor, " n"]] = {}
        self._shown = torch.arange(min(SHOWN, len(attacker.held)))
        self.found = Found(
            left_out=list(contest.left_out), pictures={"originals": attacker.held.pixels[self._shown]}
        )

    def run(self) -> Found:
        """All experiments but the mitigations."""
        self.found.rows["mean"] = self.attacker.measure_mean()
        self._tell_known()
        self._guard("switches of another photograph", self._measure_other)
        self._guard("coded bits of the levels", self._describe_levels)
        self._guard("identification", self._identify)
        for experiment, do in (
            (CONTROL, self._control),
            (LEVELS, self._levels),
            (EQUALS, self._equals),
            (COPY, self._copy),
            (REDRAWN, self._draw_again),
        ):
            self._run(experiment, do)
        return self.found

    def refine(self) -> None:
        """The pictures of known switches, refined, where that is asked for."""
        if self.budget.config.refine:
            self._guard("refined pictures", self._refine)

    def _refine(self) -> None:
        self.found.refined, pictures = refine_pictures(self.target, self.attacker, self.known, self.budget)
        self.found.pictures["refined"] = pictures[: len(self._shown)]

    def _run(self, experiment: Experiment, do: Callable[[], None]) -> None:
        budget, courses = self.budget, self.courses
        seconds = budget.cost(experiment, courses.of(experiment), self.plan.measured, self.speed)
        if budget.interrupted.is_set():
            self.found.left_out.append(f"left out: {experiment.name}, as the audit was interrupted")
        elif experiment not in courses.experiments or not budget.allows(seconds):
            self.found.left_out.append(
                f"left out: {experiment.name}, which takes {seconds:,.0f} s with the fewest steps; "
                "there was not the time for it"
            )
        else:
            self._guard(experiment.name, do)

    def _guard(self, name: str, do: Callable[[], None]) -> None:
        """Run a part of the audit; where it fails, the others are still reported."""
        try:
            do()
        except CutShort as error:
            why = "interrupted" if self.budget.interrupted.is_set() else "the time was up"
            self.found.left_out.append(f"left out: {name} ({why}: {error})")
        # Whatever failed, what was found before must not be lost.
        except Exception as error:  # noqa: BLE001
            self.found.left_out.append(f"failed: {name} ({with_kind(error)})")

    def _tell_known(self) -> None:
        """The rows of the known switches: that of the best reader, and that of the other one."""
        best = self.contest.readings[self.contest.best]
        self.found.rows["known"] = replace(best.row, name=KNOWN.name)
        self._errors["known"] = best.errors
        self.found.pictures["known"] = to_uint8(self.attacker.rebuild(self.known, KNOWN, self._shown))
        for row in self.contest.others:
            self.found.rows["second"] = row

    def _measure(self, attacker: Attacker, key: str, decoder: Decoder, given: DecoderInput) -> None:
        self.found.rows[key], self._errors[key] = attacker.measure(decoder, given)
        self.found.pictures[key] = to_uint8(attacker.rebuild(decoder, given, self._shown))

    def _measure_other(self) -> None:
        given = known_by(self.attacker.decoder)
        self.found.rows["other"] = self.attacker.measure_wrong_switches(self.known, given)

    def _describe_levels(self) -> None:
        seconds = 0.02 * self.budget.seconds
        self.found.levels = describe_levels(self.attacker.held, min(self.plan.measured, CODED), seconds)

    def _identify(self) -> None:
        """How often the right photograph is found by what its switches rebuild."""
        searched = torch.arange(self.plan.searched)
        rebuilt = self.attacker.rebuild(self.known, KNOWN, searched)
        self.found.identified = tuple(identify(rebuilt, self.attacker.held.images(searched)))

    def _train(self, key: str, given: DecoderInput) -> Decoder:
        """The row of one of the decoders that are put against each other."""
        decoder = self.apart.train(given, self.courses.apart.steps)
        self._measure(self.apart, key, decoder, given)
        return decoder

    def _control(self) -> None:
        decoder = self.attacker.train(RANDOM, self.courses.beside.steps)
        self._measure(self.attacker, "random", decoder, RANDOM)

    def _levels(self) -> None:
        found = self.found
        found.levels, pictures = audit_levels(
            self.attacker, self.known, LEVELS.decoders * self.courses.beside.steps, self._shown, found.levels
        )
        found.pictures |= pictures

    def _equals(self) -> None:
        """Features, switches, both and neither."""
        for key, given in (("fixed", FIXED), ("where", WHERE), ("what", WHAT)):
            self._train(key, given)
        both = self._train("both", BOTH)
        if self.found.rows["both"].explained_ci95[0] >= LITTLE:
            self.found.shares = shares(*(self._errors[key] for key in ("fixed", "what", "where", "both")))
        self._transplant(both)

    def _transplant(self, both: Decoder) -> None:
        """The switches of each photograph with the features of the next one."""
        held, attacker = self.apart.held, self.apart
        recipients = torch.arange(attacker.measured)
        donors = recipients.roll(-1)
        results = attacker.rebuild(both, BOTH, recipients, donors)
        self.found.pictures["transplant"] = to_uint8(results[self._shown])
        self.found.pictures["donors"] = held.pixels[donors[self._shown]]
        to_where = _squared_errors(results, held.images(recipients))
        to_what = _squared_errors(results, held.images(donors))
        nearer = (to_where < to_what).double()
        self.found.transplant = Transplant(
            rmse_to_where=float(to_where.mean().sqrt()),
            rmse_to_what=float(to_what.mean().sqrt()),
            nearer_to_where=float(nearer.mean()),
            nearer_to_where_ci95=bootstrap(nearer),
        )

    def _copy(self) -> None:
        """The row of an untrained copy; where there can be none, why."""
        try:
            images = to_float(self.attacker.held.pixels[:_COMPARED])
            copy = self.target.untrained(self.budget.config.seed, images)
        except ValueError as error:
            self.found.untrained = str(error)
            return
        self.found.untrained_note = copy.drawn.note if copy.drawn is not None else ""
        seconds = HELD_CAPTURE * self.budget.seconds
        steps = self.courses.apart.steps
        seen, held = captured_again(self.apart, copy, steps, seconds)
        attacker = self.apart.with_samples(seen, held)
        decoder = attacker.train(UNTRAINED, steps)
        self.found.rows["untrained"], _ = attacker.measure(decoder, UNTRAINED)
        self.found.pictures["untrained"] = to_uint8(attacker.rebuild(decoder, UNTRAINED, self._shown))

    def _draw_again(self) -> None:
        """The decoder of switches only with other weights and another order: how far apart two draws are."""
        other = replace(self.apart, seed=self.apart.seed + 1)
        row, _ = other.measure(other.train(AGAIN, self.courses.apart.steps), AGAIN)
        first = self.found.rows["where"]
        self.found.draws = Draws(other.decoder, self.courses.apart.steps, (first.rmse, row.rmse))


def captured_again(attacker: Attacker, target: Target, steps: int, seconds: float) -> tuple[Samples, Samples]:
    """The attacker's photographs as another model captures them, no more than `steps` can use."""
    pixels = attacker.seen.pixels[: steps * attacker.reader.recipe.batch]
    seen = sample(target, pixels, seconds, LEAST_CAPTURED, None, attacker.on_progress, target.name)
    held = sample(target, attacker.held.pixels[: max(attacker.measured, SHOWN)], rms=seen.rms)
    return seen, held


def _squared_errors(
    results: Float[Tensor, "n 3 h w"], images: Float[Tensor, "n 3 h w"]
) -> Float64[Tensor, " n"]:
    return (results - images).double().square().mean((1, 2, 3))
