"""The wheel holds all it needs, and the README is true."""

import re
import shlex
import subprocess
import sys
import tomllib
import venv
import zipfile
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from maxtunnel.commands.app import COMMANDS, STUDIES, app
from maxtunnel.support.system import cache_folder

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
COMMAND = get_command(app)
STUDY = COMMAND.commands["study"].commands
UsageError = typer.BadParameter.__base__


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    name = subprocess.check_output([sys.executable, "-c", build, str(folder)], cwd=ROOT, text=True)
    return folder / name.split()[-1]


def test_the_wheel_is_whole_and_small(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "py.typed",
        "codec/priors/8-8-8.safetensors",
        "data/photographs/chelsea.jpg",
        "data/photographs/LICENSES.md",
        "native/pooling.cpp",
        "report/report.css",
        "web/page.css",
        "web/page.js",
        "zoo/weights/8-8-8.safetensors",
    ):
        assert f"maxtunnel/{needed}" in names
    source = ROOT / "src"
    files = [path for path in (source / "maxtunnel").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {str(path.relative_to(source)) for path in files} <= set(names)
    assert not [name for name in names if name.startswith(("tests", "docs"))]
    assert wheel.stat().st_size < 45e6


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Python, and the folder of the packages, of an environment that has the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    site = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    ).strip()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--target", site, str(wheel)], check=True)
    return python, site


