"""Shapes and types are checked at run time in all tests; data outside the repository is found here."""

import os
from pathlib import Path

from jaxtyping import install_import_hook

# Before anything of the package is imported.
install_import_hook("maxtunnel", "beartype.beartype")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

ROOT = Path(__file__).parents[1]


@pytest.fixture
def one_thread(monkeypatch):
    """Small training runs are quicker on one thread, and on a busy machine much quicker."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference arrays, snapshots and photographs."""
    folder = Path(os.environ.get("MAXTUNNEL_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no reference data: {folder} is not there; point MAXTUNNEL_SHARED to it")
    return folder


@pytest.fixture
def photographs_folder(tmp_path: Path) -> Path:
    """A folder of twelve small pictures of coloured shapes in two class folders."""
    random = np.random.default_rng(0)
    for number in range(12):
        folder = tmp_path / "photographs" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        picture = np.zeros((40, 40, 3), np.uint8) + random.integers(0, 256, 3).astype(np.uint8)
        top, left = random.integers(0, 24, 2)
        picture[top : top + 16, left : left + 16] = random.integers(0, 256, 3)
        Image.fromarray(picture).save(folder / f"{number:02d}.png")
    return tmp_path / "photographs"
