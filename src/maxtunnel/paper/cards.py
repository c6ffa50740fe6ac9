"""docs/models.md: a model card for every network that ships."""

from collections.abc import Sequence
from pathlib import Path

from maxtunnel.models.hub import limits
from maxtunnel.paper.results import Result, TableRow
from maxtunnel.support.files import replacing
from maxtunnel.support.markdown import markdown_table

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
    low, high = found.rmse_ci95
    return (
        line.row.name, f"{line.row.bits_per_pixel:g}", f"{found.rmse:.4f}", f"{low:.4f} to {high:.4f}",
        f"{found.psnr:.2f} dB", f"{found.ssim:.3f}", _published(line),
    )  # fmt: skip


def _published(line: TableRow) -> str:
    """The RMSE of the authors' snapshot, and whether it was measured in the same run."""
    if line.snapshot is not None:
        return f"{line.snapshot.evaluation.rmse:.4f}, same run"
    noted = line.row.published
    return "none" if noted is None else f"{noted.rmse:.4f}, noted"


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
