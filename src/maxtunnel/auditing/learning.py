"""How the decoders of an audit learned, on its page: two kinds on the same switches, then all of them."""

from collections.abc import Sequence

from maxtunnel.auditing.controls import training_of
from maxtunnel.auditing.ledger import Training
from maxtunnel.auditing.outcome import AuditResult
from maxtunnel.auditing.readers import READERS
from maxtunnel.report import svg
from maxtunnel.report.html import Cell, Html, element, joined, number, table

_TIME, _ERROR = "seconds of training", "RMSE while training"


def two_readers(result: AuditResult) -> Html:
    """Error against time of both decoders of known switches; nothing where one kind read them."""
    rows = [result.rows[key] for key in ("known", "second") if key in result.rows]
    pairs = [(row, done) for row in rows if (done := training_of(row, result.decoders)) is not None]
    if len(pairs) < 2:
        return Html()
    best = READERS[pairs[0][1].reader]
    lines = [
        (
            Cell(READERS[done.reader].title),
            number(row.rmse, ".4f", row.rmse_ci95, between=" to "),
            number(row.explained, ".1%"),
            number(done.steps, ",d"),
            number(done.seconds, ".0f", unit=" s"),
            Cell("still falling" if done.still_falling else ""),
        )
        for row, done in pairs
    ]
    falling = [READERS[done.reader].title for _, done in pairs if done.still_falling]
    text = Html(f"""<h2>Two readers of the same switches</h2>
<p>The known switches were read by decoders of two kinds. The leak is at least what the better one read, here
{best.title}; what is put against it below is read by the same kind. {_more(falling)}</p>""")
    head = ("read by", "RMSE", "explained", "steps", "time", "")
    return joined(
        text,
        svg.curves([_against_time(done) for _, done in pairs], _TIME, _ERROR),
        table(head, lines, "Known switches by two kinds of decoder", 0),
    )


def learning(result: AuditResult) -> Html:
    """Error against time of every decoder, and which of them were still falling."""
    lines = [
        (
            done.name,
            done.reader,
            number(done.steps, ",d"),
            number(done.seconds, ".0f", unit=" s"),
            number(done.curve[-1][1], ".4f"),
            "still falling" if done.still_falling else "",
        )
        for done in result.decoders
    ]
    # As many in one chart as there are colours.
    curves, at_once = [_against_time(training) for training in result.decoders], len(svg.COLOURS)
    head = ("decoder", "kind", "steps", "time", "last RMSE while training", "")
    return joined(
        element("h2", "How the decoders were trained"),
        *(
            svg.curves(curves[first : first + at_once], _TIME, _ERROR)
            for first in range(0, len(curves), at_once)
        ),
        element("p", _falling(result.decoders)),
        table(head, lines, "Training of the decoders"),
    )


def _against_time(training: Training) -> tuple[str, list[tuple[float, float]]]:
    """The name and the curve of a training, over the seconds that it took."""
    each = training.seconds_per_step
    return training.name, [(max(step * each, 1e-3), value) for step, value in training.curve]


def _more(falling: Sequence[str]) -> str:
    """Whether more time would have shown more of the known switches."""
    if not falling:
        return "Neither error was still falling when its training ended."
    return (
        f"When the training ended, the error of {' and that of '.join(falling)} was still falling: in more "
        "time it would have read more."
    )


def _falling(decoders: Sequence[Training]) -> str:
    """Whether more time would have shown more."""
    names = [training.name for training in decoders if training.still_falling]
    if not names:
        return "No error was still falling when its training ended."
    return (
        f"When the training ended, the error was still falling for: {', '.join(names)}. In more time these "
        "would have rebuilt more: what they say of the leak is a lower bound."
    )
