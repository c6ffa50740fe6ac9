"""What `study contours` tells: its verdict, its table, and its page."""

from collections.abc import Iterator

from maxtunnel.report.html import Cell, Html, element, figure, joined, number, table
from maxtunnel.report.pictures import inline
from maxtunnel.studies.contours import PEOPLE, PHOTOGRAPHS, ContourStudy
from maxtunnel.studies.contours_conclusions import (
    BILINEAR,
    KNOWN,
    PEOPLE_ODS,
    PUBLISHED,
    SOURCE,
    UNTRAINED_WAYS,
    Findings,
    Measured,
    verdict_of,
)
from maxtunnel.studies.contours_networks import POOLINGS
from maxtunnel.studies.contours_reading import ELSEWHERE, WAYS
from maxtunnel.studies.dense_conditions import CONDITIONS
from maxtunnel.studies.dense_verdicts import rules
from maxtunnel.studies.page import Beside, beside_table
from maxtunnel.studies.report import Report
from maxtunnel.support.records import to_json
from maxtunnel.support.tables import Column, Table

_SO = {condition.key: condition.so for condition in CONDITIONS}


def report_of(study: ContourStudy) -> Report:
    """What the study tells."""
    found = Findings(study)
    body = (
        element("h2", "Measures"),
        _measures(found),
        beside_table(_beside(found)),
        _pictures(found),
        _method(),
    )
    return Report(
        verdict_of(study, found),
        study.folder,
        (_tabulate(found),),
        tuple(_notes(found)),
        body,
        _record(study),
    )


def _notes(found: Findings) -> Iterator[str]:
    study = found.study
    yield (
        f"Intervals are over {study.tested} test photographs, by bootstrap, the same drawn for all ways: "
        "they hold for other photographs, with these networks."
    )
    each = found.seeds_of(KNOWN).values()
    if len(each) > 1:
        yield (
            f"Measures are means over networks of {len(each)} seeds. Of known switches the ODS is "
            f"{min(each):.3f} to {max(each):.3f}. Differences are over trainings too (Student’s t, seed by "
            "seed): their interval holds both, and what either leaves open is open."
        )
    else:
        yield "One seed: what other first weights would change is not known."
    yield (
        "All networks have as many steps and the same recipe, which was not chosen anew for each. Where a "
        "network is read otherwise than it was trained, a fall may be that alone: it does not tell what a "
        "network would have learnt to do without."
    )


def _rows(found: Findings) -> Iterator[tuple[Measured, str]]:
    for measured in found.ways:
        if measured.way in UNTRAINED_WAYS:
            yield measured, "of another" if measured.way == ELSEWHERE else "no training"
        else:
            yield measured, "trained so" if _SO.get(measured.way) else "read so"


def _measures(found: Findings) -> Html:
    rows: list[list[str | Cell]] = [
        [
            WAYS[each.way],
            how,
            number(each.seeds, "d"),
            number(each.ods, ".3f", each.intervals[0]),
            number(each.ois, ".3f", each.intervals[1]),
            number(each.average_precision, ".3f", each.intervals[2]),
            number(None, "") if each.less is None else number(each.less.mean, "+.3f", each.less.span),
        ]
        for each, how in _rows(found)
    ]
    heads = ("contours from", "how", "networks", "ODS, 95 %", "OIS", "AP", "known switches: ODS more by")
    return table(heads, rows, "Measures of each way")