def test_types_are_seen_from_outside(installed, tmp_path):
    python, _ = installed
    script = tmp_path / "script.py"
    script.write_text(
        "import maxtunnel\n"
        "reveal_type(maxtunnel.Window(2).cells)\n"
        "reveal_type(maxtunnel.load('8-8-8').identity())\n"
        "maxtunnel.Window(kernel='three')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--python-executable", str(python), "--ignore-missing-imports",
         "--no-error-summary", "--config-file", "", "--cache-dir", str(tmp_path / "cache"), str(script)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = re.findall(r"script\.py:(\d+): (?:note|error): (.*)", done.stdout)
    assert [line for line, _ in said] == ["2", "3", "4"], done.stdout + done.stderr
    assert said[0][1].endswith('int"')
    assert said[1][1].endswith('bytes"')
    assert '"Window" has incompatible type "str"' in said[2][1]


def test_links_of_the_readme_on_an_index_lead_into_the_repository(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    header, _, text = archive.read(name).decode().partition("\n\n")
    assert "Project-URL: Source, https://github.com/" in header
    assert "https://raw.githubusercontent.com/maxtunnel/maxtunnel/main/docs/images/demo.webp" in text
    links = re.findall(r"\]\(([^)]+)\)", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    assert len(links) > 10
    assert not [link for link in links if not link.startswith(("https://", "#"))]


def test_the_demo_runs_from_the_wheel(installed, tmp_path):
    """In an environment of its own, which borrows this one's libraries but not this checkout."""
    python, site = installed
    # The checkout is installed editable here, by a path file, which a plain folder on the path ignores.
    libraries = Path(sys.executable).parents[1] / "lib" / Path(site).parts[-2] / "site-packages"
    # Native code is compiled in other tests.
    cache = {"XDG_CACHE_HOME": str(cache_folder()), "HOME": str(tmp_path)}
    code = (
        "import maxtunnel, sys; from maxtunnel.__main__ import main; "
        "print(maxtunnel.__file__); ended = main(); print('torch._dynamo' in sys.modules); sys.exit(ended)"
    )
    done = subprocess.run(
        [python, "-c", code, "demo", "-m", "8-8-8", "-m", "16-16-16", "--out", str(tmp_path / "demo")],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{site}:{libraries}"} | cache,
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.splitlines()
    assert site in first
    # PyTorch's compiler takes seconds to import, and few operations on the meta device are enough for that.
    assert last == "False"
    assert (tmp_path / "demo" / "demo.png").stat().st_size > 100_000


@cache
def all_options():
    """Of every command."""
    return {
        option
        for command in [COMMAND, *COMMAND.commands.values(), *STUDY.values()]
        for parameter in command.get_params(typer.Context(command))
        for option in [*parameter.opts, *parameter.secondary_opts]
    }


def parse(line):
    """Read a command line as far as the command would begin its work; an error of Typer if it is wrong."""
    program, command, *arguments = shlex.split(line, comments=True)
    assert program == "maxtunnel"
    known = COMMAND.commands
    if command == "study":
        known, command, *arguments = STUDY, *arguments
    assert command in known, f"there is no command {command}"
    return known[command].make_context(command, arguments)


def blocks(text):
    """The command lines in the blocks of a document, fenced or indented; [...] is what may be left out."""
    for line in re.findall(r"^(?: {4})?(maxtunnel [a-z].*)", text.replace("\\\n", ""), re.MULTILINE):
        yield re.sub(r"[\[\]]", "", line)


def mentions(text):
    """Inline code with options: a whole command line, or without the first word, or options alone."""
    for code in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)):
        words = code.split()
        if words[0] in COMMAND.commands and len(words) > 1 and words[1].startswith("--"):
            yield ["maxtunnel", *words]
        elif (words[0] == "maxtunnel" and len(words) > 1) or words[0].startswith("--"):
            yield words


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_command_lines_of_the_documents_are_right(document):
    for line in blocks(document.read_text()):
        parse(line)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_options_that_the_documents_mention_exist(document):
    options = all_options()
    for words in mentions(document.read_text()):
        if words[0] == "maxtunnel" and not words[1].startswith("-"):
            try:
                parse(shlex.join(words))
            except UsageError as error:
                # A sentence may leave out what a command needs, but not name what it does not know.
                assert type(error).__name__ == "MissingParameter", (words, error)  # noqa: PT017
        for option in (word for word in words if word.startswith("--")):
            assert option in options, words


@pytest.mark.parametrize("example", [example for _, example in (*COMMANDS, *STUDIES)])
def test_the_examples_of_the_help_are_right(example):
    parse(example)


@pytest.mark.parametrize(
    "line",
    [
        "maxtunnel sing",
        "maxtunnel demo --sing",
        "maxtunnel train 8-8-8 --recipe slow",
        "maxtunnel evaluate 8-8-8",
        "maxtunnel figure 5",
        "maxtunnel models 8-8-8",
    ],
)
def test_a_wrong_command_line_would_be_found(line):
    with pytest.raises((UsageError, AssertionError)):
        parse(line)


def test_the_readme_shows_every_command_that_it_should():
    shown = {line.split()[1] for line in blocks((ROOT / "README.md").read_text())}
    assert {"demo", "reconstruct", "evaluate", "train", "models", "summary", "import"} <= shown


def test_the_targets_of_make_in_the_readme_exist():
    targets = re.findall(r"`?make ([a-z]+)", (ROOT / "README.md").read_text())
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert programs
    for program in programs:
        exec(compile(program, "README.md", "exec"), {})


def test_pictures_and_links_of_the_documents_exist():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            assert target.startswith("http") or (document.parent / target).exists(), f"{document}: {target}"


def test_the_space_takes_the_wheel_of_a_release():
    (taken,) = re.findall(
        r"^COPY (\S+) ", (ROOT / "space" / "serve" / "Dockerfile").read_text(), re.MULTILINE
    )
    named = "maxtunnel-0.1.0-py3-none-{}.whl".format
    assert fnmatch(named("manylinux_2_27_x86_64.manylinux_2_28_x86_64"), taken)
    assert not [
        tag
        for tag in ("manylinux_2_28_aarch64", "macosx_12_0_arm64", "win_amd64")
        if fnmatch(named(tag), taken)
    ]


def test_every_extra_is_in_the_document_that_lists_them():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = (ROOT / "docs" / "howto" / "install.md").read_text()
    listed = re.findall(r"`([\w-]+)`", " ".join(re.findall(r"^\| (`.*?) \| ", text, re.MULTILINE)))
    assert extras.keys() - {"dev"} <= set(listed)


def test_one_version_everywhere():
    import maxtunnel

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"] == ["version", "readme"]
    assert f"version: {maxtunnel.__version__}" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{maxtunnel.__version__}] - " in (ROOT / "CHANGELOG.md").read_text()
