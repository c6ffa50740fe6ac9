"""What `study transplant` tells: its verdict, and its page."""

from collections.abc import Iterator

from maxtunnel.report.html import Cell, Html, details, element, figure, joined, number, table
from maxtunnel.report.pictures import inline
from maxtunnel.studies.page import Dot, scatter
from maxtunnel.studies.report import Report
from maxtunnel.studies.seeds import Estimate
from maxtunnel.studies.transplant import STUDY, TransplantStudy, picture_name
from maxtunnel.studies.transplant_conclusions import QUOTE, answers, verdict, words
from maxtunnel.studies.transplant_config import KINDS
from maxtunnel.studies.transplant_data import EDITS
from maxtunnel.studies.transplant_pictures import edit_rows, pair_rows
from maxtunnel.studies.transplant_run import Shown
from maxtunnel.studies.transplant_tables import COMMONS, all_came, all_kept, all_moved, tabulate, told
from maxtunnel.studies.verdicts import Verdict
from maxtunnel.support.records import to_json


def report_of(study: TransplantStudy) -> Report:
    """What the study tells."""
    body = (_safe(study), _pairs(study), _edits(study), _pictures(study), _method())
    return Report(
        _verdict(study), study.folder, tuple(tabulate(study)), tuple(_notes(study)), body, _record(study)
    )


def _verdict(study: TransplantStudy) -> Verdict:
    return Verdict(
        study=STUDY,
        title="Features of one image, switches of another: which comes out?",
        question="Yim and others turn faces by networks: an image and a code of the pose go in, the turned "
        "face comes out. Where an image is to be changed in a feature space and then drawn, what do max "
        "pooling's switches do to the change: whose image comes out where features of one meet switches of "
        "another, and how much of an edit of features arrives? The paper under reproduction says",
        quote=QUOTE,
        answers=answers(study),
        sentences=tuple(verdict(study)),
        left_out=study.left_out,
        missing=study.missing,
        facts=study.facts,
    )


def _notes(study: TransplantStudy) -> Iterator[str]:
    seeds = study.grid.seeds
    networks = f"these {seeds} networks" if seeds > 1 else "this one network"
    yield (
        f"Intervals are Student's, of pairs over {study.pairs} pairs and of edits over {study.people} "
        f"people, for {networks} of each kind. Pairs of one person are taken for independent, which they are "
        "not wholly."
    )
    yield (
        "The two images that a way leads between are rebuilt by the same network: a network that rebuilds "
        "badly may still go all of the way. RMSE and pictures say how well it rebuilds."
    )
    if study.lit and not any(row.edits for row in study.rows):
        lights = ", ".join(f"{old} to {new}" for old, new in EDITS)
        yield (
            "No light was moved: of no change of light that is tried has every folder that is tested on both "
            f"({lights}), and one that was trained on too."
        )
    if not study.lit:
        yield "Nothing is known of these images but their folders, so there is no arithmetic of an attribute."
    if study.ignored:
        yield f"{study.ignored} images whose names say no direction of light were left out."


def _estimate(found: Estimate, form: str, between: str = "–") -> Cell:
    return number(found.mean, form, found.interval, between=between)


def _safe(study: TransplantStudy) -> Html:
    rows: list[list[str | Cell]] = [
        [
            title, kept.levels, number(kept.share, ".0%"), _estimate(kept.way, ".0%", " to "),
            _estimate(kept.nearer, "+.3f", " to "), told(kept.safe),
        ]
        for title, kept in all_kept(study)
    ]  # fmt: skip
    if not rows:
        return Html()
    heads = (
        "the edit, and what stands elsewhere",
        "switches kept on",
        "of all",
        "arrives",
        "nearer by",
        "safe",
    )
    dots = [
        Dot(title, 100 * kept.share, 100 * kept.way.mean, f"{title}, kept on {kept.levels}")
        for title, kept in all_kept(study)
    ]
    return joined(
        element("h2", "When editing in feature space is safe"),
        scatter(dots, "switches kept from the original, %", "of the edit arrives, %"),
        table(heads, rows, "When editing in feature space is safe"),
    )