def _beside(found: Findings) -> list[Beside]:
    """CEDN's numbers, and ours of the network that is most like it."""
    known = found.of(KNOWN)
    if known is None:
        return []
    settings = found.study.preset.settings
    what = "the given encoder" if settings.encoder else f"{settings.width} filters in the first stage, not 64"
    if settings.poolings < POOLINGS and not settings.elsewhere:
        what += f", and {settings.poolings} poolings, not {POOLINGS}"
    how = [what, f"{settings.steps:,} steps on BSDS500 alone, not on PASCAL’s contours before"]
    differences = [
        *(["fewer filters, and as few steps as its training elsewhere had"] if settings.elsewhere else how),
        f"photographs {settings.shrink} times smaller",
        "batches normalised, nothing left out in training, AdamW",
    ]
    if found.study.tested < found.study.available:
        differences.append(f"{found.study.tested} of the {found.study.available} test photographs")
    ours = {"ODS": (known.ods, known.intervals[0]), "OIS": (known.ois, known.intervals[1])}
    return [
        Beside(
            what=f"CEDN, BSDS500, {measure}",
            published=published,
            source=SOURCE,
            ours=ours[measure][0],
            interval=ours[measure][1],
            form=".3f",
            differences=differences,
            verdict=f"{published - ours[measure][0]:+.3f} more in the paper",
        )
        for measure, published in PUBLISHED.items()
    ]


def _pictures(found: Findings) -> Html:
    study, shown = found.study, []
    for name, caption in ((PHOTOGRAPHS, "the photographs"), (PEOPLE, "what people drew")):
        shown.append((study.picture(name), caption))
    for row in study.rows:
        if row.seed == 0:
            for way in row.counts:
                measured = found.of(way)
                told = "" if measured is None else f": ODS {found.seeds_of(way)[0]:.3f}"
                shown.append((study.picture(f"{row.kind}-{row.seed}.{way}"), f"{WAYS[way]}{told}"))
    figures = [
        figure(inline(path.read_bytes(), "image/png", caption), caption)
        for path, caption in shown
        if path.is_file()
    ]
    return joined(element("h2", "Pictures, of the first seed"), *figures)


def _method() -> Html:
    points = (
        "ODS: the best F-measure of precision and recall with one strength at which all contours are cut; "
        "OIS: with the best one of each photograph; AP: the area under precision over recall. Measured as "
        "BSDS500’s own software does, at the photographs’ own size. People against each other come to about "
        f"{PEOPLE_ODS:.2f}.",
        "Trained so: the network learnt under this condition. Read so: the network that was trained with "
        "known switches is given something else.",
        "Another photograph’s contours: what the network with known switches draws of another photograph, "
        "held against what people drew in this one. Of the way, by ODS: 0 % is that, 100 % what known "
        "switches reach.",
        *rules("brightness, which takes no network (then withheld), or than another photograph’s contours"),
        "Random: every window’s switch is any of its cells. Switches, no training: where switches begin to "
        "differ, without any decoder. Brightness: the gradient of the smoothed grey levels.",
        f"{WAYS[BILINEAR]}: as many parameters, planes widened by interpolation.",
    )
    return joined(
        element("h2", "What the numbers mean"), element("ul", *(element("li", point) for point in points))
    )


def _record(study: ContourStudy) -> dict[str, str]:
    trained, whole = (sum(row.seconds[place] for row in study.rows) for place in (0, 1))
    return {
        "photographs": f"{study.trained:,} to train on, {study.tested:,} to measure on",
        "settings": ", ".join(f"{name} {value}" for name, value in to_json(study.preset.settings).items()),
        "networks": f"{len(study.rows)}, trained for {trained:,.0f} s, {whole:,.0f} s with measuring",
    }


def _tabulate(found: Findings) -> Table:
    columns = (
        Column("way", "contours from", text=True),
        Column("how", "how", text=True),
        Column("networks", "networks"),
        Column("ods", "ODS", ".3f"),
        Column("ods", "95 % interval", ".3f", interval=True),
        Column("ois", "OIS", ".3f"),
        Column("ap", "AP", ".3f"),
        Column("known_more", "known more by", "+.3f"),
        Column("known_more", "95 % interval", "+.3f", interval=True),
    )
    rows = tuple(
        (
            WAYS[each.way], how, each.seeds, each.ods, each.intervals[0], each.ois, each.average_precision,
            None if each.less is None else each.less.mean, None if each.less is None else each.less.span,
        )
        for each, how in _rows(found)
    )  # fmt: skip
    return Table(f"Contours of {found.study.tested} test photographs", columns, rows)
