"""What `study swwae` tells: its verdict, and its page."""

from collections.abc import Iterator

from maxtunnel.data.labelled_sets import SETS
from maxtunnel.report.html import Cell, Html, details, element, figure, joined, number, table
from maxtunnel.report.pictures import inline
from maxtunnel.studies.page import Beside, Dot, beside_table, scatter
from maxtunnel.studies.report import Report
from maxtunnel.studies.swwae import STUDY, SwwaeStudy
from maxtunnel.studies.swwae_conclusions import (
    QUESTION,
    answer,
    comparisons,
    describe,
    kinds,
    learnt,
    standings,
    verdict,
)
from maxtunnel.studies.swwae_config import TERMS, UNPOOLINGS, Run
from maxtunnel.studies.swwae_reading import GIVEN
from maxtunnel.studies.swwae_tables import tabulate
from maxtunnel.studies.verdicts import Verdict
from maxtunnel.support.choices import RecipeName
from maxtunnel.support.records import to_json

_RECIPES: dict[RecipeName, str] = {
    "fast": "AdamW with a cosine",
    "paper": "gradient descent with momentum at a constant rate, as far as the paper's is known",
}


def report_of(study: SwwaeStudy) -> Report:
    """What the study tells."""
    body = (
        element("h2", "Errors"),
        *(_errors(study, labels) for labels in study.grid.labels),
        beside_table(_beside(study)),
        element("h2", "Does a good reconstruction mean that anything was learnt?"),
        *(_learnt(study, labels) for labels in study.grid.labels),
        _pictures(study),
        _method(study),
    )
    return Report(
        _verdict(study), study.folder, tuple(tabulate(study)), tuple(_notes(study)), body, _record(study)
    )


def _verdict(study: SwwaeStudy) -> Verdict:
    title = SETS[study.settings.set].title
    return Verdict(
        study=STUDY,
        title=f"What-where autoencoders on {title}: which term helps?",
        question="Zhao et al. train a classifier with few labels, and a decoder on it that is to rebuild the "
        "image (L2rec) and every plane in between (L2M). The paper under reproduction doubts the first term, "
        "as switches of random weights are enough for a good reconstruction, and asks:",
        quote=QUESTION,
        answers={
            f"{title}, {labels:,} labels, {UNPOOLINGS[unpooling]}": answer(study, labels, unpooling)
            for labels in study.grid.labels
            for unpooling in study.grid.unpoolings
        },
        sentences=(
            *verdict(study),
            *(text for labels in study.grid.labels for text in learnt(study, labels)),
        ),
        left_out=study.left_out,
        missing=study.missing,
        facts=study.facts,
    )


def _notes(study: SwwaeStudy) -> Iterator[str]:
    seeds = study.grid.seeds
    if seeds == 1:
        yield "One seed: there are no intervals, and nothing is decided."
    else:
        yield (
            f"Intervals are Student's over {seeds} seeds: they hold for other draws of weights, labels and "
            "order, on the same images. Comparisons are paired by seed; each is tested at 5 %, and there are "
            f"{sum(1 for _ in _all_comparisons(study))} of them."
        )
    yield (
        f"All networks have as many steps and the same recipe, {_RECIPES[study.settings.recipe]}, which was "
        f"not chosen anew for each; weights of the terms: {study.settings.l2rec:g} and "
        f"{study.settings.l2m:g}. Other weights may tell otherwise."
    )
    if study.settings.validate:
        yield "Measured on images that were held out of the training images, not on the test images."


def _all_comparisons(study: SwwaeStudy) -> Iterator[object]:
    for labels in study.grid.labels:
        for unpooling in study.grid.unpoolings:
            yield from comparisons(study, labels, unpooling)


def _errors(study: SwwaeStudy, labels: int) -> Html:
    rows: list[list[str | Cell]] = [
        [
            kind.name,
            number(kind.error.count, "d"),
            number(kind.error.mean, ".2%", kind.error.interval),
            *(number(kind.rebuilt[given], ".4f") for given in GIVEN),
            number(kind.own, ".4f"),
        ]
        for kind in kinds(study, labels)
    ]
    heads = ("", "seeds", "error", *(f"RMSE: {given}" for given in GIVEN), "RMSE: own decoder")
    return joined(
        element("h3", f"{labels:,} labels"),
        table(heads, rows, f"Errors and reconstructions with {labels} labels"),
        _differences(study, labels),
    )


