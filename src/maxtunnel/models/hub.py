"""The layout of model hubs: a folder with config.json, model.safetensors and a model card, README.md."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TypedDict, Unpack

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.checkpoint import FORMAT
from maxtunnel.models.provenance import Provenance
from maxtunnel.support.files import FormatError, one_line, replacing
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


class Fetch(TypedDict, total=False):
    """What fetching from the hub takes, as huggingface_hub means it.

    Attributes:
        revision: branch, tag or commit.
        token: of the user; False for none.
        cache_dir: where downloads are kept.
        local_files_only: take what is kept there, and ask nobody.
    """

    revision: str
    token: str | bool
    cache_dir: str | Path
    local_files_only: bool


class Push(TypedDict, total=False):
    """What putting something onto the hub takes, as huggingface_hub means it.

    Attributes:
        revision: the branch.
        token: of the user.
        private: whether a repository that is made is so.
        commit_message: of the commit.
        create_pr: ask for the change, in the place of making it.
    """

    revision: str
    token: str | bool
    private: bool
    commit_message: str
    create_pr: bool


def write_layout(
    folder: Path,
    architecture: Architecture,
    scale: float,
    size: tuple[int, int],
    parameters: int,
    provenance: Provenance,
    strong_width: int | None = None,
) -> None:
    """Write config.json and README.md; the weights are the network's own file.

    Args:
        folder: to write to.
        architecture, parameters, provenance, strong_width: as for `model_card`.
        scale: of the network.
        size: (height, width) of its mean image.
    """
    bits = architecture.bits_per_pixel(size)
    config = {
        "model_type": "maxtunnel",
        "format": FORMAT,
        "architecture": str(architecture),
        "widths": architecture.widths,
        "decoder": decoder_of(strong_width),
        "scale": scale,
        "size": size,
        "bits_per_pixel": bits,
        "info": provenance.to_json(),
    }
    with replacing(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    with replacing(folder / CARD) as temporary:
        card = model_card(architecture, parameters, bits, provenance, strong_width)
        temporary.write_text(card, encoding="utf-8")


def find_weights(source: str | Path, **options: Unpack[Fetch]) -> Path:
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
    hub = _library(f"no folder {str(source)!r}; to fetch it from the hub")
    with _refusing(f"{source} cannot be fetched from the hub"):
        return Path(hub.hf_hub_download(str(source), WEIGHTS, **options))


def push(folder: Path, name: str, provenance: Provenance, **options: Unpack[Push]) -> str:
    """Put a folder in the hub's layout into the repository `name`, its card with what is known of its error.

    Returns:
        The address of the commit.

    Raises:
        FormatError: huggingface_hub is not installed, or the hub refuses.
    """
    hub = _library("to put a network onto the hub")
    card = hub.ModelCard.load(folder / CARD)
    data = hub.ModelCardData(**card.data.to_dict(), **_measured(hub, name, provenance))
    hub.ModelCard(f"---\n{data.to_yaml()}\n---\n{card.text}").save(folder / CARD)
    private = options.pop("private", None)
    with _refusing(f"{name} cannot be put onto the hub"):
        hub.create_repo(name, private=private, token=options.get("token"), exist_ok=True)
        return str(hub.upload_folder(repo_id=name, folder_path=folder, **options))


def _measured(hub: ModuleType, name: str, provenance: Provenance) -> dict[str, object]:
    """Fields of `ModelCardData`: its error in the form in which the hub shows results, where it is known."""
    record = provenance.training
    if record is None:
        return {}
    data: dict[str, object] = {
        "model_name": name.rpartition("/")[2],
        "datasets": [record.data.partition("/")[0]],
    }
    if record.rmse is None or record.val is None:
        return data
    error = hub.EvalResult(
        task_type="image-to-image",
        dataset_type=record.val.partition("/")[0],
        dataset_name=f"{record.val_images or 0:,} photographs of {record.val}",
        metric_type="rmse",
        metric_name="RMSE, values in [0, 1]",
        metric_value=round(record.rmse, 4),
    )
    return {**data, "metrics": ["rmse"], "eval_results": [error]}


def _library(why: str) -> ModuleType:
    try:
        import huggingface_hub
    except ImportError:
        raise FormatError(f"{why}: pip install huggingface-hub") from None
    return huggingface_hub


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Say the library's own errors, of missing repositories and connections, in one line."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise FormatError(f"{what}: {one_line(error)[:200]}") from None


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
