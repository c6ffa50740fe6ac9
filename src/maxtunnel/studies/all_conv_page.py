"""What `study all-conv` tells: its verdict, and its page."""

from collections.abc import Iterator

from maxtunnel.auditing.config import DEFAULTS
from maxtunnel.report.html import Cell, Html, details, element, figure, joined, number, table
from maxtunnel.report.pictures import inline
from maxtunnel.studies.all_conv import STUDY, AllConvStudy
from maxtunnel.studies.all_conv_conclusions import (
    QUOTE,
    differences,
    errors_of,
    kinds,
    out_of_order,
    places,
    share_of,
    standing,
    title_of,
    verdict,
)
from maxtunnel.studies.all_conv_config import GIVEN
from maxtunnel.studies.all_conv_tables import WORDS, groups, tabulate
from maxtunnel.studies.page import Beside, beside_table
from maxtunnel.studies.recon_dec_conclusions import Share, rmse
from maxtunnel.studies.report import Report
from maxtunnel.studies.verdicts import Verdict
from maxtunnel.support.records import to_json

_CHANCE = 0.88  # of ten classes of as many images 0.9 is chance


def report_of(study: AllConvStudy) -> Report:
    """What the study tells."""
    body = (
        _networks(study), beside_table(_beside(study)), _places(study), _readings(study), _pictures(study),
        _method(),
    )  # fmt: skip
    return Report(
        _verdict(study), study.folder, tuple(tabulate(study)), tuple(_notes(study)), body, _record(study)
    )


def _verdict(study: AllConvStudy) -> Verdict:
    errs = {True: "errs less", False: "errs more", None: "not told apart"}
    answers = {f"place {each.place} of {each.base}": str(each.answer) for each in places(study)}
    for each in differences(study):
        first, second = title_of(each.base, each.first), title_of(each.base, each.second)
        answers[f"error of {first} against {second}"] = errs[each.less]
    return Verdict(
        study=STUDY,
        title="A network without pooling: is it the cure?",
        question="A network whose planes are halved by convolutions of stride 2 has no switches that could "
        "be handed on. Does it give away less, and does it cost accuracy? Networks with and without pooling "
        "are trained alike, and a strong reader is given what is behind each place where a plane is halved. "
        "The paper under reproduction begins its related work with",
        quote=QUOTE,
        answers=answers,
        sentences=tuple(verdict(study)),
        left_out=study.left_out,
        missing=study.missing,
        facts=study.facts,
    )


def _notes(study: AllConvStudy) -> Iterator[str]:
    settings, seeds = study.settings, study.grid.seeds
    yield from out_of_order(study)
    stuck = [
        f"{kind.name}, seed {row.seed}" for kind in kinds(study) for row in kind.rows if row.error > _CHANCE
    ]
    if stuck:
        yield f"Learnt nothing, so that nothing is to be concluded from them: {'; '.join(stuck)}."
    yield (
        f"All networks have {settings.steps:,} steps of {settings.batch} images and one recipe, which was "
        "not chosen anew for each; a step of one with more multiplications takes longer. Of errors intervals "
        f"are Student's over {seeds} {'seeds' if seeds > 1 else 'seed, so there are none'}."
    )
    yield (
        f"What a reader explains is a lower bound: one of more than {settings.reader_steps:,} steps may read "
        "more. Its intervals are over images; where there are several networks, errors are their mean."
    )
    falling = sum(row.still_falling for row in study.readings)
    if falling:
        yield (
            f"The error of {falling} of {len(study.readings)} readers still fell when their training ended."
        )
    if settings.validate:
        yield "Measured on images that were held out of the training images, not on the test images."


def _share(share: Share, form: str = ".1%", between: str = "–") -> Cell:
    return number(share.value, form, share.interval, between=between)


def _networks(study: AllConvStudy) -> Html:
    rows: list[list[str | Cell]] = [
        [
            kind.name,
            number(kind.rows[0].weights, ",d"),
            number(kind.rows[0].multiplications / 1e6, ",.1f", unit=" M"),
            number(kind.error.count, "d"),
            number(kind.error.mean, ".2%", kind.error.interval),
        ]
        for kind in kinds(study)
    ]
    compared: list[list[str | Cell]] = [
        [
            f"{title_of(each.base, each.first)} less {title_of(each.base, each.second)}",
            number(each.error.mean, "+.2%", each.error.interval, between=" to "),
            WORDS[each.less],
            number(each.error.detectable, ".2%"),
        ]
        for each in differences(study)
    ]
    if not rows:
        return Html()
    heads = ("", "weights", "multiplications", "seeds", "error")
    beside = ("difference of the errors", "in points, 95 %", "errs", "could have been seen")
    return joined(
        element("h2", "Errors at equal steps"),
        table(heads, rows, "Errors of the networks"),
        table(beside, compared, "Differences of the errors, paired by seed") if compared else Html(),
    )


