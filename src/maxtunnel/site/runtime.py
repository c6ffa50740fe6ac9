"""onnxruntime-web, which computes the networks in the browser: from a folder, or by npm."""

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from maxtunnel.support.files import FormatError

VERSION = "1.30.0"
# Of the package's 138 MB these compute on the processor, in one thread, without headers that allow more.
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_NAME = "onnxruntime-web"
_GET_IT = f"npm pack {_NAME}@{VERSION}, unpacked, is one"
_SECONDS = 600


def copy_runtime(target: Path, folder: Path | None = None) -> str:
    """Copy what a page needs of onnxruntime-web, and give its version.

    Args:
        target: folder to copy to.
        folder: of the npm package, such as node_modules/onnxruntime-web; None has npm fetch it.

    Raises:
        FormatError: `folder` is not that package, or lacks a file.
        ValueError: there is no folder, and npm is not here or fails.
    """
    if folder is not None:
        return _copy(folder, target)
    with tempfile.TemporaryDirectory() as temporary:
        return _copy(_packed(Path(temporary)), target)


def _packed(folder: Path) -> Path:
    """The package, fetched by npm into a folder."""
    npm = shutil.which("npm")
    if npm is None:
        raise ValueError(
            f"the page needs {_NAME}, and npm is not here to fetch it: give `onnxruntime_web`, the package's "
            f"folder ({_GET_IT})"
        )
    settings = {"npm_config_loglevel": "error", "npm_config_prefer_offline": "true"}
    try:
        subprocess.run(
            [npm, "pack", f"{_NAME}@{VERSION}"], check=True, capture_output=True, text=True, timeout=_SECONDS,
            cwd=folder, env=os.environ | settings,
        )  # fmt: skip
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = (error.stderr or "").strip() if isinstance(error, subprocess.CalledProcessError) else ""
        reason = said.splitlines()[-1][:200] if said else "it gave no answer"
        raise ValueError(
            f"npm could not fetch {_NAME} ({reason}): give `onnxruntime_web`, the package's folder"
        ) from None
    wanted = {"package/package.json", *(f"package/dist/{name}" for name in FILES)}
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        for member in archive:
            if member.name in wanted:
                archive.extract(member, folder, filter="data")
    return folder / "package"


def _copy(folder: Path, target: Path) -> str:
    try:
        about = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        named, version = about["name"], str(about["version"])
    except (OSError, ValueError, KeyError, TypeError):
        named, version = "", ""
    if named != _NAME:
        raise FormatError(f"{folder} is not the npm package {_NAME}: give its folder ({_GET_IT})")
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        file = folder / "dist" / name
        if not file.is_file():
            raise FormatError(f"{folder} is {_NAME} {version} without dist/{name}: give version {VERSION}")
        shutil.copyfile(file, target / name)
    return version
