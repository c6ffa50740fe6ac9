"""report.html: one page that can be mailed; it asks the network for nothing."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from maxtunnel.paper.evidence import Claim
from maxtunnel.paper.results import Result, TableRow
from maxtunnel.support.files import replacing

_CAPTIONS = {
    "figure1": "Figure 1: originals above what the decoder makes of their switches alone.",
    "figure2": "Figure 2: the schematic, filters times plane of every layer. Only switches cross.",
    "figure3": "Figure 3: the same photographs through every network; a close-up of the last at the right.",
    "figure4": "Figure 4: a random channel of each decoder layer, from the bias code to the image.",
    "rmse-and-bits": "RMSE against nominal bits of the switches: ours, the paper’s, the authors’ networks. "
    "Marks of equal bits are set apart sideways.",
}
_WIDE = ("figure2", "figure3", "figure4", "figure1")


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
    style = Path(__file__).parents[1].joinpath("report", "paper.css").read_text(encoding="utf-8")
    by_name = {png.stem: png for png, _ in report.figures}
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        f"<title>Tunnel effect, re-measured</title><style>{style}</style></head><body>",
        "<h1>Image reconstruction from max-switch locations, re-measured</h1>",
        "<p>A decoder that is given only the positions of max-pooling maxima (the switches) rebuilds the "
        "photograph. This page has the paper’s Table II with our networks beside it, its figures from our "
        "networks, and each of its claims held against evidence.</p>",
        "<h2>What came out</h2><ul>",
        *(f"<li>{escape(c.question)} <strong>{escape(c.verdict)}.</strong></li>" for c in report.claims),
        "</ul>",
        *_table_part(report),
        *_figure(by_name["rmse-and-bits"]),
        "<h2>Figures</h2>",
        f"<p class=how>Photographs were drawn from the test set by seed {report.seed}, not chosen.</p>",
        *(line for name, png in by_name.items() if name != "rmse-and-bits" for line in _figure(png)),
        "<h2>The paper’s claims</h2>",
        *(line for claim in report.claims for line in _claim(claim)),
        "<h2>Where these numbers come from</h2>",
        *_facts(report.provenance),
        "</body></html>",
    ]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(parts) + "\n", encoding="utf-8")
    return path


def _table_part(report: Report) -> list[str]:
    some = any(line.snapshot for line in report.table)
    seeds = any(line.spread for line in report.table)
    stored = any(_stored(line) is not None for line in report.table)
    # What a phone shows first comes first.
    columns = ["network", "bits", "RMSE, paper", "RMSE, ours"]
    columns += [
        *(["ours over seeds"] if seeds else []),
        *(["RMSE, snapshot"] if some else []),
        *("PSNR", "SSIM"),
        *(["stored bits"] if stored else []),
    ]
    body = [_row(line, some, seeds, stored) for line in report.table]
    missing = [line.row.name for line in report.table if line.ours is None]
    said = "; over seeds, mean ± standard deviation" if seeds else ""
    where = f" (on {_bits_images(report.table):,} photographs, with the 95 % interval)" if stored else ""
    lacking = f" Not trained, shipped or asked for here: {', '.join(missing)}." if missing else ""
    return [
        "<h2>Table II</h2>",
        f"<p class=how>RMSE over {report.images:,} test photographs, all channels and pixels, values in [0, "
        f"1], output not clipped; below it the 95 % bootstrap interval over photographs{said}. Ours is what "
        "ships, or else the run of the lowest seed. The paper’s own test photographs are others, so its "
        "column is for orientation; snapshots are the authors’ networks on <em>these</em> photographs, as "
        "far as they were given, and what is below them is bold. Bits are per pixel and colour channel: "
        f"nominal, and stored in a switch file{where}. PSNR and SSIM are of the clipped output.{lacking}</p>",
        *_table(columns, body),
    ]


def _row(line: TableRow, some: bool, seeds: bool, stored: bool) -> str:
    encoder = "pretrained" if line.row.pretrained else "random"
    training = None if line.ours is None else line.ours.provenance.training
    seed = 0 if training is None else training.seed
    encoder += f", seed {seed}" if seed else ""
    cells = [f"<td>{line.row.architecture}<small>{encoder}</small>"]
    cells.append(f"<td>{line.row.bits_per_pixel:g}")
    cells.append(f"<td>{line.row.rmse:.4f}")
    cells.append(_error(line.ours, line.snapshot))
    if seeds:
        mean, deviation = line.spread or (0.0, 0.0)
        spread = f"<td>{mean:.4f} ± {deviation:.4f}<small>{len(line.runs)} seeds{_lengths(line)}</small>"
        cells.append(spread if line.spread else "<td class=missing>–")
    if some:
        cells.append(_error(line.snapshot, None))
    if line.ours is None:
        cells += ["<td class=missing>–", "<td class=missing>–"]
    else:
        psnr, ssim = line.ours.evaluation, line.ours.evaluation
        cells.append(f"<td>{psnr.psnr:.2f} dB<small>{psnr.psnr_ci95[0]:.2f}–{psnr.psnr_ci95[1]:.2f}</small>")
        cells.append(f"<td>{ssim.ssim:.3f}<small>{ssim.ssim_ci95[0]:.3f}–{ssim.ssim_ci95[1]:.3f}</small>")
    if stored:
        cells.append(_stored_bits(line))
    return f"<tr>{''.join(f'{cell}</td>' for cell in cells)}</tr>"


def _stored_bits(line: TableRow) -> str:
    bits = _stored(line)
    if line.ours is None or bits is None:
        return "<td>–"
    found = line.ours.evaluation
    low, high = found.stored_ci95 or (bits, bits)
    return f"<td>{bits:.3f}<small>{low:.3f}–{high:.3f}</small>"


def _lengths(line: TableRow) -> str:
    trainings = (result.provenance.training for result in line.runs)
    steps = {training.steps for training in trainings if training is not None}
    return f" of {steps.pop():,} steps" if len(steps) == 1 else ""


def _bits_images(table: Sequence[TableRow]) -> int:
    return max(line.ours.evaluation.bits_images for line in table if line.ours is not None)


def _stored(line: TableRow) -> float | None:
    return None if line.ours is None else line.ours.evaluation.bits_per_pixel["stored"]


def _error(result: Result | None, other: Result | None) -> str:
    if result is None:
        return "<td class=missing>–"
    found = result.evaluation
    best = " class=best" if other is not None and found.rmse < other.evaluation.rmse else ""
    return f"<td{best}>{found.rmse:.4f}<small>{found.rmse_ci95[0]:.4f}–{found.rmse_ci95[1]:.4f}</small>"


def _table(columns: Sequence[str], rows: Sequence[str]) -> list[str]:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    return [
        f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>",
        *rows,
        "</tbody></table></div>",
    ]


def _figure(png: Path) -> list[str]:
    data = base64.b64encode(png.read_bytes()).decode()
    wide = " class=wide" if png.stem in _WIDE else " class=plot"
    caption = _CAPTIONS[png.stem]
    return [
        f"<figure><img{wide} alt='{escape(caption)}' src='data:image/png;base64,{data}'>",
        f"<figcaption>{caption}</figcaption></figure>",
    ]


def _claim(claim: Claim) -> list[str]:
    rows = [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in claim.evidence]
    return [
        f"<h3>{escape(claim.question)}</h3>",
        f"<p class=answer><strong>{escape(claim.verdict)}.</strong> {escape(claim.answer)}</p>",
        *(_table(claim.columns, rows) if rows else []),
        f"<p class=how>{escape(claim.measurement)}</p>",
        f"<details><summary>Commands</summary><code>{escape(claim.command)}</code></details>",
    ]


def _facts(rows: Sequence[tuple[str, str]]) -> list[str]:
    cells = (f"<tr><td>{escape(what)}</td><td>{escape(value)}</td></tr>" for what, value in rows)
    return ["<table class=facts>", *cells, "</table>"]
