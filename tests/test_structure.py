"""Imports go one way: a file may use only those that stand before it here."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "maxtunnel"
ORDER = [
    "files",
    "progress",
    "window",
    "native",
    "kernels",
    "switches",
    "images",
    "network",
    "batches",
    "caffe",
    "zoo",
    "evaluation",
    "recipes",
    "state",
    "training",
    "runs",
    "figures",
    "demo",
    "console",
    "__main__",
]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "maxtunnel":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("maxtunnel."):
            yield node.module.split(".")[1]


def test_every_file_has_its_place():
    assert sorted(ORDER) == sorted(path.stem for path in SOURCE.glob("*.py") if path.stem != "__init__")


def test_imports_go_one_way():
    wrong = [
        f"{name} imports {other}"
        for position, name in enumerate(ORDER)
        for other in imports(SOURCE / f"{name}.py")
        if ORDER.index(other) >= position
    ]
    assert not wrong


def test_only_training_knows_the_engine():
    assert [path.stem for path in SOURCE.glob("*.py") if "lightning" in path.read_text()] == ["training"]