def _differences(study: SwwaeStudy, labels: int) -> Html:
    words = {True: "less", False: "more", None: "not told apart"}
    rows: list[list[str | Cell]] = [
        [
            f"{describe(each.first, unpooling)} against {TERMS[each.second]}",
            number(each.difference.mean, "+.2%", each.difference.interval, between=" to "),
            words[each.less],
            number(each.difference.detectable, ".2%"),
        ]
        for unpooling in study.grid.unpoolings
        for each in comparisons(study, labels, unpooling)
    ]
    heads = ("difference of the errors", "in points, 95\N{NO-BREAK SPACE}%", "errs", "could have been seen")
    if not rows:
        return Html()
    return joined(
        element("p", "The same errors, one kind of network less another, seed by seed:"),
        table(heads, rows, f"Differences with {labels} labels"),
    )


def _beside(study: SwwaeStudy) -> list[Beside]:
    title = SETS[study.settings.set].title
    return [
        Beside(
            what=f"{title}, {_labels(each.published.labels)}, {each.published.what}",
            published=each.published.error,
            source=each.published.source,
            ours=each.ours.mean,
            interval=each.ours.interval,
            form=".2%",
            differences=each.differences,
            verdict=each.verdict,
        )
        for each in standings(study)
    ]


def _labels(count: int | None) -> str:
    """So many labels, in words."""
    return "all labels" if count is None else f"{count:,} labels"


def _learnt(study: SwwaeStudy, labels: int) -> Html:
    rows = [row for row in study.rows if row.labels in (labels, 0)]
    dots = [
        Dot(
            TERMS[row.method], row.rebuilt["both"], row.error,
            f"{describe(row.method, row.unpooling)}, seed {row.seed}: error {row.error:.2%}, "
            f"RMSE {row.rebuilt['both']:.4f}",
            square=row.method == "untrained",
        )
        for row in rows
    ]  # fmt: skip
    if not dots:
        return Html()
    return joined(
        element("h3", f"{labels:,} labels"),
        scatter(dots, "RMSE of a fresh decoder from features and switches", "error"),
    )


def _pictures(study: SwwaeStudy) -> Html:
    shown: dict[str, Html] = {}
    for labels in study.grid.labels:
        for method, unpooling in study.grid.kinds():
            run = Run(method, unpooling, 0 if method == "untrained" else labels, 0)
            path = study.folder / "runs" / f"{run.name}.png"
            # The decoder that draws them is the same for all: one kind of unpooling is enough to look at.
            if path.is_file() and unpooling in (None, study.grid.unpoolings[0]):
                caption = f"{describe(method, unpooling)}{f', {labels:,} labels' if run.labels else ''}"
                shown[run.name] = figure(
                    inline(path.read_bytes(), "image/png", caption, "mt-pixels"), caption
                )
    if not shown:
        return Html()
    rows = "the image; rebuilt from both; from switches alone; from features alone; from another's switches"
    return details(f"Pictures of seed 0; row by row {rows}.", *shown.values())


def _method(study: SwwaeStudy) -> Html:
    return joined(
        element("h2", "What the numbers mean"),
        element(
            "ul",
            element(
                "li",
                "Error: share of the images that are taken for another class. Difference: that of the first "
                "network less that of the second, seed by seed.",
            ),
            element(
                "li",
                "Could have been seen: how large the true difference had to be for four of five such studies "
                "to tell it from 0, with Student's test at 5 % and the spread that was found.",
            ),
            element(
                "li",
                "RMSE: of images rebuilt by a fresh decoder, the same for every network and trained as long, "
                "the encoder frozen; values in [0, 1]. It is given features and switches, or one of them, in "
                "turn. Own decoder: the one that was trained with the network. The mean image alone has "
                f"{study.mean_rmse:.4f}. It is a lower bound of what could be read.",
            ),
            element(
                "li",
                "Untrained: weights as they were drawn, so nothing was learnt; its error is what these "
                "happen to give.",
            ),
        ),
    )


def _record(study: SwwaeStudy) -> dict[str, str]:
    settings = to_json(study.settings)
    return {
        "images": f"{study.trained:,} to train on, {study.measured:,} to measure on",
        "settings": ", ".join(f"{name} {value}" for name, value in settings.items()),
        "networks": f"{len(study.rows)}, trained for {sum(row.seconds[0] for row in study.rows):,.0f} s, "
        f"{sum(row.seconds[1] for row in study.rows):,.0f} s with reading and measuring",
    }
