"""What `study segmentation` tells: its verdict, and its page."""

from collections.abc import Iterator

from maxtunnel.report.classes import legend_list
from maxtunnel.report.html import Cell, Html, element, figure, joined, number, table
from maxtunnel.report.pictures import inline
from maxtunnel.studies.dense_conditions import Condition
from maxtunnel.studies.dense_verdicts import rules
from maxtunnel.studies.page import Beside, beside_table
from maxtunnel.studies.published import SEGNET_CAMVID, PublishedSegmentation
from maxtunnel.studies.report import Report
from maxtunnel.studies.seeds import Value
from maxtunnel.studies.segmentation import STUDY, SegmentationStudy
from maxtunnel.studies.segmentation_conclusions import (
    BILINEAR,
    KNOWN,
    MEASURES,
    QUOTE,
    Conclusions,
    conclude,
    verdict,
)
from maxtunnel.studies.segmentation_data import TITLES
from maxtunnel.studies.segmentation_tables import USUAL, WORDS, tabulate, there
from maxtunnel.studies.verdicts import Verdict
from maxtunnel.support.choices import DenseUnpooling
from maxtunnel.support.records import to_json

_ABOUT: dict[str, str] = {
    "switches-known": "trained so: the decoder is given features and switches",
    "fixed-known": "trained so, features only: every value goes to its window’s first cell",
    "bilinear-known": "trained so, with as many parameters: planes are widened by interpolation",
    "alone-constant": "decoder trained so, on the encoder of known switches; a learnt constant for features",
    "untrained-constant": "decoder trained so, on an encoder of random weights; a learnt constant",
    "switches-fixed": "read so: features only, by a network that learnt with switches",
    "switches-other": "read so: its features, the switches of another image",
    "switches-constant": "read so: its switches, the mean of the features over all training images",
}
_CONDITIONS: dict[DenseUnpooling, Condition] = {"switches": KNOWN, "bilinear": BILINEAR}
_NEAR = 0.01  # of a published mean IoU: a point


def report_of(study: SegmentationStudy) -> Report:
    """What the study tells."""
    found = conclude(study)
    body = (
        _reached(found),
        _gains(found),
        beside_table(list(_beside(found))),
        _classes(found),
        _pictures(found),
        _method(study),
    )
    return Report(
        _verdict(found), study.folder, tuple(tabulate(found)), tuple(_notes(study)), body, _record(study)
    )


def _verdict(found: Conclusions) -> Verdict:
    study, title = found.study, TITLES[found.study.settings.set]
    return Verdict(
        study=STUDY,
        title=f"Segmentation on {title}: how much comes through the switches?",
        question="Networks that unpool by their encoder's switches are how segmentation with max unpooling "
        "is known: DeconvNet and SegNet. The paper under reproduction concludes what stands below. Here "
        "the same network is trained with known switches, with fixed ones, and with bilinear upsampling in "
        "unpooling's place; decoders are trained on switches alone; and all are measured on the same "
        "images.",
        quote=QUOTE,
        answers={
            f"{title}: works so well because of the switches": found.because,
            f"{title}: all that is spatial is in the switches": found.completely,
        },
        sentences=tuple(verdict(found)),
        left_out=study.left_out,
        missing=study.missing,
        facts=study.facts,
    )


def _notes(study: SegmentationStudy) -> Iterator[str]:
    seeds = study.grid.seeds
    if seeds == 1:
        yield (
            "One training of each kind: intervals are over images, and hold for these trainings alone. "
            "Another draw of the weights may tell otherwise."
        )
    else:
        yield (
            "Intervals in brackets are over images; what is told apart is so over images and, by Student’s "
            f"t, over {seeds} trainings of each kind."
        )
    yield (
        "All networks have as many steps and the same recipe, which was not chosen anew for each; no weights "
        "are taken from a network that was trained on other images."
    )
    yield (
        "What switches alone reach is a lower bound: another decoder, or a longer training, may read more. "
        "The switches of a trained encoder say what it looked for; those of random weights do not."
    )


def _value(value: Value, form: str = ".1%", between: str = "–") -> Cell:
    return number(value.mean, form, value.images, between=between)


def _reached(found: Conclusions) -> Html:
    rows: list[list[str | Cell]] = [
        [
            Cell(condition.name, _ABOUT[condition.key]),
            *(_value(found.numbers.value(condition, measure)) for measure in MEASURES),
        ]
        for condition in there(found)
    ]
    rows.append([USUAL, *(_value(found.numbers.value(None, measure)) for measure in MEASURES)])
    return joined(
        element("h2", "What each condition reaches"),
        table(("", *MEASURES.values()), rows, "Accuracies under each condition"),
    )


