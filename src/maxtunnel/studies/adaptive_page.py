"""What `study adaptive` tells: its verdict, and its page."""

from collections.abc import Iterator

from maxtunnel.report.html import Cell, Html, details, element, figure, joined, number, table
from maxtunnel.report.pictures import inline
from maxtunnel.studies.adaptive import STUDY, AdaptiveStudy, maps_name
from maxtunnel.studies.adaptive_conclusions import (
    PUBLISHED,
    QUOTE,
    SOURCE,
    accuracies,
    answer,
    comparisons,
    standing,
    verdict,
)
from maxtunnel.studies.adaptive_config import POOLINGS
from maxtunnel.studies.adaptive_reading import GIVEN
from maxtunnel.studies.adaptive_tables import all_came, tabulate, words
from maxtunnel.studies.page import Beside, beside_table
from maxtunnel.studies.report import Report
from maxtunnel.studies.seeds import Estimate
from maxtunnel.studies.verdicts import Verdict
from maxtunnel.support.records import to_json


def report_of(study: AdaptiveStudy) -> Report:
    """What the study tells."""
    body = (
        _differences(study), _readings(study), beside_table(_beside(study)), _layers(study), _pictures(study),
        _method(),
    )  # fmt: skip
    return Report(
        _verdict(study), study.folder, tuple(tabulate(study)), tuple(_notes(study)), body, _record(study)
    )


def _verdict(study: AdaptiveStudy) -> Verdict:
    return Verdict(
        study=STUDY,
        title="Adaptive deconvolutional networks: what do the switches carry?",
        question="Zeiler, Taylor and Fergus infer layers of sparse features, each of which rebuilds the "
        "image itself through the switches of all layers below. They are quoted with max pooling being "
        "crucial to sharp reconstructions. Is it, against averages, and how much of what is rebuilt is in "
        "the switches? Of their networks the paper under reproduction says",
        quote=QUOTE,
        answers={"max pooling is crucial to sharpness": answer(study)} if study.rows else {},
        sentences=tuple(verdict(study)),
        left_out=study.left_out,
        missing=study.missing,
        facts=study.facts,
    )


def _notes(study: AdaptiveStudy) -> Iterator[str]:
    seeds = study.grid.seeds
    networks = f"these {seeds} networks" if seeds > 1 else "this one network"
    yield (
        f"Intervals of what images become are Student's over {study.settings.held} images, for {networks} "
        "of each kind; those of accuracies are over seeds, and there are none with one seed."
    )
    yield (
        "The switches of boxes whose feature is 0 say so by being those of the first cell: what is drawn "
        "from switches alone knows a little of which features are 0."
    )
    yield (
        "What switches explain without the features is a lower bound, of constants and of one layer's "
        "filters that were learnt for it; a decoder of several layers may read more."
    )


def _estimate(found: Estimate | None, form: str = ".1%", between: str = "–") -> Cell:
    if found is None:
        return number(None, form)
    return number(found.mean, form, found.interval, between=between)


def _differences(study: AdaptiveStudy) -> Html:
    told = {True: "sharper, and leaves less", False: "not better", None: "not told apart"}
    rows: list[list[str | Cell]] = [
        [
            f"layer {each.layer}",
            _estimate(each.sharpness, "+.1%", " to "),
            _estimate(each.left, "+.1%", " to "),
            number(each.ratio, ".0%"),
            told[each.better],
        ]
        for each in comparisons(study)
    ]
    if not rows:
        return Html()
    heads = ("", "sharpness, in points", "left over, in points", "averages keep of it", "max pooling is")
    return joined(
        element("h2", "Max pooling less average pooling"),
        table(heads, rows, "Max pooling less average pooling, image by image"),
    )


def _readings(study: AdaptiveStudy) -> Html:
    rows: list[list[str | Cell]] = [
        [
            words(pooling, layer, given), _estimate(one.left), _estimate(one.sharpness),
            _estimate(one.explained), _estimate(one.other),
        ]
        for pooling, layer, given, one in all_came(study)
    ]  # fmt: skip
    if not rows:
        return Html()
    heads = ("drawn from", "left over", "sharpness", "explained", "of the other image")
    return joined(element("h2", "What images become"), table(heads, rows, "What images become"))


def _beside(study: AdaptiveStudy) -> list[Beside]:
    stands = standing(study)
    if stands is None:
        return []
    ours, unlike, told = stands
    what = "Caltech-101, 30 images a class, accuracy"
    return [Beside(what, PUBLISHED, SOURCE, ours.mean, ours.interval, ".1%", unlike, told)]


def _layers(study: AdaptiveStudy) -> Html:
    rows: list[list[str | Cell]] = [
        [POOLINGS[pooling], "all layers" if name == "all" else f"layer {name}", _estimate(right)]
        for pooling in study.grid.poolings
        for name, right in accuracies(study, pooling).items()
    ]
    if not rows:
        return Html()
    return joined(
        element("h2", "What a linear classifier gets right"),
        table(("", "features of", "right"), rows, "Accuracy of a linear classifier"),
    )


def _pictures(study: AdaptiveStudy) -> Html:
    shown = []
    layers = len(study.settings.maps)
    for run in study.grid.runs():
        below = [f"layer {layer}" for layer in range(1, layers + 1)]
        if run.pooling == "max":
            below += [f"layer {layers}, {GIVEN[given]}" for given in GIVEN if given != "both"]
        captions = {
            run.name: f"{POOLINGS[run.pooling]}, row by row: images; {'; '.join(below)}",
            maps_name(
                run
            ): f"{POOLINGS[run.pooling]}: what each map's strongest feature draws, a row a layer",
        }
        for name, caption in captions.items():
            path = study.folder / "runs" / f"{name}.png"
            if run.seed == 0 and path.is_file():
                shown.append(figure(inline(path.read_bytes(), "image/png", caption, "mt-pixels"), caption))
    return details("Pictures of seed 0.", *shown) if shown else Html()


def _method() -> Html:
    items = (
        "Left over: squared error by the energy of the image, whose local contrast is normalised: 0 % for "
        "the image itself, 100 % for nothing.",
        "Sharpness: energy of the differences of neighbouring pixels by that of the image’s.",
        "Explained: share of the image’s energy that the best multiple of what was drawn explains; 0 % "
        "where it is its negative. So it does not matter how strong other switches make it.",
        "Constant features: each the mean of its map, all by one factor that suits the images that were "
        "learnt on. Filters learnt for them: the layer’s filters found anew for features that are all 1.",
        "Another’s switches: those of an image half the list further on, on all layers.",
        "Accuracy: mean over classes of the share of test images that a linear support vector machine gets "
        "right, by the largest magnitude of every map in a pyramid of 1, 4 and 16 parts.",
    )
    return joined(
        element("h2", "What the numbers mean"), element("ul", *(element("li", item) for item in items))
    )


def _record(study: AdaptiveStudy) -> dict[str, str]:
    settings = to_json(study.settings)
    learning, whole = (sum(row.seconds[place] for row in study.rows) for place in (0, 1))
    return {
        "images": f"{study.classes} classes, {study.labelled:,} images to learn on, {study.tested:,} to test",
        "settings": ", ".join(f"{name} {value}" for name, value in settings.items()),
        "networks": f"{len(study.rows)}, learnt for {learning:,.0f} s, {whole:,.0f} s with all measuring",
    }
