"""The result as one page that can be mailed: no network, no scripts, pictures inside."""

from collections.abc import Sequence
from pathlib import Path

from maxtunnel.protection.conclusions import save, verdict, warnings
from maxtunnel.protection.outcome import Line, Protection
from maxtunnel.protection.weights import how_to_load
from maxtunnel.report import svg
from maxtunnel.report.html import Cell, Html, element, facts, figure, joined, number, page, table
from maxtunnel.report.pictures import inline, jpeg, strip
from maxtunnel.support.files import replacing
from maxtunnel.support.records import to_json


def write_report(result: Protection, out: str | Path) -> Path:
    """Write OUT/protect.html and OUT/protect.json; the page's path."""
    out = Path(out)
    save(result, out / "protect.json")
    with replacing(out / "protect.html") as temporary:
        temporary.write_text(protection_page(result, out), encoding="utf-8")
    return out / "protect.html"


def protection_page(result: Protection, out: Path) -> str:
    """The HTML; files are named as they lie in `out`."""
    return page(
        f"{result.target}, fine-tuned so that its pooling indices tell less",
        "audit",
        Html(
            "<p>A max-pooling layer keeps the largest value of each small window. Its <em>indices</em> "
            "(switches) say <em>where</em> in the window that value was, and whoever sees them can rebuild "
            "much of a photograph. The model was fine-tuned to keep its outputs while a reader that was "
            "trained against it at the same time rebuilt as little as possible; then a fresh reader, "
            "trained from nothing, read what was left.</p>"
        ),
        element("p", " ".join(verdict(result)), class_="mt-verdict"),
        _picture(result, "originals", "Photographs that nothing was trained on."),
        _picture(result, "original", "Rebuilt from the switches of the original."),
        *(
            _picture(result, line.name, f"By a fresh reader from those of {line.name}.")
            for line in result.models
        ),
        _warnings(result),
        element("h2", "What it gains and costs"),
        _table(result),
        _points(result),
        _training(result),
        _files(result, out),
        _method(),
        _record(result),
        mark=svg.COLOURS[0],
    )


def _picture(result: Protection, key: str, caption: str) -> Html:
    if key not in result.pictures:
        return Html()
    return figure(inline(jpeg(strip(result.pictures[key])), "image/jpeg", caption), caption)


def _warnings(result: Protection) -> Html:
    items = element("ul", *(element("li", text) for text in warnings(result)))
    return element("div", element("p", element("b", "Before you trust a number")), items, class_="mt-box")


def _table(result: Protection) -> Html:
    head = ["", "bits, at most", "switches alone: RMSE", "explained", "outputs lost"]
    head += ["metric", "its change"] if result.has_metric else []
    lines = [_cells(line, result.has_metric) for line in result.lines]
    return table(head, lines, "Leak and loss of every model and mitigation", main=0)


def _cells(line: Line, metric: bool) -> list[str | Cell]:
    leak = (
        [
            number(line.leak.rmse, ".4f", line.leak.rmse_ci95),
            number(line.leak.explained, ".1%", line.leak.explained_ci95),
        ]
        if line.leak
        else [Cell("no switches"), Cell("")]
        if not line.bits
        else [number(None, ".4f"), number(None, ".1%")]
    )
    cells: list[str | Cell] = [line.name, number(line.bits, ",.0f"), *leak]
    cells.append(number(line.lost, ".2%", line.lost_ci95))
    if metric and line.score is None:
        cells += [number(None, ".4g"), number(None, "+.3g")]
    elif metric and line.score is not None:
        cells.append(number(line.score.value, ".4g", line.score.ci95))
        cells.append(number(line.score.change, "+.3g", line.score.change_ci95))
    return cells


def _points(result: Protection) -> Html:
    measured = [line for line in result.lines if line.leak and line.lost is not None]
    found = [(line.name, line.lost or 0.0, line.leak.rmse) for line in measured if line.leak]
    return _wide(svg.points(found, "share of the outputs' variance that is lost", "RMSE of switches alone"))


def _training(result: Protection) -> Html:
    tuned = [line for line in result.models if line.tuning and line.tuning.curve]
    read = [(line.name, [(float(s), max(e, 1e-4)) for s, _, e in line.tuning.curve])
            for line in tuned if line.tuning and line.weight]  # fmt: skip
    lost = [(line.name, [(float(s), max(lost, 1e-6)) for s, lost, _ in line.tuning.curve])
            for line in tuned if line.tuning]  # fmt: skip
    charts: list[Html] = []
    if read:
        charts.append(svg.curves(read, "step of the fine-tuning", "variance that its reader explains"))
    if lost:
        charts.append(svg.curves(lost, "step of the fine-tuning", "share of the outputs that is lost"))
    return joined(element("h2", "The fine-tunings"), *map(_wide, charts))


def _wide(chart: Html) -> Html:
    """On a phone it keeps its size, and moves sideways."""
    return element("div", chart, class_="mt-wide")


def _files(result: Protection, out: Path) -> Html:
    rows: Sequence[tuple[str, str, str]] = [
        (
            line.file,
            line.name,
            f"{line.tuning.steps:,} steps{'' if line.tuning.complete else ', cut short'}",
        )
        for line in result.models
        if line.file and line.tuning
    ]
    if not rows:
        return Html()
    return joined(
        element("h2", "The models"),
        table(("file", "", ""), rows, "Files of weights"),
        element("pre", how_to_load(out / rows[-1][0])),
    )


def _method() -> Html:
    return Html("""<h2>What the numbers mean</h2><ul>
<li>Outputs lost: the squared error to the original's outputs on held-out photographs, as a share of their
variance over photographs; a mean over all floating-point tensors that the model returns. At 100 % they are
as far away as if every photograph had the mean output; what is further away has more.</li>
<li>Explained: 1 - MSE / MSE of the mean image, of a strong reader that is given the switches alone. Every
reader has the same photographs and as many steps, and all but that of weight 0 the same initial weights.
It is a lower bound: another reader, or a longer training, may find more, also where that which was trained
against found nothing.</li>
<li>Weight 0 is the control: fine-tuned by distillation alone, and read by another draw of the reader. Where
batch normalisation is frozen it is the original, and what sets the two rows apart is chance.</li>
<li>Mitigations: of the original, without any training; readers are trained anew for each.</li>
<li>Intervals: 95 %, 2,000 bootstrap draws over photographs.</li></ul>""")


def _record(result: Protection) -> Html:
    origin, counts = result.origin, result.images
    trained, whole = result.trained_weights
    lines = {
        "date": result.date,
        "command": origin.command,
        "model": origin.model or result.target,
        "SHA-256 of the original's weights": result.weights_sha256,
        "weights fine-tuned": f"{trained:,} of {whole:,}",
        "levels given to the observer": ", ".join(result.levels),
        "preprocessing": origin.preprocess,
        "photographs": origin.data,
        "held-out photographs": origin.holdout,
        "how many": f"{counts['trained']:,} to train on, {counts['measured']:,} others to measure on",
        "size": f"{result.size[1]}x{result.size[0]} pixels",
        "steps": f"{result.steps:,} of every fine-tuning and of every reader",
        "time": f"{result.seconds:,.0f} s",
        "settings": ", ".join(f"{name} {value}" for name, value in to_json(result.config).items()),
        "versions": ", ".join(f"{name} {value}" for name, value in result.versions.items()),
    }
    rows = [(name, value, "") for name, value in lines.items() if value]
    return joined(element("h2", "Record"), facts(rows))
