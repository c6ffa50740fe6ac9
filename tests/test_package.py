"""The wheel holds all it needs, and the README is true."""

import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    name = subprocess.check_output([sys.executable, "-c", build, str(folder)], cwd=ROOT, text=True)
    return folder / name.split()[-1]


def test_the_wheel_is_whole_and_small(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "auditing/report.css",
        "kernels.cpp",
        "codec/codec.cpp",
        "priors/8-8-8.safetensors",
        "photographs/chelsea.jpg",
        "photographs/LICENSES.md",
        "web/page.css",
        "web/page.js",
        "weights/8-8-8.safetensors",
    ):
        assert f"maxtunnel/{needed}" in names
    assert not [name for name in names if name.startswith(("tests", "docs"))]
    assert wheel.stat().st_size < 20e6


def test_the_demo_runs_from_the_wheel(wheel, tmp_path):
    """In an environment of its own, which borrows this one's libraries but not this checkout."""
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--target", site.strip(), str(wheel)], check=True)
    # The checkout is installed editable here, by a path file, which a plain folder on the path ignores.
    libraries = Path(sys.executable).parents[1] / "lib" / Path(site.strip()).parts[-2] / "site-packages"
    code = (
        "import maxtunnel; from maxtunnel.__main__ import main; "
        "print(maxtunnel.__file__); raise SystemExit(main())"
    )
    done = subprocess.run(
        [python, "-c", code, "demo", "--out", str(tmp_path / "demo")],
        env={"PYTHONPATH": f"{site.strip()}:{libraries}", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout.splitlines()[0]
    assert (tmp_path / "demo" / "demo.png").stat().st_size > 100_000


def test_readme_commands_exist_and_its_python_runs(tmp_path, monkeypatch):
    text = (ROOT / "README.md").read_text()
    from typer.testing import CliRunner

    from maxtunnel.__main__ import app

    commands = set(re.findall(r"^maxtunnel ([a-z-]+)", text, re.MULTILINE))
    assert {"demo", "reconstruct", "evaluate", "train", "models", "summary", "import-caffe"} <= commands
    for command in commands:
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0
    for target in re.findall(r"`?make ([a-z]+)", text):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_pictures_and_links_of_the_documents_exist():
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            assert target.startswith("http") or (document.parent / target).exists(), f"{document}: {target}"


def test_one_version_everywhere():
    import maxtunnel

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"] == ["version"]
    assert f"version: {maxtunnel.__version__}" in (ROOT / "CITATION.cff").read_text()
    assert f"## {maxtunnel.__version__}" in (ROOT / "CHANGELOG.md").read_text()
