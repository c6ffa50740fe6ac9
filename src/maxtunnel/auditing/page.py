"""The audit as one page that can be mailed: no network, no scripts, pictures inside."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.auditing.outcome import AuditResult, Measured, Shares
from maxtunnel.data.images import write_png
from maxtunnel.report import svg as charts
from maxtunnel.support.files import replacing

TABLE = ("", "variance explained", "", "RMSE", "95 % interval", "PSNR", "SSIM")


def write_report(result: AuditResult, out: str | Path) -> Path:
    """Write OUT/audit.html, OUT/audit.json and the pictures; the page's path.

    Pictures are strips, one a file, in the order of the photographs in `originals.png`.
    """
    out = Path(out)
    for key, images in result.pictures.items():
        write_png(out / "pictures" / f"{key.replace(' ', '-')}.png", strip(images))
    result.save(out / "audit.json")
    with replacing(out / "audit.html") as temporary:
        temporary.write_text(page(result), encoding="utf-8")
    return out / "audit.html"


def page(result: AuditResult) -> str:
    """The HTML."""
    title = f"What the pooling indices of {escape(result.target)} give away"
    parts = [
        f"<h1>{title}</h1>",
        _who_could_read_what(result),
        f'<p class="verdict">{escape(result.verdict)}</p>',
        "<p><small>RMSE: root of the mean squared error of pixel values between 0 and 1; 0 would be the "
        "photograph itself.</small></p>",
        _picture(result, "originals", "Photographs that no decoder was trained on."),
        _picture(result, "known", "The same, rebuilt from their pooling indices alone: no feature value."),
        _picture(result, "random", "Rebuilt by a decoder that trained on random indices: it knows nothing."),
        _warnings(result),
        _controls(result),
        _levels(result),
        _what_and_where(result),
        _identification(result),
        _mitigations(result),
        _training(result),
        _method(result),
    ]  # fmt: skip
    style = Path(__file__).parents[1].joinpath("report", "audit.css").read_text(encoding="utf-8")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def strip(images: UInt8[Tensor, "n 3 h w"], gap: int = 4) -> UInt8[Tensor, "3 h W"]:
    """Pictures side by side, white between them."""
    height, width = images.shape[-2:]
    row = torch.full((3, height, len(images) * (width + gap) - gap), 255, dtype=torch.uint8)
    for number, image in enumerate(images):
        start = number * (width + gap)
        row[:, :, start : start + width] = image
    return row


def _who_could_read_what(result: AuditResult) -> str:
    names = ", ".join(f"<b>{escape(name)}</b>" for name in result.returned)
    returns = (
        f"This model returns the indices of {names} with its output: whoever gets the output has them."
        if names
        else "This model returns no indices with its output."
    )
    unpools = (
        f"It unpools with indices itself; unpooling layers in one pass: {result.unpoolings}."
        if result.unpoolings
        else "It does not unpool with indices itself."
    )
    return f"""
<p>A max-pooling layer keeps the largest value of each small window of its input. Its <em>indices</em> (also:
switches) only say <em>where</em> in the window that value was. This page measures how much of a photograph
can be rebuilt from them.</p>
<div class="box"><p><b>Who could read what</b></p><ul>
<li>Indices that never leave the process that computes them leak to nobody.</li>
<li>Indices that are sent, stored or logged leak to whoever sees them: the numbers below are what such an
observer can do, given photographs of the same kind and the model to make training pairs with.</li>
<li>An unpooling decoder inside a model uses them whether one wants it or not: what it puts out may come from
them, not from the features.</li></ul><p>{returns} {unpools}</p></div>"""


def _warnings(result: AuditResult) -> str:
    found = result.warnings()
    items = "".join(f"<li>{escape(text)}</li>" for text in found)
    return f'<div class="box"><p><b>Before you trust a number</b></p><ul>{items}</ul></div>' if found else ""


def _controls(result: AuditResult) -> str:
    rows = [result.rows[key] for key in ("known", "mean", "random", "fixed", "other")]
    text = """<h2>Against controls</h2>
