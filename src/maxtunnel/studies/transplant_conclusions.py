"""What the rows of `study transplant` say: whose image comes out, how far edits arrive, and a verdict."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from maxtunnel.evaluation.intervals import above, span
from maxtunnel.studies.seeds import Estimate, estimate, paired
from maxtunnel.studies.transplant import TransplantStudy
from maxtunnel.studies.transplant_config import KINDS, Kind
from maxtunnel.studies.transplant_data import Common
from maxtunnel.studies.transplant_edits import OWN, PIXELS, UNEDITED, Edited
from maxtunnel.studies.transplant_reading import HALF, Taken, level_runs, name_of

Answer = Literal["supported", "contradicted", "open"]
QUOTE = (
    "If this is undesirable, for example, because the image is manipulated in a higher-level feature space "
    "and then reconstructed according to the modifications [11], care should be taken when max unpooling is "
    "used for this application."
)
CONTROLS: tuple[Kind, ...] = ("fixed", "average")
_HALFWAY = 0.5
_LIT: dict[Common, str] = {
    "folder": "the same person, another light",
    "light": "another person, the same light",
    "nothing": "another person, another light",
    "flip": "the mirror image",
}
_UNLIT: dict[Common, str] = {
    "folder": "another image of the folder",
    "nothing": "an image of another folder",
    "flip": "the mirror image",
}


@dataclass(frozen=True)
class Came:
    """What pairs became, over pairs; of each the mean over seeds.

    Attributes:
        way: from the image of the features, 0, to that of the switches, 1.
        aside: distance from the line through both, by their distance.
        to_what, to_where: RMSE to the image whose features, and whose switches, were taken, values in [0, 1].
        nearer: share of pairs and seeds in which that of the switches is the nearer one.
    """

    way: Estimate
    aside: Estimate
    to_what: Estimate
    to_where: Estimate
    nearer: Estimate


@dataclass(frozen=True)
class Moved:
    """What an edit made, over people; of each the mean over seeds.

    Attributes:
        way, aside: see `Edited`.
        rmse: to the photograph in the new light, values in [0, 1].
        sharpness: see `Edited`.
    """

    way: Estimate
    aside: Estimate
    rmse: Estimate
    sharpness: Estimate


@dataclass(frozen=True)
class Kept:
    """An edit through the original's switches on some levels.

    Attributes:
        levels: whose switches are kept, `name_of` these; `all` for all.
        share: of all switches.
        way: of the edit that arrives.
        nearer: in RMSE, how much nearer to the edit's goal than no edit is; of features that are another
            image's, than to the original.
    """

    levels: str
    share: float
    way: Estimate
    nearer: Estimate

    @property
    def safe(self) -> bool | None:
        """Whether more than half of the edit arrives and the image is nearer; None where that is not told."""
        told = (_told(self.way, _HALFWAY), _told(self.nearer))
        return False if False in told else True if all(told) else None


def _told(found: Estimate, value: float = 0.0) -> bool | None:
    return None if found.interval is None else above(found.interval, value)


def _taken(study: TransplantStudy, kind: Kind, common: Common, name: str) -> list[Taken]:
    rows = (row.pairs.get(common, {}) for row in study.of(kind))
    return [names[name] for names in rows if name in names]


def _edited(study: TransplantStudy, kind: Kind, name: str) -> list[Edited]:
    return [row.edits[name] for row in study.of(kind) if name in row.edits]


def _over_seeds(values: Sequence[Sequence[float]]) -> list[float]:
    """The mean over networks of each pair's, or person's, values."""
    return [fmean(of_one) for of_one in zip(*values, strict=True)]


def _roots(values: Sequence[Sequence[float]]) -> list[float]:
    return [math.sqrt(value) for value in _over_seeds(values)]


def came(study: TransplantStudy, kind: Kind, common: Common, name: str) -> Came | None:
    """What pairs became by `transplants`' name; None where nothing is known of it."""
    found = _taken(study, kind, common, name)
    if not found:
        return None
    nearer = [
        [float(b < a) for a, b in zip(one.to_what, one.to_where, strict=True)] for one in found
    ]  # fmt: skip
    return Came(
        way=estimate(_over_seeds([one.way for one in found])),
        aside=estimate(_over_seeds([one.aside for one in found])),
        to_what=estimate(_roots([one.to_what for one in found])),
        to_where=estimate(_roots([one.to_where for one in found])),
        # Counted in pairs: if all are alike, the next one may not be.
        nearer=estimate(_over_seeds(nearer), 1 / len(nearer[0])),
    )


