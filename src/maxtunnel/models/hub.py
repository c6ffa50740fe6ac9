"""The layout of model hubs: a folder with config.json, model.safetensors and a model card, README.md."""

import json
from collections.abc import Mapping
from pathlib import Path

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.provenance import Provenance
from maxtunnel.support.files import FormatError, replacing
from maxtunnel.support.markdown import markdown_table

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
LIMITS = """\
- Trained at {size}x{size} pixels: on much larger photographs {larger}.
- The training photographs show {images}; on other kinds of pictures the error is another.
- It shows what this decoder reads in the switches: a lower bound of what they give away.
- It is no image codec: the switches take more room than a good JPEG."""


_MIRRORED = (
    "The decoder is the paper's, which reads each level of switches once, from the deepest to the finest. It "
    "gets no feature values: a learned constant takes their place."
)
_STRONG = (
    "The decoder is a strong one, a U-Net over the switches, which reads all levels before it draws "
    "anything. It gets no feature values, and nothing in their place."
)


def write_layout(folder: Path, config: Mapping[str, object], card: str) -> None:
    """Write config.json and README.md; the weights are the network's own file."""
    with replacing(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    with replacing(folder / CARD) as temporary:
        temporary.write_text(card, encoding="utf-8")


def find_weights(source: str | Path) -> Path:
    """The weights in a local folder, or of a repository on the hub (`owner/name`), downloaded.

    Raises:
        FormatError: the folder holds no weights, or there is neither such a folder nor such a repository.
    """
    folder = Path(source)
    if folder.is_dir():
        if not (folder / WEIGHTS).is_file():
            raise FormatError(f"{folder} holds no {WEIGHTS}: expected what save_pretrained writes")
        return folder / WEIGHTS
    if isinstance(source, Path) or str(source).count("/") != 1 or str(source).startswith((".", "/", "~")):
        raise FormatError(f"no folder {str(source)!r}, and it is no name on the hub, such as owner/name")
    return _download(str(source))


def _download(name: str) -> Path:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise FormatError(
            f"no folder {name!r}; to fetch it from the hub: pip install 'maxtunnel[hub]'"
        ) from None
    try:
        return Path(hf_hub_download(name, WEIGHTS))
    except (OSError, ValueError) as error:
        # The library's own errors for a missing repository and for no connection are OSErrors.
        raise FormatError(
            f"{name} cannot be fetched from the hub: {' '.join(str(error).split())[:200]}"
        ) from None


def model_card(
    architecture: Architecture,
    parameters: int,
    bits_per_pixel: float,
    provenance: Provenance,
    strong_width: int | None = None,
) -> str:
    """A model card in Markdown, with the hub's header; only what the provenance knows is said.

    Args:
        architecture: filters per block.
        parameters: of encoder and decoder.
        bits_per_pixel: of switches, per pixel and colour channel.
        provenance: how the network came about.
        strong_width: channels of a strong decoder; None for the paper's mirrored one.
    """
    lines = [
        "---",
        "library_name: maxtunnel",
        "license: apache-2.0",
        "pipeline_tag: image-to-image",
        "tags: [max-pooling, image-reconstruction, switches]",
        "---",
        "",
        f"# maxtunnel {architecture}",
        "",
        "Rebuilds photographs from the positions of max-pooling maxima (the switches) alone. "
        + (_MIRRORED if strong_width is None else _STRONG),
        "",
        "```python",
        "from maxtunnel import TunnelNetwork",
        "",
        'network = TunnelNetwork.from_pretrained("THIS FOLDER OR NAME")',
        "rebuilt = network.reconstruct(images)  # (n, 3, h, w), RGB in [0, 1]",
        "```",
        "",
        *markdown_table(
            ("what", "value"),
            [
                ("filters per block", str(architecture)),
                ("encoder", provenance.encoder),
                ("decoder", decoder_of(strong_width)),
                ("parameters", f"{parameters:,}"),
                ("bits of switches per pixel and colour channel", f"{bits_per_pixel:.4g}"),
                *provenance.facts(),
                *_duration(provenance),
            ],
        ),
        "",
        "## Limits",
        "",
        limits(provenance, strong_width),
        "",
    ]
    return "\n".join(lines)


def decoder_of(strong_width: int | None) -> str:
    """The decoder's kind and width in words; None is the mirrored one."""
    return "mirrored" if strong_width is None else f"strong, {strong_width} channels at every scale"


def limits(provenance: Provenance, strong_width: int | None = None) -> str:
    """What a network is no good for, as a list in Markdown; `strong_width` as for `model_card`."""
    training = provenance.training
    size = "?" if training is None else str(training.size)
    larger = "smooth areas come out worse" if strong_width is None else "the error grows"
    images = "an unknown set" if training is None else training.data
    return LIMITS.format(size=size, larger=larger, images=images)


def _duration(provenance: Provenance) -> list[tuple[str, str]]:
    """How long the decoder was trained, both of the trainings that are known together."""
    records = [record for record in (provenance.earlier, provenance.training) if record is not None]
    seconds = sum(record.seconds for record in records)
    told = f"{seconds:.0f} s" if seconds < 300 else f"{seconds / 60:.0f} minutes"
    return [("the decoder's training took", told)] if records else []
