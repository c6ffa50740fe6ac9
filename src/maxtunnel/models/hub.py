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
- Trained at {size}x{size} pixels: on much larger photographs smooth areas come out worse.
- The training photographs show {images}; on other kinds of pictures the error is another.
- It shows what switches give away. It is no image codec: the switches take more room than a good JPEG."""


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
    architecture: Architecture, parameters: int, bits_per_pixel: float, provenance: Provenance
) -> str:
    """A model card in Markdown, with the hub's header; only what the provenance knows is said."""
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
        "Rebuilds photographs from the positions of max-pooling maxima (the switches) alone. The decoder "
        "gets no feature values: a learned constant takes their place.",
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
                ("encoder", "random" if provenance.pretraining is None else "pretrained"),
                ("parameters", f"{parameters:,}"),
                ("bits of switches per pixel and colour channel", f"{bits_per_pixel:.4g}"),
                *provenance.facts(),
            ],
        ),
        "",
        "## Limits",
        "",
        limits(provenance),
        "",
    ]
    return "\n".join(lines)


def limits(provenance: Provenance) -> str:
    """What a network is no good for, as a list in Markdown."""
    training = provenance.training
    size = "?" if training is None else str(training.size)
    return LIMITS.format(size=size, images="an unknown set" if training is None else training.data)
