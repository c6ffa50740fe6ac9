"""Shapes and types are checked at run time in all tests; data outside the repository is found here.

Tests of a GPU are marked `gpu`. With `-m gpu` nothing else is imported, so that they can be run from a
checkout where no more than the package's own requirements and pytest are installed.
"""

import multiprocessing
import os
import warnings
from importlib.util import find_spec
from multiprocessing.context import BaseContext
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Any

import pytest

# Before PyTorch is imported. Threads of several processes wait for each other without sleeping: on two busy
# cores the same work took fourteen times the processor time. Tests of threads say how many they want.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before anything of the package is imported.
if find_spec("beartype"):
    from checked_types import begin_test, install_checks

    install_checks("maxtunnel")
else:

    def begin_test() -> None:
        """Nothing is checked, so nothing is counted."""


with warnings.catch_warnings():
    # What libraries of other versions say of each other is no fault of ours.
    warnings.simplefilter("ignore")
    import numpy as np
    import torch
    from PIL import Image

ROOT = Path(__file__).parents[1]
# Files that take longest. Processes take a file each at a time, so what is long comes first: at the end
# none waits for long.
LONG = (
    "test_training", "test_browser", "test_experiments", "test_cluster", "test_mirrored", "test_clock",
    "test_reproduction", "test_resume", "test_strong_reproduction", "test_package", "test_addresses",
    "test_strong_runs", "test_bounds", "test_operators", "test_pooling", "test_training_engine",
    "test_figures", "test_network_commands", "test_learned_runs", "test_plan", "test_audit_command",
    "test_hostile_snapshots", "test_site_browser", "test_photograph_commands", "test_networks",
    "test_unpooling_models",
)  # fmt: skip

# Files whose tests share what is made once a process and takes long: a server of processes that have imported
# what trainings need, a page that is served, one audit.
TOGETHER = {
    "trainings": ("test_training", "test_nodes", "test_benchmark"),
    "clusters": ("test_cluster", "test_gpus"),
    "pages": (
        "test_browser", "test_layout", "test_gate", "test_messages", "test_tabs", "test_dense_browser",
        "test_given_networks", "test_file_bounds",
    ),
    "audits": (
        "test_experiments", "test_audit_page", "test_audited_levels", "test_conclusions", "test_mitigations"
    ),
}  # fmt: skip


def _only_gpu(config: pytest.Config) -> bool:
    return config.getoption("markexpr").strip() == "gpu"


def pytest_addoption(parser: pytest.Parser) -> None:
    """For trying the tests of a GPU out where there is none."""
    parser.addoption("--device", default="cuda", help="Where tests that are marked `gpu` run: cuda or cpu.")


def pytest_configure(config: pytest.Config) -> None:
    """Elsewhere other versions are installed, whose warnings say nothing about the GPU."""
    if _only_gpu(config):
        config.addinivalue_line("filterwarnings", "default")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Whether a file is passed over."""
    if not _only_gpu(config):
        return None
    files = collection_path.rglob("*.py") if collection_path.is_dir() else [collection_path]
    return None if any("pytest.mark.gpu" in file.read_text(encoding="utf-8") for file in files) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is long comes first."""
    rank = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(LONG)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What of several processes takes which file: those of `TOGETHER` are taken by one."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    shared = {file: what for what, files in TOGETHER.items() for file in files}

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return shared.get(Path(file).stem, file)

    return Scheduling(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests of a GPU where there is none; shapes are checked anew."""
    begin_test()
    asked = item.config.getoption("--device")
    if item.get_closest_marker("gpu") and asked == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA GPU is at hand")


@pytest.fixture
def one_thread(monkeypatch):
    """Small training runs are quicker on one thread, and on a busy machine much quicker."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def forkserver() -> BaseContext:
    """Processes that are forked from one which has imported what a training needs, and done nothing yet."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["imported_once"])
    # Whoever asks for the same server later gets this one, and its own list is not looked at.
    ensure_running()
    return context


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
