"""The table of a protection for a terminal."""

from maxtunnel.protection.outcome import Line, Protection
from maxtunnel.support.tables import Cell, Column, Table

_METRIC = (
    Column("metric", "metric", ".4g"),
    Column("metric", "95 % interval", ".4g", interval=True),
    Column("metric_change", "change", "+.3g"),
    Column("metric_change", "95 % interval", "+.3g", interval=True),
)


def tabulate(result: Protection) -> Table:
    """A row for the original, each fine-tuned model and each mitigation."""
    columns = (
        Column("model", "model", text=True),
        Column("bits", "bits", ",.0f"),
        Column("rmse", "RMSE", ".4f"),
        Column("explained", "explained", ".1%"),
        Column("explained", "95 % interval", ".1%", interval=True),
        Column("lost", "outputs lost", ".2%"),
        Column("lost", "95 % interval", ".2%", interval=True),
        *(_METRIC if result.has_metric else ()),
    )
    title = (
        f"Pooling switches of {result.target}, read by strong readers of {result.steps:,} steps\n"
        f"RMSE, explained: of {result.images['measured']:,} photographs rebuilt from switches alone"
    )
    return Table(title, columns, tuple(_row(line, result.has_metric) for line in result.lines))


def _row(line: Line, metric: bool) -> tuple[Cell, ...]:
    leak, score = line.leak, line.score
    cells: tuple[Cell, ...] = (
        line.name,
        line.bits,
        leak.rmse if leak else None,
        leak.explained if leak else None,
        leak.explained_ci95 if leak else None,
        line.lost,
        line.lost_ci95,
    )
    if not metric:
        return cells
    if score is None:
        return (*cells, None, None, None, None)
    return (*cells, score.value, score.ci95, score.change, score.change_ci95)
