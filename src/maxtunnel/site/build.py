"""The page's folder: static files, networks, photographs and the runtime that computes them."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import maxtunnel
from maxtunnel.data import photographs
from maxtunnel.data.photographs import DEMO
from maxtunnel.site.measured import show
from maxtunnel.site.parts import check_names, export_parts, write_squash
from maxtunnel.site.runtime import FILES, copy_runtime
from maxtunnel.support.files import check_folder

MODELS = ("16-16-16", "8-8-8")
# Stands in every page that was built, and tells it from another's.
_OURS = "<title>maxtunnel: "
_PAGE = Path(__file__).with_name("page")
_PHOTOGRAPHS = Path(photographs.__file__).parent


def build_site(out: Path, onnxruntime_web: Path | None = None, models: Sequence[str] = MODELS) -> int:
    """Write the page into a folder, and give the bytes of all its files.

    Its addresses are relative, so any server of files serves it, under any path; it asks nobody else for
    anything.

    Args:
        out: folder to write to; what is in it under other names stays.
        onnxruntime_web: folder of that npm package; None has npm fetch it.
        models: names of networks that ship, with the paper's decoder; the first one is shown first.

    Raises:
        ValueError: onnxruntime-web is not to be had, `models` has another name, the folder holds another
            page, or the package onnx is not installed.
    """
    check_names(models)
    check_folder(out)
    _check_spared(out / "index.html")
    out.mkdir(parents=True, exist_ok=True)
    # First, as this is what may be missing.
    version = copy_runtime(out / "runtime", onnxruntime_web)
    networks = export_parts(models, out)
    shutil.copytree(_PAGE, out, dirs_exist_ok=True)
    html = (_PAGE / "index.html").read_text(encoding="utf-8")
    html = html.replace("<!-- measured -->", show()).replace("<!-- version -->", maxtunnel.__version__)
    (out / "index.html").write_text(html.replace("<!-- runtime -->", version), encoding="utf-8")
    _copy_photographs(out / "photographs")
    about = {
        "networks": networks,
        "photographs": list(DEMO),
        "squash": write_squash(out),
        "runtime": {"file": f"runtime/{FILES[-1]}", "bytes": (out / "runtime" / FILES[-1]).stat().st_size},
    }
    (out / "networks.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    # GitHub Pages would leave out what begins with an underscore, and look for templates.
    (out / ".nojekyll").touch()
    return sum(file.stat().st_size for file in out.rglob("*") if file.is_file())


def _check_spared(page: Path) -> None:
    """Refuse to write over a page that is not one of these."""
    if page.exists() and _OURS not in page.read_text(encoding="utf-8", errors="replace"):
        raise ValueError(f"`out` holds another page, {page}: give a folder of its own")


def _copy_photographs(target: Path) -> None:
    target.mkdir(exist_ok=True)
    for name in (*(f"{name}.jpg" for name in DEMO), "LICENSES.md"):
        shutil.copyfile(_PHOTOGRAPHS / name, target / name)