def _gains(found: Conclusions) -> Html:
    if not found.numbers.has(KNOWN):
        return Html()
    rows: list[list[str | Cell]] = []
    for condition in there(found)[1:]:
        iou, near = (
            found.numbers.difference(KNOWN, condition, measure) for measure in ("mean_iou", "near_borders")
        )
        share = found.numbers.share(condition)
        rows.append(
            [
                condition.name,
                _value(iou, "+.1%", " to "),
                number(None if iou.seeds.interval is None else iou.seeds.mean, "+.1%", iou.seeds.interval),
                WORDS[iou.more],
                _value(near, "+.1%", " to "),
                number(None, "") if share is None else number(share.mean, ".0%", share.span, between=" to "),
            ]
        )
    heads = (
        "known switches against", "mean IoU, over images", "over trainings", "known ones are",
        "near borders, over images", "it comes so far of the way",
    )  # fmt: skip
    return joined(
        element("h2", "What known switches gain"), table(heads, rows, "Known switches against the others")
    )


def _classes(found: Conclusions) -> Html:
    shown = [condition for condition in there(found) if condition.so]
    values = [found.numbers.class_iou(condition) for condition in (*shown, None)]
    rows: list[list[str | Cell]] = [
        [name, *(number(None if value != value else value, ".1%") for value in each)]
        for name, *each in zip(found.study.class_names, *values, strict=True)
    ]
    heads = ("", *(condition.name for condition in shown), USUAL)
    return joined(element("h2", "IoU class by class"), table(heads, rows, "IoU of every class"))


def _pictures(found: Conclusions) -> Html:
    folder, study = found.study.folder / "runs", found.study
    shown = [("images", "images, and what is to be found in them")]
    shown += [(f"{condition.trained}-0-{condition.given}", condition.name) for condition in there(found)]
    figures = [
        figure(inline(path.read_bytes(), "image/png", caption, "mt-pixels"), caption)
        for name, caption in shown
        if (path := folder / f"{name}.png").is_file()
    ]
    return joined(element("h2", "Pictures"), legend_list(len(study.class_names), study.class_names), *figures)


def _beside(found: Conclusions) -> Iterator[Beside]:
    if found.study.settings.set != "camvid":
        return
    for published in SEGNET_CAMVID:
        condition = _CONDITIONS[published.unpooling]
        if found.numbers.has(condition):
            ours = found.numbers.value(condition, "mean_iou")
            yield Beside(
                what=f"CamVid, {published.what}",
                published=published.mean_iou,
                source=published.source,
                ours=ours.mean,
                interval=ours.images,
                form=".1%",
                differences=tuple(_differences(found.study, published)),
                verdict=_standing(ours, published),
            )


def _standing(ours: Value, published: PublishedSegmentation) -> str:
    gap = ours.mean - published.mean_iou
    if abs(gap) <= _NEAR:
        return "within a point"
    return f"{100 * abs(gap):.1f} points {'higher' if gap > 0 else 'lower'}"


def _differences(study: SegmentationStudy, published: PublishedSegmentation) -> Iterator[str]:
    settings = study.settings
    rows = [row for row in study.rows if row.trained == _CONDITIONS[published.unpooling].trained]
    if abs(rows[0].parameters / published.parameters - 1) > _NEAR:
        yield f"{rows[0].parameters:,} parameters, not {published.parameters:,}"
    if settings.size != (360, 480):
        yield f"images of {settings.size[1]}x{settings.size[0]}, not 480x360"
    if study.trained != published.images:
        yield f"{study.trained:,} images to train on, not {published.images:,}"
    yield f"our optimiser, and {settings.steps:,} steps of {settings.batch} images; no validation images"
    if settings.images is not None:
        yield f"{study.measured:,} of the 233 test images"


def _method(study: SegmentationStudy) -> Html:
    lines = (
        "Mean IoU: of each class, pixels that are of it and were found so by those that are or were; mean "
        "over classes. Class accuracy: share of the pixels of each class that was found, mean over "
        "classes. Global accuracy: share of all pixels. All are of the pixels of all images together; void "
        "counts nowhere.",
        f"Accuracy near borders: share of the pixels at most {study.settings.band} from another class that "
        "was found. There it shows best whether a place is known.",
        "Intervals over images: 95 %, by drawing images with replacement, the same ones for all networks. "
        "Over trainings: Student’s t, paired by seed.",
        f"{USUAL.capitalize()}: every image gets the class that each place has most often among the training "
        "images. How far of the way: 0 % is that, 100 % what known switches reach, by mean IoU.",
        *rules("the usual classes"),
        "Another image’s switches: those of the image half the set further on, of another scene.",
    )
    return joined(
        element("h2", "What the numbers mean"), element("ul", *(element("li", line) for line in lines))
    )


def _record(study: SegmentationStudy) -> dict[str, str]:
    rows = study.rows
    parameters = ", ".join(f"{row.trained} {row.parameters:,}" for row in rows if row.seed == 0)
    return {
        "images": f"{study.trained:,} to train on, {study.measured:,} to measure on",
        "settings": ", ".join(f"{name} {value}" for name, value in to_json(study.settings).items()),
        "parameters": parameters,
        "networks": f"{len(rows)}, trained for {sum(row.seconds[0] for row in rows):,.0f} s, "
        f"{sum(row.seconds[1] for row in rows):,.0f} s with reading and measuring",
    }
