"""Imports go one way: a file may use only those that stand before it here."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "maxtunnel"
ORDER = [
    "files",
    "hub",
    "memory",
    "progress",
    "window",
    "native",
    "kernels",
    "convolution",
    "planar",
    "switches",
    "capturing",
    "images",
    "dataset",
    "architecture",
    "network",
    "codec",
    "tiling",
    "batches",
    "caffe",
    "zoo",
    "mxt",
    "evaluation",
    "recipes",
    "state",
    "phases",
    "training",
    "benchmark",
    "runs",
    "auditing",
    "figures",
    "demo",
    "paper",
    "web",
    "console",
    "__main__",
]


def files(name):
    """The file, or those of the folder, of this name."""
    return [SOURCE / f"{name}.py"] if (SOURCE / f"{name}.py").exists() else (SOURCE / name).glob("*.py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "maxtunnel":
            yield from (alias.name for alias in node.names if alias.name != "__version__")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("maxtunnel."):
            yield node.module.split(".")[1]


def test_every_file_has_its_place():
    folders = [path.parent.name for path in SOURCE.glob("*/__init__.py")]
    assert sorted(ORDER) == sorted(
        folders + [path.stem for path in SOURCE.glob("*.py") if path.stem != "__init__"]
    )


def test_imports_go_one_way():
    wrong = [
        f"{name} imports {other}"
        for position, name in enumerate(ORDER)
        for path in files(name)
        for other in imports(path)
        if ORDER.index(other) >= position and not (path.parent.name == other == name)
    ]
    assert not wrong


def test_only_training_knows_the_engine():
    assert [path.stem for path in SOURCE.glob("*.py") if "lightning" in path.read_text()] == ["training"]
