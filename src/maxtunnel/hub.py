"""The layout of model hubs: a folder with config.json, model.safetensors and a model card, README.md."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maxtunnel.files import FormatError, replacing

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
LIMITS = """\
- Trained at {size}x{size} pixels: on much larger photographs smooth areas come out worse.
- The training photographs show {images}; on other kinds of pictures the error is another.
- It shows what switches give away. It is no image codec: the switches take more room than a good JPEG."""


def write_layout(folder: Path, config: Mapping[str, Any], card: str) -> None:
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
    name: str, parameters: int, bits_per_pixel: float, widths: tuple[int, ...], info: Mapping[str, Any]
) -> str:
    """A model card in Markdown, with the hub's header; only what `info` knows is said."""
    encoder = "random" if info.get("encoder", "random") == "random" else "pretrained"
    lines = [
        "---",
        "library_name: maxtunnel",
        "license: apache-2.0",
        "pipeline_tag: image-to-image",
        "tags: [max-pooling, image-reconstruction, switches]",
        "---",
        "",
        f"# maxtunnel {name}",
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
        *table(
            ("what", "value"),
            [
                ("filters per block", "-".join(map(str, widths))),
                ("encoder", encoder),
                ("parameters", f"{parameters:,}"),
                ("bits of switches per pixel and colour channel", f"{bits_per_pixel:.4g}"),
                *facts(info),
            ],
        ),
        "",
        "## Limits",
        "",
        LIMITS.format(size=info.get("size", "?"), images=info.get("data", "an unknown set")),
        "",
    ]
    return "\n".join(lines)


def facts(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a network's `info` says of its training and its error, as rows for people."""
    rows = []
    if "pretraining" in info:
        earlier = info["pretraining"]
        text = f"{earlier['classes']} classes of {earlier['data']}: {_effort(earlier)}"
        if "top1" in earlier:
            text += f", top-1 {100 * earlier['top1']:.1f} % of {earlier['val']}"
        rows.append(("pretrained on", text))
    if "data" in info:
        rows.append(
            ("trained on", f"{info['images']:,} photographs of {info['data']}, {info['size']}x{info['size']}")
        )
    if "recipe" in info:
        rows.append(("recipe", _effort(info)))
    if "rmse" in info:
        interval = " to ".join(f"{value:.4f}" for value in info.get("rmse_ci95", ()))
        where = f"{info['val_images']:,} photographs of {info['val']}"
        rows.append(("RMSE", f"{info['rmse']:.4f} ({interval}) on {where}"))
    if "torch" in info:
        rows.append(("made with", f"PyTorch {info['torch']}"))
    return rows


def _effort(info: Mapping[str, Any]) -> str:
    recipe = info["recipe"]
    return f"{recipe['name']}, {recipe['steps']:,} steps of {recipe['batch']}, seed {info['seed']}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, line by line."""
    lines = [columns, ["---"] * len(columns), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
