"""The tables of `study adaptive` for a terminal, CSV and LaTeX."""

from statistics import fmean

from maxtunnel.models.adaptive_deconv import Pooling
from maxtunnel.studies.adaptive import AdaptiveStudy
from maxtunnel.studies.adaptive_conclusions import Came, accuracies, came, comparisons
from maxtunnel.studies.adaptive_config import POOLINGS
from maxtunnel.studies.adaptive_reading import GIVEN, Given
from maxtunnel.support.tables import Cell, Column, Table


def tabulate(study: AdaptiveStudy) -> list[Table]:
    """What images become, max pooling against averages, and what is classified right; those not empty."""
    found = (_readings(study), _differences(study), _layers(study))
    return [table for table in found if table.rows]


def all_came(study: AdaptiveStudy) -> list[tuple[Pooling, int, Given, Came]]:
    """All that is known of what images become, layer by layer."""
    found = []
    for layer in range(1, len(study.settings.maps) + 1):
        for pooling in study.grid.poolings:
            for given in GIVEN:
                one = came(study, pooling, layer, given)
                if one is not None:
                    found.append((pooling, layer, given, one))
    return found


def words(pooling: Pooling, layer: int, given: Given) -> str:
    """Which images, in words."""
    return f"layer {layer}, {GIVEN[given] if pooling == 'max' else POOLINGS[pooling]}"


def _readings(study: AdaptiveStudy) -> Table:
    columns = (
        Column("drawn", "drawn from", text=True),
        Column("left", "left over", ".1%"),
        Column("left", "95 % interval", ".1%", interval=True),
        Column("sharpness", "sharpness", ".1%"),
        Column("sharpness", "95 % interval", ".1%", interval=True),
        Column("explained", "explained", ".1%"),
        Column("explained", "95 % interval", ".1%", interval=True),
        Column("other", "of the other image", ".1%"),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            words(pooling, layer, given), one.left.mean, one.left.interval, one.sharpness.mean,
            one.sharpness.interval, one.explained.mean, one.explained.interval,
            None if one.other is None else one.other.mean,
        )
        for pooling, layer, given, one in all_came(study)
    ]  # fmt: skip
    return Table(f"What {study.settings.held} images become", columns, tuple(rows))


def _differences(study: AdaptiveStudy) -> Table:
    columns = (
        Column("layer", "layer"),
        Column("sharpness", "sharper by", "+.1%"),
        Column("sharpness", "95 % interval", "+.1%", interval=True),
        Column("left", "leaves more by", "+.1%"),
        Column("left", "95 % interval", "+.1%", interval=True),
    )
    rows = tuple(
        (each.layer, each.sharpness.mean, each.sharpness.interval, each.left.mean, each.left.interval)
        for each in comparisons(study)
    )
    return Table("Max pooling less average pooling, image by image", columns, rows)


def _layers(study: AdaptiveStudy) -> Table:
    columns = (
        Column("layer", "layer", text=True),
        Column("seeds", "seeds"),
        Column("features", "features not 0", ",.0f"),
        Column("of", "of", ","),
        Column("accuracy", "classified right", ".1%"),
        Column("accuracy", "95 % interval", ".1%", interval=True),
        Column("seconds", "seconds an image", ".3f"),
    )
    rows: list[tuple[Cell, ...]] = []
    for pooling in study.grid.poolings:
        found = study.of(pooling)
        for name, right in accuracies(study, pooling).items():
            title = f"{POOLINGS[pooling]}, {'all layers' if name == 'all' else f'layer {name}'}"
            here = [] if name == "all" else [row.layers[int(name) - 1].features for row in found]
            paces = [sum(row.a_layer) if name == "all" else row.a_layer[int(name) - 1] for row in found]
            count = fmean(kept for kept, _ in here) if here else None
            every = here[0][1] if here else None
            rows.append((title, len(found), count, every, right.mean, right.interval, fmean(paces)))
    return Table("Layers", columns, tuple(rows))