<p>A decoder can paint a plausible average without knowing anything. So the leak is measured against four
ways to know nothing about a photograph: the mean of the training photographs; a decoder trained on random
switches; one trained with every switch fixed to its window's first cell; and the known-switch decoder
given the switches of <em>another</em> photograph (it then paints that other one).</p>"""
    return (
        text
        + _table(rows, main="known switches")
        + _picture(result, "fixed", "Fixed switches, the decoder trained for them.")
    )


def _levels(result: AuditResult) -> str:
    lines = [
        (
            f"<b>{escape(level.name)}</b><br><small>{level.window}, {level.channels} channels, "
            f"{level.size[0]}x{level.size[1]} to {level.pooled[0]}x{level.pooled[1]}</small>",
            f"{level.nominal_bits:,.0f}",
            f"{level.coded_bits:,.0f}",
            _value(level.alone),
            f"{level.alone.explained:.0%}",
            _value(level.from_deepest),
            f"{level.from_deepest.explained:.0%}",
        )
        for level in result.levels
    ]
    head = ("level, in call order", "bits", "bits, coded", "alone: RMSE", "explained",
            "with all coarser: RMSE", "explained")  # fmt: skip
    pictures = "".join(
        _picture(result, f"alone {number}", f"{level.name} alone")
        + _picture(result, f"from deepest {number}", f"{level.name} and all coarser levels")
        for number, level in enumerate(result.levels, 1)
    )
    total = sum(level.nominal_bits for level in result.levels)
    text = f"""<h2>Level by level</h2>
<p>All levels: {total:,.0f} bits a photograph at log2(cells) for each switch, {result.bits_per_pixel:.3g}
per pixel and colour channel. Coded: what they take in a switch file, entropy-coded without loss by a
coder that learns from the file alone. One decoder, started from the known-switch decoder, learned all
these cases, so each row is somewhat worse than a decoder of its own would be.</p>"""
    return (
        text + _grid(head, lines) + f"<details><summary>Pictures of every level</summary>{pictures}</details>"
    )


def _what_and_where(result: AuditResult) -> str:
    rows = [result.rows[key] for key in ("fixed", "what", "where", "both", "untrained") if key in result.rows]
    moved = result.transplant
    compared = f"""<h2>Features or positions?</h2>
<p>The same decoder, as many steps each, fed the features of the coarsest level unpooled without positions,
the switches without features, or both. {_shares(result.shares)} The untrained copy, its weights drawn anew,
tells whether it is the training that leaks or the architecture.</p>"""
    transplants = f"""<h2>Transplants</h2>
<p>Switches of the photographs above with the features of others. The result is nearer to the photograph
that gave the <em>switches</em> in {moved.nearer_to_where:.0%} of pairs (RMSE {moved.rmse_to_where:.3f} to it,
{moved.rmse_to_what:.3f} to the one that gave the features).</p>"""
    return (
        compared
        + _table(rows)
        + transplants
        + _picture(result, "originals", "Switches from here,")
        + _picture(result, "donors", "features from here,")
        + _picture(result, "transplant", "and what the decoder of both makes of them.")
    )


def _shares(found: Shares | None) -> str:
    if found is None:
        return "Both together rebuilt too little to share it out among them."
    low, high = found.where_ci95
    return (
        "Of what both together explain beyond neither, the switches account for "
        f"<b>{found.where:.0%}</b> ({low:.0%} to {high:.0%}) and the features for {found.what:.0%} "
        "(Shapley's shares: each part's gain, averaged over adding it first and second)."
    )


def _identification(result: AuditResult) -> str:
    lines = [
        (
            f"nearest in {found.by}, among {found.among:,}",
            f"{found.found:.1%}",
            f"{found.found_ci95[0]:.1%} to {found.found_ci95[1]:.1%}",
            f"{found.chance:.1%}",
        )
        for found in result.identified
    ]
    text = """<h2>Which photograph was it?</h2>
<p>For each reconstruction from switches alone, the nearest original photograph is looked up: by its
pixels, and by a histogram of edge directions in 8x8 cells, which ignores colour and brightness.</p>"""
    return text + _grid(("", "right one found", "95 % interval", "blind guess"), lines)


def _mitigations(result: AuditResult) -> str:
    if not result.mitigations:
        return ""
    tasks = any(found.metric is not None for found in result.mitigations)
    head = ("", "bits left", "switches alone: RMSE", "explained", "with features: RMSE", "explained")
    lines = [
        (
            escape(found.name),
            f"{found.bits:,.0f}",
            *((_value(found.leak), f"{found.leak.explained:.0%}") if found.leak else ("no switches", "")),
            *(
                (_value(found.with_features), f"{found.with_features.explained:.0%}")
                if found.with_features
                else ("", "")
            ),
            *((f"{found.metric:.4g}",) if tasks and found.metric is not None else ()),
        )
        for found in result.mitigations
    ]
    leaks = [(found.name, found.bits, found.leak.rmse) for found in result.mitigations if found.leak]
    chart = charts.points(leaks, "bits of a photograph's switches, at most", "RMSE of switches alone")
    metrics = [
        (found.name, found.metric, found.leak.rmse)
        for found in result.mitigations
        if found.metric is not None and found.leak
    ]
    text = """<h2>What helps</h2>
