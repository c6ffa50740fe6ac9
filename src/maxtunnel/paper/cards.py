"""docs/models.md: a model card for every network that ships."""

from collections.abc import Sequence
from pathlib import Path

from maxtunnel.evaluation.intervals import span
from maxtunnel.models.hub import limits
from maxtunnel.models.provenance import LEARNED
from maxtunnel.paper.readings import READERS
from maxtunnel.paper.results import Result, TableRow
from maxtunnel.support.files import replacing
from maxtunnel.support.markdown import markdown_table
from maxtunnel.zoo import names
from maxtunnel.zoo.dense_files import list_shipped_dense

# Encoders are those of seed 0, whatever they gave, but for these.
_DRAWS = {"6-12-24": "of nine draws the one with the median RMSE ([training.md](training.md))"}


def write_cards(lines: Sequence[TableRow], path: Path, command: str, images: int) -> None:
    """Write the model cards of the shipped networks in a reproduction's table."""
    shipped, strong = (_shipped([line.read_by(decoder) for line in lines]) for decoder in READERS)
    snapshots = {line.row.name: line.snapshot for line in lines}
    if not shipped:
        return
    there = {line.row.name for line in shipped}
    missing = [line.row.name for line in lines if line.row.name not in there]
    learned = [name for name in names.shipped() if name.endswith(f"-{LEARNED}")]
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
            [(*_line(line), _published(line, snapshots[line.row.name])) for line in shipped],
        ),
        "",
        *(_strong_table(strong) if strong else []),
        f"Networks whose encoders learnt too, {', '.join(learned)}: [learned.md](learned.md).",
        "",
        *(f"    {line}" for line in command.splitlines()),
        "",
    ]
    if missing:
        text += [f"Not in the package, or not asked for: {', '.join(missing)}.", ""]
    for line in [*shipped, *strong]:
        if line.ours is not None:
            text += _card(line.ours)
    text += _dense()
    with replacing(path) as temporary:
        temporary.write_text("\n".join(text), encoding="utf-8")


def _shipped(lines: Sequence[TableRow]) -> list[TableRow]:
    return [line for line in lines if line.ours is not None and line.ours.origin == "shipped"]


def _strong_table(strong: Sequence[TableRow]) -> list[str]:
    return [
        "The same switches, read by a strong decoder in the place of the paper’s. They give away at least "
        "what it reads.",
        "",
        *markdown_table(
            ("network", "bits per pixel and channel", "RMSE", "95 %", "PSNR", "SSIM"),
            [_line(line) for line in strong],
        ),
        "",
    ]


def _dense() -> list[str]:
    return [
        "## For every pixel",
        "",
        "Networks that find classes or contours, for `maxtunnel segment` and `maxtunnel contours` "
        "([segmentation](studies/segmentation.md), [contours](studies/contours.md)).",
        "",
        *markdown_table(
            ("network", "parameters", "file", "trained on, and what it reached"),
            [
                (each.name, f"{each.parameters:,}", f"{each.file_bytes / 1e6:.2f} MB", each.about)
                for each in list_shipped_dense()
            ],
        ),
        "",
    ]


def _line(line: TableRow) -> tuple[str, ...]:
    if line.ours is None:
        raise ValueError(f"{line.row.name} was not measured")
    found = line.ours.evaluation
    return (
        line.row.network(line.ours.decoder), f"{line.row.bits_per_pixel:g}", f"{found.rmse:.4f}",
        span(found.rmse_ci95), f"{found.psnr:.2f} dB", f"{found.ssim:.3f}",
    )  # fmt: skip


def _published(line: TableRow, snapshot: Result | None) -> str:
    """The RMSE of the authors' snapshot, and whether it was measured in the same run."""
    if snapshot is not None:
        return f"{snapshot.evaluation.rmse:.4f}, same run"
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
        *([] if result.width is None else [("decoder", f"strong, {result.width} channels")]),
        *result.provenance.facts(),
        ("SHA-256 of weights and mean", f"{result.sha256[:16]}…"),
    ]
    return [
        f"## {result.row.network(result.decoder)}",
        "",
        *markdown_table(("what", "value"), rows),
        "",
        "Limits:",
        "",
        limits(result.provenance),
        "",
    ]
