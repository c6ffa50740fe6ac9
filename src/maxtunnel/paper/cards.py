"""docs/models.md: a model card for every network that ships."""

from collections.abc import Sequence
from pathlib import Path

from maxtunnel.models.hub import limits
from maxtunnel.paper.results import Result, TableRow
from maxtunnel.support.files import replacing
from maxtunnel.support.markdown import markdown_table

# The authors' own networks on imagenette val with the mean image of imagenette train: 8-8-8 and 12-24-48, and
# 16-16-16 with its random encoder, on all photographs, the others on every second. 48-96-192 is not public.
_SNAPSHOTS = {
    "8-8-8": 0.1397, "8-8-8-pretrained": 0.1479, "6-12-24": 0.1321, "6-12-24-pretrained": 0.1377,
    "16-16-16": 0.1149, "16-16-16-pretrained": 0.1114, "12-24-48": 0.1053, "12-24-48-pretrained": 0.1132,
    "32-32-32": 0.0866, "32-32-32-pretrained": 0.0921, "24-48-96": 0.0810, "24-48-96-pretrained": 0.0851,
    "64-64-64": 0.0712,
}  # fmt: skip


# Encoders are those of seed 0, whatever they gave, but for these.
_DRAWS = {"6-12-24": "of nine draws the one with the median RMSE ([training.md](training.md))"}


def write_cards(lines: Sequence[TableRow], path: Path, command: str, images: int) -> None:
    """Write the model cards of the shipped networks in a reproduction's table."""
    shipped = [line for line in lines if line.ours is not None and line.ours.origin == "shipped"]
    if not shipped:
        return
    missing = [line.row.name for line in lines if line not in shipped]
    text = [
        "# The networks that ship",
        "",
        f"RMSE on {images:,} test photographs, values in [0, 1], output not clipped, with 95 % bootstrap "
        "intervals over photographs. “Published” is the authors’ snapshot: measured in the same run where "
        "it says so, else as noted for imagenette’s val when this package was made (some on every second "
        "photograph).",
        "",
        *markdown_table(
            ("network", "bits per pixel and channel", "RMSE", "95 %", "PSNR", "SSIM", "published"),
            [_line(line) for line in shipped],
        ),
        "",
        *(f"    {line}" for line in command.splitlines()),
        "",
    ]
    if missing:
        text += [f"Not in the package, or not asked for: {', '.join(missing)}.", ""]
    for line in shipped:
        if line.ours is not None:
            text += _card(line.ours)
    with replacing(path) as temporary:
        temporary.write_text("\n".join(text), encoding="utf-8")


def _line(line: TableRow) -> tuple[str, ...]:
    if line.ours is None:
        raise ValueError(f"{line.row.name} was not measured")
    found = line.ours.evaluation
    published = "none"
    if line.snapshot is not None:
        published = f"{line.snapshot.evaluation.rmse:.4f}, same run"
    elif line.row.name in _SNAPSHOTS:
        published = f"{_SNAPSHOTS[line.row.name]:.4f}, noted"
    low, high = found.rmse_ci95
    return (
        line.row.name, f"{line.row.bits_per_pixel:g}", f"{found.rmse:.4f}", f"{low:.4f} to {high:.4f}",
        f"{found.psnr:.2f} dB", f"{found.ssim:.3f}", published,
    )  # fmt: skip


def _card(result: Result) -> list[str]:
    encoder = (
        "pretrained for classification"
        if result.row.pretrained
        else f"random, {_DRAWS.get(result.row.name, 'the first drawn, never the best of several')}"
    )
    rows = [
        ("encoder", encoder),
        *result.provenance.facts(),
        ("SHA-256 of weights and mean", f"{result.sha256[:16]}…"),
    ]
    return [
        f"## {result.row.name}",
        "",
        *markdown_table(("what", "value"), rows),
        "",
        "Limits:",
        "",
        limits(result.provenance),
        "",
    ]
