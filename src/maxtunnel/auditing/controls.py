"""Whether the rows of an audit can be trusted: enough training, and controls that are in order."""

from collections.abc import Mapping, Sequence

from maxtunnel.auditing.ledger import Training
from maxtunnel.auditing.rows import LITTLE, Row

_MOST_SPREAD = 0.05  # of the RMSE of controls that know nothing


def too_short(names: Sequence[str], decoders: Sequence[Training], least: int) -> list[str]:
    """Sentences about those of the trainings that had too few steps, or that there are not."""
    found = {training.name: training for training in decoders}
    return [
        f"the decoder of {name}{',' * (',' in name)} had {found[name].steps:,} steps, and with fewer than "
        f"{least} it has hardly begun to learn"
        if name in found
        else f"no decoder of {name} was trained"
        for name in names
        if name not in found or found[name].steps < least
    ]


def knows_too_much(rows: Mapping[str, Row]) -> list[str]:
    """Sentences about controls that know nothing and yet rebuild more than the mean image."""
    return [
        f"a control that knows nothing ({rows[key].name}) explains {rows[key].explained:.0%} of the variance"
        for key in ("random", "fixed")
        if key in rows and rows[key].explained_ci95[0] > LITTLE
    ]


def reads_more(rows: Mapping[str, Row], best: Row, falling: bool) -> list[str]:
    """Sentences about short decoders that read more than the best one of the switches, which is not done.

    Features, or another model's switches, may well give away more. So that counts only while the best decoder
    still learns, or where it has learned nothing.

    Args:
        rows: of the audit.
        best: of the readers of the switches.
        falling: whether its training still fell when it ended.
    """
    if not (falling or best.explained_ci95[0] < LITTLE):
        return []
    return [
        f"the decoder of {row.name}, with fewer steps, explains {row.explained:.0%}, and that of "
        f"{best.name}, which has not learned all it could, {best.explained:.0%}"
        for row in (rows[key] for key in ("untrained", "what") if key in rows)
        if row.explained_ci95[0] > max(best.explained_ci95[1], LITTLE)
    ]


def features_unread(rows: Mapping[str, Row]) -> list[str]:
    """Sentences about a decoder that is given features and switches and reads less than one of the two."""
    both = rows["both"]
    found = [
        f"the decoder of {both.name} explains {both.explained:.0%}, that of {row.name} {row.explained:.0%}"
        for row in (rows["where"], rows["what"])
        if row.explained_ci95[0] > both.explained_ci95[1]
    ]
    neither = rows["fixed"].rmse / rows["mean"].rmse - 1
    if abs(neither) > _MOST_SPREAD:
        found.append(
            f"the decoder of {rows['fixed'].name} is {neither:+.0%} from the mean image, all that it can know"
        )
    return found


def levels_unread(alone: Sequence[Row], together: Row) -> list[str]:
    """Sentences about levels that are read better alone than together with all others."""
    return [
        f"{row.name} explains {row.explained:.0%}, all levels together {together.explained:.0%}"
        for row in alone
        if row.explained_ci95[0] > together.explained_ci95[1]
    ]


def training_of(row: Row, decoders: Sequence[Training]) -> Training | None:
    """The training of the decoder of a row."""
    return next((training for training in decoders if training.name == row.decoder), None)


def best_reader(readers: Sequence[Row], decoders: Sequence[Training], least: int) -> Row:
    """The row that explains most, of those whose decoders had enough steps, if any had.

    Args:
        readers: rows of decoders that are given the switches or something made of them, and nothing else.
        decoders: all trainings.
        least: steps that are enough.
    """
    long = {training.name for training in decoders if training.steps >= least}
    enough = [row for row in readers if row.decoder in long]
    return max(enough or readers, key=lambda row: row.explained)