<p>Each counter-measure with a decoder retrained against it, as an attacker would: all start from the
known-switch decoder and take as many steps. A larger RMSE is less leak. Average pooling and strided
convolution leave no switches; what the features then give away stands in the column beside. The model itself
was not retrained for any of them.</p>"""
    return (
        text
        + _grid((*head, "metric") if tasks else head, lines)
        + chart
        + (charts.points(metrics, "the model's own metric", "RMSE of switches alone") if metrics else "")
    )


def _training(result: AuditResult) -> str:
    shown = result.decoders[:8]
    lines = [
        (escape(done.name), f"{done.steps:,}", f"{done.seconds:.0f} s", f"{done.curve[-1][1]:.4f}",
         "still falling" if done.still_falling else "")
        for done in result.decoders
    ]  # fmt: skip
    return (
        "<h2>How the decoders were trained</h2>"
        + charts.curves([(done.name, done.curve) for done in shown], "step", "RMSE while training")
        + _grid(("decoder", "steps", "time", "last RMSE while training", ""), lines)
    )


def _method(result: AuditResult) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in result.config.items())
    versions = ", ".join(f"{name} {value}" for name, value in result.versions.items())
    counts = result.images
    return f"""<h2>What the numbers mean</h2><ul>
<li>RMSE: root of the mean squared error over all photographs, channels and pixels, values in [0, 1], the
output not clipped. PSNR and SSIM: means over photographs of the clipped output.</li>
<li>Variance explained: 1 - MSE / MSE of the mean image; 0 % is knowing nothing, 100 % the photograph
itself.</li>
<li>Intervals: 95 %, 2,000 bootstrap draws over photographs; they do not cover the draw of a decoder's
weights.</li>
<li>Decoders: the captured levels mirrored, coarsest first; unpool, two 3x3 convolutions a level; a learned
constant in the place of the features. All have the same initial weights, but those of levels and
counter-measures, which start from the known-switch decoder. A leak found is a lower bound.</li>
<li>Still falling: over the last tenth of its curve a decoder's RMSE was more than 1 % below the tenth
before.</li></ul>
<p><small>{counts["trained"]:,} photographs to train on, {counts["measured"]:,} others to measure on,
{counts["searched"]:,} to search among, {result.size[1]}x{result.size[0]} pixels;
{result.seconds / 60:.1f} minutes without mitigations. {escape(settings)}. {escape(versions)}. The same
numbers, with the curves, are in audit.json.</small></p>"""


def _table(rows: Sequence[Measured], main: str = "") -> str:
    lines = []
    for row in rows:
        cells = (
            f"<td>{escape(row.name)}</td>"
            f"<td>{row.explained:.1%}</td>"
            f'<td class="bar"><span style="width:{max(0, row.explained):.0%}"></span></td>'
            f"<td>{row.rmse:.4f}</td>"
            f"<td>{row.rmse_ci95[0]:.4f} to {row.rmse_ci95[1]:.4f}</td><td>{row.psnr:.2f} dB</td>"
            f"<td>{row.ssim:.3f}</td>"
        )
        lines.append(f'<tr class="main">{cells}</tr>' if row.name == main else f"<tr>{cells}</tr>")
    head = "".join(f"<th>{name}</th>" for name in TABLE)
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def _grid(head: Iterable[str], lines: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    top = "".join(f"<th>{name}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in lines)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def _value(row: Measured) -> str:
    return f"{row.rmse:.4f}<br><small>{row.rmse_ci95[0]:.4f} to {row.rmse_ci95[1]:.4f}</small>"


def _picture(result: AuditResult, key: str, caption: str) -> str:
    if key not in result.pictures:
        return ""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(strip(result.pictures[key]).permute(1, 2, 0).contiguous().numpy()).save(
        file, "JPEG", quality=88
    )
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