def moved(study: TransplantStudy, kind: Kind, name: str) -> Moved | None:
    """What an edit made by `edits`' name; None where nothing is known of it."""
    found = _edited(study, kind, name)
    if not found:
        return None
    return Moved(
        way=estimate(_over_seeds([one.way for one in found])),
        aside=estimate(_over_seeds([one.aside for one in found])),
        rmse=estimate(_roots([one.error for one in found])),
        sharpness=estimate(_over_seeds([one.sharpness for one in found])),
    )


def lead(study: TransplantStudy, control: Kind) -> Estimate | None:
    """How much further an edit goes without known switches than with them, image by image.

    It is the arithmetic of lights where these are known, over people; else features half way between two
    images of a folder, over pairs. None where one of both is not there.
    """
    kinds: tuple[Kind, Kind] = (control, "switches")
    ways = [_ways(study, kind) for kind in kinds]
    return paired(_over_seeds(ways[0]), _over_seeds(ways[1])) if all(ways) else None


def _ways(study: TransplantStudy, kind: Kind) -> list[tuple[float, ...]]:
    if study.lit:
        return [one.way for one in _edited(study, kind, OWN)]
    return [one.way for one in _taken(study, kind, "folder", HALF)]


def gain(study: TransplantStudy, kind: Kind, name: str) -> Estimate | None:
    """How much nearer an edit comes to the photograph in the new light than no edit, in RMSE over people."""
    before, after = (_edited(study, kind, each) for each in (UNEDITED, name))
    if not before or not after:
        return None
    return paired(_roots([one.error for one in before]), _roots([one.error for one in after]))


def whole(study: TransplantStudy) -> str:
    """The name of all levels."""
    return name_of(range(1, study.settings.levels + 1))


def answers(study: TransplantStudy) -> dict[str, Answer]:
    """Each case that was decided, and how; see docs/studies/transplant.md for the rules."""
    found: dict[str, Answer] = {}
    for common in ("folder", "light", "nothing", "flip"):
        one = came(study, "switches", common, whole(study))
        if one is not None:
            case = f"the image of the switches comes out: {words(study, common)}"
            found[case] = _answer(_told(one.way, _HALFWAY))
    for control in CONTROLS:
        further = lead(study, control)
        if further is not None:
            found[f"an edit arrives less than with {KINDS[control]}"] = _answer(_told(further))
    nearer = gain(study, "switches", OWN)
    if nearer is not None:
        case = "an edit through the original's switches is further from its goal than no edit"
        worse = _told(nearer)
        found[case] = _answer(None if worse is None else not worse)
    return found


def _answer(told: bool | None) -> Answer:
    return "open" if told is None else "supported" if told else "contradicted"


def words(study: TransplantStudy, common: Common) -> str:
    """Whose switches, told from the image whose features are taken."""
    return (_LIT if study.lit else _UNLIT)[common]


def perfect(study: TransplantStudy) -> Iterator[Kept]:
    """The features of another image of the same folder, with the original's switches on some levels.

    On the others stand the switches of the image whose features these are: an edit that nobody can make
    better. What arrives is what is left of the way to the original.
    """
    shares = next((row.shares for row in study.of("switches")), ())
    for levels in (*level_runs(len(shares)), tuple(range(1, len(shares) + 1))) if shares else ():
        found = _taken(study, "switches", "folder", name_of(levels))
        arrived = [1 - way for way in _over_seeds([one.way for one in found])]
        nearer = paired(_roots([one.to_where for one in found]), _roots([one.to_what for one in found]))
        yield Kept(_kept_name(levels, len(shares)), _share(shares, levels), estimate(arrived), nearer)


