"""What may be concluded from an audit, in sentences, and what is withheld because too little is known."""

import json
import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from maxtunnel.auditing.controls import (
    best_reader,
    features_unread,
    knows_too_much,
    levels_unread,
    reads_more,
    too_short,
    training_of,
)
from maxtunnel.auditing.ledger import BOTH, EVERY_LEVEL, FIXED, RANDOM, WHAT, WHERE
from maxtunnel.auditing.outcome import AuditResult
from maxtunnel.auditing.readers import READERS, Reader
from maxtunnel.auditing.rows import LITTLE, Row
from maxtunnel.evaluation.intervals import Interval
from maxtunnel.support.files import replacing
from maxtunnel.support.records import Json, to_json

FORMAT = "maxtunnel audit 2"
_SHORT = 200  # steps of a decoder, below which a reader is warned


@dataclass(frozen=True)
class Conclusions:
    """What may be said about an audit.

    A verdict, shares and levels are withheld where decoders had too few steps or where controls are out of
    order: a number would then say more about the decoders than about the model.

    Attributes:
        of: the audit.
    """

    of: AuditResult

    @cached_property
    def best(self) -> Row:
        """The decoder that read most of the switches."""
        return best_reader(self.of.readers, self.of.decoders, self.of.config.least_steps)

    @cached_property
    def withheld(self) -> dict[str, tuple[str, ...]]:
        """By `verdict`, `shares` or `levels`, why it is withheld; what is not withheld is absent."""
        found = {"verdict": self._no_verdict(), "shares": self._no_shares(), "levels": self._no_levels()}
        return {key: tuple(reasons) for key, reasons in found.items() if reasons}

    @property
    def verdict(self) -> str:
        """The finding in sentences with numbers, or why there is none and what would help."""
        if "verdict" in self.withheld:
            reasons = "; ".join(self.withheld["verdict"])
            text = (
                f"No verdict, neither that there is a leak nor that there is none: {reasons}. {self.advice}"
            )
        elif self.best.explained_ci95[0] < LITTLE:
            text = self._nothing_found
        else:
            text = self._leak_found
        return " ".join(part for part in (self._seen, text) if part)

    @property
    def advice(self) -> str:
        """How much more time would be enough."""
        result = self.of
        if result.config.steps is not None:
            return f"Give at least {max(4 * result.config.least_steps, 2 * result.config.steps):,} steps."
        enough = result.enough_minutes
        # Where that much was given, something else was wrong, and longer training is what can be tried.
        enough = enough if enough > result.config.minutes else 3 * result.config.minutes
        return f"Give at least {readable_minutes(enough)}."

    @property
    def interval_note(self) -> str:
        """What intervals hold and what they leave out."""
        draws = self.of.draws
        if draws is None:
            return (
                "Intervals are over the photographs measured, for the decoders trained here; another draw of "
                "a decoder's weights and order is not in them: there was not the time for a second one"
            )
        return (
            "Intervals are over the photographs measured. Another draw of a decoder's weights and order is "
            f"in that of the headline alone: two decoders of {WHERE.name} ({draws.reader}, {draws.steps:,} "
            f"steps each) read with RMSE {draws.rmse[0]:.4f} and {draws.rmse[1]:.4f}, and the headline's "
            f"interval is that over photographs, wider by this {draws.ratio - 1:.1%} on both sides"
        )

    @property
    def interval(self) -> Interval:
        """Of the RMSE of the best reader: over photographs, and where two draws are known over these."""
        low, high = self.best.rmse_ci95
        ratio = 1.0 if self.of.draws is None else self.of.draws.ratio
        return low / ratio, high * ratio

    def reader(self, row: Row) -> Reader:
        """The kind of decoder that read a row."""
        training = training_of(row, self.of.decoders)
        assert training is not None
        return READERS[training.reader]

    def warnings(self) -> list[str]:
        """What a reader must know before trusting a number."""
        result = self.of
        falling = [training.name for training in result.decoders if training.still_falling]
        # Below the least steps what rests on a decoder is withheld, and why stands there.
        least = result.config.least_steps
        short = [training.name for training in result.decoders if least <= training.steps < _SHORT]
        given = "minutes" if result.config.steps is None else "steps"
        blind = [result.rows[key].rmse for key in ("mean", "random", "fixed") if key in result.rows]
        spread = max(blind) / min(blind) - 1
        used, there = result.images["trained"], result.images["given"]
        texts = {
            "this audit was interrupted: its report is partial": result.interrupted,
            f"of {there:,} photographs to train on, {used:,} were used, as many as the time allows": used
            < there,
            f"still falling at the end of training, so too high: {_some(falling)}": bool(falling),
            f"fewer than {_SHORT} steps, so give more {given}: {_some(short)}": bool(short),
            f"the controls that know nothing differ by {spread:.1%}": spread > 0.05,
            f"not covered: {', '.join(result.not_covered)}": bool(result.not_covered),
            f"poolings may have run unseen: {'; '.join(result.unseen)}": bool(result.unseen),
            f"no untrained copy: {result.untrained}": bool(result.untrained),
            f"of the untrained copy: {result.untrained_note}": bool(result.untrained_note),
        }
        unread = [] if "levels" in self.withheld else [level for level in result.levels if level.surpassed_by]
        return [
            *(text for text, applies in texts.items() if applies),
            *(
                f"not enough steps to say what {level.name} gives away with all coarser levels: less was "
                f"read of them than of {level.surpassed_by}"
                for level in unread
            ),
            *result.left_out,
        ]

    def without_withheld(self) -> AuditResult:
        """The result without the shares and the levels' rows that are withheld.

        A row that says less of more switches than another one of fewer is withheld by itself.
        """
        result = self.of
        if "shares" in self.withheld:
            result = replace(result, shares=None)
        if "levels" in self.withheld:
            bare = tuple(replace(level, alone=None, from_deepest=None) for level in result.levels)
            result = replace(result, levels=bare)
        shown = tuple(
            replace(level, from_deepest=None) if level.surpassed_by else level for level in result.levels
        )
        return replace(result, levels=shown)

    def save(self, path: str | Path) -> None:
        """Write audit.json."""
        fields = to_json(replace(self.without_withheld(), pictures={}))
        del fields["pictures"]
        content: dict[str, Json] = {
            "format": FORMAT,
            "verdict": self.verdict,
            "withheld": {key: [*reasons] for key, reasons in self.withheld.items()},
            "best_reader": self.best.name,
            "warnings": [*self.warnings()],
            **fields,
        }
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @property
    def _seen(self) -> str:
        """Which levels the observer was not given."""
        record = self.of.record
        if not record.withheld:
            return ""
        given = ", ".join(map(str, record.observed))
        return (
            f"The observer was given level {given} only, not {', '.join(record.withheld)}: whoever has all "
            "indices may read more."
        )

    @property
    def _nothing_found(self) -> str:
        mean = self.of.rows["mean"]
        return (
            f"Nothing recognisable was rebuilt: RMSE {self.best.rmse:.3f}, where the mean photograph alone "
            f"scores {mean.rmse:.3f}. This is a lower bound of the leak, by the decoders and in the time of "
            f"this audit; it proves no absence of a leak.{self._refined}"
        )

    @property
    def _leak_found(self) -> str:
        result, best = self.of, self.best
        low, high = self.interval
        over = "the photographs" if result.draws is None else "the photographs and two draws of a decoder"
        other = result.rows.get("other")
        others = f", the switches of another photograph {other.rmse:.3f}" if other else ""
        which = "" if best is result.rows["known"] else f" (by the decoder of {best.name}, the best of them)"
        return (
            "The switches alone, without one feature value, rebuilt "
            f"{result.images['measured']:,} photographs that the decoder had never seen at RMSE "
            f"{best.rmse:.3f}{which} (95 % interval over {over} {low:.3f} to {high:.3f}); the mean "
            f"photograph scores {result.rows['mean'].rmse:.3f}{others}. They explain {best.explained:.0%} of "
            f"the pixels' variance. {self._found}This is a lower bound of the leak, read by "
            f"{self.reader(best).title}: another decoder, or a longer training, may find more.{self._second}"
            f"{self._refined}"
        )

    @property
    def _second(self) -> str:
        """What the other reader of the same switches made of them."""
        second = self.of.rows.get("second")
        if second is None:
            return ""
        return f" {self.reader(second).title.capitalize()} read the same switches at RMSE {second.rmse:.3f}."

    @property
    def _refined(self) -> str:
        """How much nearer the pictures came."""
        found = self.of.refined
        if found is None:
            return ""
        return (
            f" Refined through the model until {1 - found.wrong_refined:.1%} of their own switches were "
            f"those captured ({1 - found.wrong_decoded:.1%} before), the pictures of {found.photographs:,} "
            f"photographs come to RMSE {found.refined.rmse:.3f}, from {found.decoded.rmse:.3f}."
        )

    @property
    def _found(self) -> str:
        if not self.of.identified:
            return ""
        best = max(self.of.identified, key=lambda found: (found.among, found.found))
        return (
            f"The right photograph was found among {best.among:,}, as the nearest in {best.by}, in "
            f"{best.found:.1%} of cases; a blind guess finds {best.chance:.1%}. "
        )

    def _too_short(self, *names: str) -> list[str]:
        return too_short(names, self.of.decoders, self.of.config.least_steps)

    def _no_verdict(self) -> list[str]:
        result = self.of
        training = training_of(self.best, result.decoders)
        return [
            *self._too_short(self.best.decoder, RANDOM.name),
            *knows_too_much(result.rows),
            *reads_more(result.rows, self.best, training is not None and training.still_falling),
        ]

    def _no_shares(self) -> list[str]:
        result = self.of
        names = [given.name for given in (FIXED, WHERE, WHAT, BOTH)]
        reasons = [*self._too_short(*names), *knows_too_much(result.rows)]
        there = {"fixed", "what", "where", "both"} <= set(result.rows)
        return reasons or (features_unread(result.rows) if there else ["they were not measured"])

    def _no_levels(self) -> list[str]:
        result = self.of
        # A single level is read by the decoder of known switches.
        readers = [result.rows["known"].decoder, *([EVERY_LEVEL] if len(result.levels) > 1 else [])]
        reasons = [*self._too_short(*readers), *knows_too_much(result.rows)]
        alone = [level.alone for level in result.levels if level.alone]
        together = [level.from_deepest for level in result.levels if level.from_deepest]
        if reasons or not together:
            return reasons or ["they were not measured"]
        # The row of all levels is that of the finest one with all coarser ones.
        size = {
            level.from_deepest.name: math.prod(level.size) for level in result.levels if level.from_deepest
        }
        everything = min(together, key=lambda row: (-size[row.name], together.index(row)))
        return levels_unread(alone, everything)


def readable_minutes(minutes: float) -> str:
    """`40 seconds`, `3 minutes`, `2.5 hours`: rounded up."""
    if minutes < 1:
        return f"{math.ceil(6 * minutes) * 10} seconds"
    return f"{math.ceil(minutes)} minutes" if minutes < 120 else f"{math.ceil(2 * minutes / 60) / 2:g} hours"


def _some(names: list[str]) -> str:
    """A few names; they hold commas themselves."""
    more = f"; and {len(names) - 4} more" if len(names) > 4 else ""
    return "; ".join(names[:4]) + more