def _beside(study: AllConvStudy) -> list[Beside]:
    found = []
    for kind in kinds(study):
        stands = standing(study, kind)
        if stands is not None:
            published, unlike, told = stands
            found.append(
                Beside(
                    published.what, published.error, published.source, kind.error.mean, kind.error.interval,
                    ".2%", unlike, told,
                )
            )  # fmt: skip
    return found


def _places(study: AllConvStudy) -> Html:
    rows: list[list[str | Cell]] = [
        [
            f"place {each.place} of {each.base}",
            *(_share(each.pooled[given]) for given in ("switches", "features", "both")),
            _share(each.strided),
            _share(each.more, "+.1%", " to "),
            _share(each.moved, "+.1%", " to "),
            _share(each.whole, "+.1%", " to "),
            each.answer,
        ]
        for each in places(study)
    ]
    if not rows:
        return Html()
    heads = (
        "", "ConvPool-CNN: switches", "its features", "both", "All-CNN: features", "switches less All-CNN",
        "All-CNN less features", "both less All-CNN", "All-CNN is",
    )  # fmt: skip
    return joined(
        element("h2", "What is read behind each place"),
        table(heads, rows, "Share of the variance that is explained"),
    )


def _readings(study: AllConvStudy) -> Html:
    rows: list[list[str | Cell]] = [
        ["the mean image", "", number(None, ""), _share(rmse(study.of_mean), ".4f"), number(0.0, ".1%"), ""]
    ]
    for name, found in groups(study):
        other = rmse(errors_of(found, "all").tolist()).value
        rows.append(
            [
                name,
                number(len(found), "d"),
                number(found[0].bits, ",.0f"),
                _share(rmse(errors_of(found).tolist()), ".4f"),
                _share(share_of(study, found)),
                number(other, ".4f"),
            ]
        )
    heads = ("", "seeds", "bits of switches", "RMSE", "explained", "RMSE: of another image")
    return joined(element("h2", "All readers"), table(heads, rows, "Readers of both networks"))


def _pictures(study: AllConvStudy) -> Html:
    shown = []
    for run in study.grid.readings():
        path = study.folder / "runs" / f"{run.name}.png"
        if run.seed == 0 and path.is_file():
            state = "" if run.trained else "untrained "
            caption = f"{state}{title_of(run.base, run.variant)}, place {run.place}, {GIVEN[run.given]}"
            shown.append(figure(inline(path.read_bytes(), "image/png", caption, "mt-pixels"), caption))
    return details("Pictures: images, and below them what is rebuilt.", *shown) if shown else Html()


def _method() -> Html:
    return joined(
        element("h2", "What the numbers mean"),
        element(
            "ul",
            element(
                "li",
                "Place: where a plane is halved, by 3x3 max pooling of stride 2 in ConvPool-CNN, by a 3x3 "
                "convolution of stride 2 with a ReLU in All-CNN. Both have the same weights.",
            ),
            element(
                "li",
                "Explained: 1 - MSE / MSE of the mean image, of images that neither network nor reader has "
                "seen. Readers are those of an audit: all have the same layers, order and steps, and "
                "differ in what they are given: the switches up to a place, the features behind it, or both.",
            ),
            element(
                "li",
                "All-CNN is a cure where its features tell less than the switches of ConvPool-CNN did, and "
                "no more than the features behind pooling; a cure in part where they tell less than the "
                "switches, but more than those features; none where they tell more than the switches. "
                f"Withheld: readers had fewer than {DEFAULTS.least_steps} steps, or a control is out of "
                "order.",
            ),
            element(
                "li",
                "Random switches: drawn anew for each image; fixed ones: each that of its window’s first "
                "cell. Readers of these know nothing, and must not come below the mean image’s error.",
            ),
        ),
    )


def _record(study: AllConvStudy) -> dict[str, str]:
    trained = sum(row.seconds for row in study.networks)
    read = sum(row.seconds for row in study.readings)
    return {
        "images": f"{study.trained:,} to train on, {study.measured:,} to measure on",
        "settings": ", ".join(f"{name} {value}" for name, value in to_json(study.settings).items()),
        "networks": f"{len(study.networks)}, trained for {trained:,.0f} s",
        "readers": f"{len(study.readings)}, trained for {read:,.0f} s",
    }