def arithmetic(study: TransplantStudy, fill: str) -> Iterator[Kept]:
    """The arithmetic of lights with the original's switches on some levels, and on the others a fill's."""
    shares = next((row.shares for row in study.of("switches") if row.edits), ())
    names = {levels: f"{fill}:{name_of(levels)}" for levels in level_runs(len(shares))} if shares else {}
    for levels, name in (names | {tuple(range(1, len(shares) + 1)): OWN} if names else {}).items():
        one, nearer = moved(study, "switches", name), gain(study, "switches", name)
        assert one is not None
        assert nearer is not None
        yield Kept(_kept_name(levels, len(shares)), _share(shares, levels), one.way, nearer)


def _kept_name(levels: Sequence[int], count: int) -> str:
    return "all" if len(levels) == count else name_of(levels)


def _share(shares: Sequence[float], levels: Sequence[int]) -> float:
    return sum((shares[level - 1] for level in levels), 0.0)


def verdict(study: TransplantStudy) -> list[str]:
    """The answers in sentences with their numbers."""
    found = [*_on_pairs(study), *_on_levels(study), *_on_edits(study), *_on_safety(study)]
    return found or ["Nothing was measured: no network with known switches is done."]


def _on_pairs(study: TransplantStudy) -> Iterator[str]:
    parts, seen = [], []
    for common in ("folder", "light", "nothing", "flip"):
        one = came(study, "switches", common, whole(study))
        if one is not None:
            seen.append(one.way.detectable or 0.0)
            parts.append(
                f"{words(study, common)}: {_way(one.way)}, {one.nearer.mean:.0%} of the images nearer"
            )
    if parts:
        yield (
            "Given the features of one image and all switches of another, a network of known switches draws "
            f"what lies so far on the way to the image of the switches: {'; '.join(parts)}. Half of the way "
            f"would have been told from {max(seen):.0%} more or less."
        )


def _on_levels(study: TransplantStudy) -> Iterator[str]:
    shares = next((row.shares for row in study.of("switches")), ())
    alone = [came(study, "switches", "nothing", str(level)) for level in range(1, len(shares) + 1)]
    parts = [
        f"level {level}, with {share:.0%} of the switches, {_way(one.way)}"
        for level, (share, one) in enumerate(zip(shares, alone, strict=True), 1)
        if one is not None
    ]
    if parts:
        yield f"Switches of one level alone, of {words(study, 'nothing')}, move it: {'; '.join(parts)}."


def _on_edits(study: TransplantStudy) -> Iterator[str]:
    for control in CONTROLS:
        further = lead(study, control)
        if further is None:
            continue
        seen = "" if further.detectable is None else f", {further.detectable:.0%} would have been seen"
        yield (
            f"{_what(study)} goes {_way(_gone(study, 'switches'))} of the way with the original's known "
            f"switches and {_way(_gone(study, control))} with {KINDS[control]}: further by "
            f"{_way(further)} of the way{seen}. That an edit arrives less through known switches is "
            f"{_answer(_told(further))}."
        )


def _what(study: TransplantStudy) -> str:
    return "The arithmetic of lights" if study.lit else "What has features half way between two of a folder"


def _gone(study: TransplantStudy, kind: Kind) -> Estimate:
    return estimate(_over_seeds(_ways(study, kind)))


def _on_safety(study: TransplantStudy) -> Iterator[str]:
    parts = []
    for kind in KINDS:
        before, after = moved(study, kind, UNEDITED), moved(study, kind, OWN)
        if before is not None and after is not None:
            parts.append(f"{KINDS[kind]} {after.rmse.mean:.3f}, unedited {before.rmse.mean:.3f}")
    pixels = next((one for kind in KINDS if (one := moved(study, kind, PIXELS)) is not None), None)
    if parts and pixels is not None:
        yield (
            f"RMSE to the photograph in the new light after the edit: {'; '.join(parts)}; the same "
            f"arithmetic on pixels {pixels.rmse.mean:.3f}."
        )
    every = next((kept for kept in perfect(study) if kept.levels == "all"), None)
    if every is not None:
        yield (
            f"Features of {words(study, 'folder')}, which no edit could make better, arrive by "
            f"{_way(every.way)} through all of the original's switches."
        )


def _way(found: Estimate) -> str:
    """`40% (35% to 45%)`."""
    interval = "" if found.interval is None else f" ({span(found.interval, '.0%')})"
    return f"{found.mean:.0%}{interval}"
