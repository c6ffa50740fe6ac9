"""report.html: one page that can be mailed; it asks the network for nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maxtunnel.paper.comparisons import strong_gain
from maxtunnel.paper.evidence import Claim
from maxtunnel.paper.readings import DECODERS, SUMMARY, Reading, summarise
from maxtunnel.paper.results import Result, TableRow
from maxtunnel.report.html import Cell, Html, details, element, facts, figure, joined, number, page, table
from maxtunnel.report.pictures import inline
from maxtunnel.support.files import replacing

_CAPTIONS = {
    "figure1": "Figure 1: originals above what the paper’s decoder makes of their switches alone.",
    "figure2": "Figure 2: the schematic, filters times plane of every layer. Only switches cross.",
    "figure3": "Figure 3: the same photographs through every network, strong decoders, where there are such, "
    "in a row of their own below the paper’s; a close-up of the last at the right.",
    "figure4": "Figure 4: a random channel of each layer of the paper’s decoder, from the bias code to the "
    "image. It stays with that decoder: a strong one has neither a bias code nor these layers.",
    "frontier": "What the same bits give: networks, and JPEG and WebP of the very same photographs. At the "
    "left nominal bits of the switches, at the right bits of whole files.",
    "rmse-and-bits": "RMSE against nominal bits of the switches: ours, the paper’s, the authors’ networks. "
    "Marks of equal bits are set apart sideways.",
}
_LARGE = ("figure2", "figure3", "figure4", "figure1")
_MISSING = Cell("–", classes="mt-missing")


@dataclass(frozen=True)
class Report:
    """What the page shows.

    Attributes:
        table: Table II's rows.
        claims: held against evidence.
        figures: PNG and PDF of each.
        provenance: where the numbers come from.
        images: test photographs of the table.
        seed: of the photographs shown.
    """

    table: Sequence[TableRow]
    claims: Sequence[Claim]
    figures: Sequence[tuple[Path, Path]]
    provenance: Sequence[tuple[str, str]]
    images: int
    seed: int


def write_report(report: Report, path: Path) -> Path:
    """Write the page; all pictures and the style lie in it."""
    pictures = {png.stem: png for png, _ in report.figures}
    plots = pictures.pop("rmse-and-bits"), pictures.pop("frontier")
    whole = page(
        "Image reconstruction from max-switch locations, re-measured",
        "paper",
        element(
            "p",
            "A decoder that is given only the positions of max-pooling maxima (the switches) rebuilds the "
            "photograph. This page has the paper’s Table II with our networks beside it, its figures from "
            "our networks, and each of its claims held against evidence. How well a decoder rebuilds is a "
            "lower bound of what the switches give away: a strong decoder reads more from the same ones.",
        ),
        element("h2", "What came out"),
        element("ul", *(_finding(claim) for claim in report.claims)),
        *_summary(report.claims),
        _table_part(report),
        *map(_figure, plots),
        element("h2", "Figures"),
        _how(f"Photographs were drawn from the test set by seed {report.seed}, not chosen."),
        *map(_figure, pictures.values()),
        element("h2", "The paper’s claims"),
        *map(_claim, report.claims),
        element("h2", "Where these numbers come from"),
        facts((name, value, "") for name, value in report.provenance),
    )
    with replacing(path) as temporary:
        temporary.write_text(whole, encoding="utf-8")
    return path


def _finding(claim: Claim) -> Html:
    said = ((_who(reading), element("strong", f"{reading.verdict}.")) for reading in claim.readings)
    return element("li", f"{claim.question} ", *(part for one in said for part in (*one, " ")))


def _who(reading: Reading) -> str:
    return "" if reading.reader is None else f"{DECODERS[reading.reader].capitalize()}: "


def _summary(claims: Sequence[Claim]) -> tuple[Html, ...]:
    heads, rows = summarise([(claim.statement, claim.readings) for claim in claims])
    title = "About the switches, or about the paper’s decoder?"
    return element("h2", title), _how(SUMMARY), table(heads, rows, title)


def _table_part(report: Report) -> Html:
    columns = _columns(report.table)
    rows = [[cell(line) for cell in columns.values()] for line in report.table]
    missing = [line.row.name for line in report.table if line.ours is None]
    said = "; over seeds, mean ± standard deviation" if "ours over seeds" in columns else ""
    where = (
        f" (on {_bits_images(report.table):,} photographs, with the 95 % interval)"
        if "stored bits" in columns
        else ""
    )
    strong = (
        " The strong decoder reads the same switches as ours where it says by how much it is lower, with the "
        "95 % interval over photographs, paired."
        if "strong lower by" in columns
        else ""
    )
    lacking = f" Not trained, shipped or asked for here: {', '.join(missing)}." if missing else ""
    return joined(
        element("h2", "Table II"),
        _how(
            f"RMSE over {report.images:,} test photographs, all channels and pixels, values in [0, "
            f"1], output not clipped; below it the 95 % bootstrap interval over photographs{said}. Ours is "
            "what ships, or else the run of the lowest seed. The paper’s own test photographs are others, so "
            "its column is for orientation; snapshots are the authors’ networks on ",
            element("em", "these"),
            f" photographs, as far as they were given, and what is below them is bold.{strong} Bits are per "
            "pixel and "
            f"colour channel: nominal, and stored in a switch file{where}. PSNR and SSIM are of the clipped "
            f"output.{lacking}",
        ),
        table(list(columns), rows, "Table II"),
    )


def _columns(lines: Sequence[TableRow]) -> dict[str, Callable[[TableRow], Cell]]:
    """The columns that have anything to show, by their heads; what a phone shows first comes first."""
    found: dict[str, Callable[[TableRow], Cell]] = {
        "network": _network,
        "bits": lambda line: number(line.row.bits_per_pixel, "g"),
        "RMSE, paper": lambda line: number(line.row.rmse, ".4f"),
        "RMSE, ours": lambda line: _error(line.ours, line.snapshot),
    }
    if any(line.strong for line in lines):
        found["RMSE, strong decoder"] = lambda line: _error(line.strong, line.snapshot)
        found["strong lower by"] = _lower
    if any(line.spread for line in lines):
        found["ours over seeds"] = _spread
    if any(line.read_by("strong").spread for line in lines):
        found["strong over seeds"] = lambda line: _spread(line.read_by("strong"))
    if any(line.snapshot for line in lines):
        found["RMSE, snapshot"] = lambda line: _error(line.snapshot, None)
    found |= {"PSNR": _psnr, "SSIM": _ssim}
    if any(_stored(line) is not None for line in lines):
        found["stored bits"] = _stored_bits
    return found


def _network(line: TableRow) -> Cell:
    encoder = "pretrained" if line.row.pretrained else "random"
    seed = None if line.ours is None else line.ours.seed
    return Cell(str(line.row.architecture), f"{encoder}, seed {seed}" if seed else encoder)


def _error(result: Result | None, other: Result | None) -> Cell:
    if result is None:
        return _MISSING
    found = result.evaluation
    best = other is not None and found.rmse < other.evaluation.rmse
    return number(found.rmse, ".4f", found.rmse_ci95, classes="mt-best" if best else "")


def _lower(line: TableRow) -> Cell:
    gain = strong_gain(line)
    return _MISSING if gain is None else number(gain.mean, ".4f", gain.interval, between=" to ")


def _spread(line: TableRow) -> Cell:
    if line.spread is None:
        return _MISSING
    mean, deviation = line.spread
    steps = {result.steps for result in line.runs} - {None}
    lengths = f" of {steps.pop():,} steps" if len(steps) == 1 else ""
    return Cell(f"{mean:.4f} ± {deviation:.4f}", f"{len(line.runs)} seeds{lengths}")


def _psnr(line: TableRow) -> Cell:
    if line.ours is None:
        return _MISSING
    return number(line.ours.evaluation.psnr, ".2f", line.ours.evaluation.psnr_ci95, unit=" dB")


def _ssim(line: TableRow) -> Cell:
    if line.ours is None:
        return _MISSING
    return number(line.ours.evaluation.ssim, ".3f", line.ours.evaluation.ssim_ci95)


def _stored_bits(line: TableRow) -> Cell:
    bits = _stored(line)
    if line.ours is None or bits is None:
        return _MISSING
    return number(bits, ".3f", line.ours.evaluation.stored_ci95 or (bits, bits))


def _stored(line: TableRow) -> float | None:
    return None if line.ours is None else line.ours.evaluation.bits_per_pixel.stored


def _bits_images(lines: Sequence[TableRow]) -> int:
    return max(line.ours.evaluation.bits_images for line in lines if line.ours is not None)


def _figure(png: Path) -> Html:
    caption = _CAPTIONS[png.stem]
    classes = "mt-large" if png.stem in _LARGE else "mt-plot"
    return figure(inline(png.read_bytes(), "image/png", caption, classes), caption)


def _claim(claim: Claim) -> Html:
    return joined(
        element("h3", claim.question),
        *(
            element(
                "p",
                _who(reading),
                element("strong", f"{reading.verdict}."),
                f" {reading.answer}",
                class_="mt-answer",
            )
            for reading in claim.readings
        ),
        _outcome(claim),
        table(claim.columns, claim.evidence, claim.question) if claim.evidence else "",
        _how(claim.measurement),
        details("Commands", element("code", claim.command)),
    )


def _outcome(claim: Claim) -> Html:
    outcome = claim.outcome
    if outcome is None:
        return joined()
    return element("p", "Of the switches: ", element("strong", f"{outcome.verdict}."), f" {outcome.reason}")


def _how(*content: str) -> Html:
    """How something was measured, in small print."""
    return element("p", *content, class_="mt-how")