def _pairs(study: TransplantStudy) -> Html:
    rows: list[list[str | Cell]] = [
        [
            title, _estimate(one.way, ".0%", " to "), _estimate(one.aside, ".0%"),
            _estimate(one.to_what, ".3f"), _estimate(one.to_where, ".3f"), number(one.nearer.mean, ".0%"),
        ]
        for _, _, title, one in all_came(study)
    ]  # fmt: skip
    if not rows:
        return Html()
    heads = (
        "switches of ... on levels", "of the way", "aside", "RMSE to the features’", "to the switches’",
        "nearer to that",
    )  # fmt: skip
    return joined(
        element("h2", "Features of one image, switches of another"),
        table(heads, rows, "Features of one image, switches of another"),
    )


def _edits(study: TransplantStudy) -> Html:
    rows: list[list[str | Cell]] = [
        [
            title, _estimate(one.way, ".0%", " to "), _estimate(one.aside, ".0%"),
            _estimate(one.rmse, ".3f"), _estimate(one.sharpness, ".0%"),
        ]
        for _, _, title, one in all_moved(study)
    ]  # fmt: skip
    if not rows:
        return Html()
    heads = ("edit", "of the way", "aside", "RMSE to the photograph", "sharpness")
    return joined(element("h2", "Light that is moved"), table(heads, rows, "Light that is moved"))


def _pictures(study: TransplantStudy) -> Html:
    shown = []
    pairs = ", ".join(words(study, common) for common in COMMONS if study.lit or common != "light")
    for run in study.grid.runs():
        levels = study.settings.levels if run.kind == "switches" else 0
        captions: dict[Shown, str] = {
            "pairs": f"Pairs ({pairs}), row by row: whose features are taken; whose switches; "
            + "; ".join(pair_rows(levels).values()),
            "edits": "Light that is moved, row by row: the photograph in the old light; in the new light; "
            + "; ".join(edit_rows(levels).values()),
        }
        for what, rows in captions.items():
            path = study.folder / "runs" / f"{picture_name(run, what)}.png"
            if run.seed == 0 and path.is_file():
                caption = f"{KINDS[run.kind]}. {rows}"
                shown.append(figure(inline(path.read_bytes(), "image/png", caption, "mt-pixels"), caption))
    return details("Pictures of seed 0.", *shown) if shown else Html()


def _method() -> Html:
    items = (
        "Of the way: from one image, 0 %, to the other, 100 %, both rebuilt from their own features and "
        "switches: how far what was drawn lies on the line between them; it may lie beyond.",
        "Aside: its distance from this line, by the length of the way.",
        "Nearer: whether the mean squared error to the photograph whose switches were taken is the smaller.",
        "Arrives: how far an edit goes from the original’s image to its goal’s. Of features of another "
        "image of the folder, what is left of the way to the original, whose switches are kept.",
        "Nearer by: how much smaller the RMSE to the goal is than without the edit; of features of another "
        "image, than that to the original.",
        "Safe: the interval of what arrives lies above half of the way, and that of “nearer by” above 0. Not "
        "safe: one of them lies below. Otherwise it is not told.",
        "Light by arithmetic: to the features of a person the mean difference between both lights is added, "
        "over people that the networks were trained on. The goal is the person’s photograph in that light.",
        "Sharpness: energy of the differences of neighbouring pixels by that of this photograph.",
    )
    return joined(
        element("h2", "What the numbers mean"), element("ul", *(element("li", item) for item in items))
    )


def _record(study: TransplantStudy) -> dict[str, str]:
    training, whole = (sum(row.seconds[place] for row in study.rows) for place in (0, 1))
    settings = to_json(study.settings)
    return {
        "images": f"{study.trained:,} to train on, {study.tested:,} of {study.people} other folders to test",
        "settings": ", ".join(f"{name} {value}" for name, value in settings.items()),
        "networks": f"{len(study.rows)}, trained for {training:,.0f} s, {whole:,.0f} s with all measuring",
    }
