"""Where a change goes, and the house on one page: both name what is there."""

import re
from functools import cache
from itertools import permutations, product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "maxtunnel"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
# What is not in a frame: whose own backticks would be taken for quotes.
CHANGES, HOUSE = (
    re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for text in (CONTRIBUTING, (ROOT / "docs" / "architecture.md").read_text())
)
# Stands for what whoever makes the change calls it.
TO_COME = re.compile(r"NAME|PAPER")
PATH = re.compile(r"[\w/.{},-]+\.(?:py|cpp|css|md|toml)")
QUOTED = re.compile(r"`([^`]+)`")
# Asks, or says, which of the two kinds a decoder is.
KIND = re.compile(
    r"strong_width is |StrongDecoder\)|MirroredDecoder \||[!=]= \"(?:strong|mirrored)\""
    r"|\"strong\" in|-strong[\"`]"
)


def sections():
    """The ten changes by their titles."""
    parts = re.split(r"^### (?=\d+\. )", CHANGES.split("### Smaller ones")[0], flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


def points(section):
    """The points of a section by their bold heads; what goes on below a point belongs to it."""
    found = re.split(r"^(?:- )?\*\*(.+?)\*\*", section, flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def spread(path):
    """`a/{b,c}.py` as a/b.py and a/c.py."""
    parts = [part.split(",") for part in re.split(r"[{}]", path)]
    return ["".join(choice) for choice in product(*parts)]


def paths(text):
    """All files that are named in backticks."""
    quoted = [name for name in QUOTED.findall(" ".join(text.split())) if PATH.fullmatch(name)]
    return [path for name in quoted for path in spread(name)]


@cache
def words():
    """All words of code, tests and settings, but of this file."""
    files = [*SOURCE.rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]
    files += [*SOURCE.rglob("*.css"), ROOT / "pyproject.toml", ROOT / "Makefile"]
    text = " ".join(file.read_text() for file in files if file != Path(__file__))
    return frozenset(re.findall(r"\w+", text))


def test_paths_are_spread():
    assert paths("see `a/{b,c}.py`,\n`d.md` and `e`") == ["a/b.py", "a/c.py", "d.md"]


def test_there_are_ten_changes_with_code_tests_and_words():
    found = sections()
    assert [title.partition(".")[0] for title in found] == [str(number) for number in range(1, 11)]
    for title, section in found.items():
        heads = list(points(section))
        assert "Tests." in heads, title
        # A kernel has a point for each processor in the place of one for code.
        assert {"Code.", "Code, from below.", "On a CPU.", "How it came about."} & set(heads), title
        assert heads.index("Tests.") > 0, title
        # What a page looks like is written nowhere.
        assert "Words." in heads or title.startswith("6."), title


@pytest.mark.parametrize("title", sections())
def test_files_that_a_change_names_are_there(title):
    missing, found = [], 0
    for head, text in points(sections()[title]).items():
        # Those of tests are paths of `tests`; words are in documents of the root, and in code.
        folders = {"Tests.": [ROOT / "tests"], "Words.": [ROOT, SOURCE]}
        places = folders.get(head, [SOURCE, ROOT, ROOT / "tests"])
        for path in paths(text):
            found += 1
            shown = [*places, ROOT] if path.startswith(("tools/", "README")) else places
            if not TO_COME.search(path) and not any((place / path).is_file() for place in shown):
                missing.append(f"{head} {path}")
    assert not missing
    assert found > 4


@pytest.mark.parametrize("text", [CHANGES.split("### 1.")[0], CHANGES.split("### Smaller ones")[1], HOUSE])
def test_files_that_are_named_elsewhere_are_there(text):
    places = [ROOT, SOURCE, ROOT / "docs"]
    # What `a/{b,c}.py` means is said of files that are none.
    named = [path for path in paths(text) if not TO_COME.search(path) and not path.startswith("a/")]
    assert named
    assert not [path for path in named if not any((place / path).is_file() for place in places)]


@pytest.mark.parametrize("text", [CHANGES, HOUSE])
def test_names_in_code_are_there(text):
    quoted = {name for name in QUOTED.findall(text) if re.fullmatch(r"\.?[\w.-]+", name)}
    names = {part for name in quoted if not PATH.fullmatch(name) for part in re.findall(r"\w+", name)}
    # Examples of what could come, and what stands for nothing.
    names -= {"grad", "clip", "zlib", "mxt"} | {
        name for name in names if name.isdigit() or TO_COME.search(name)
    }
    assert len(names) > 20
    assert not names - words()


def test_a_decoder_is_told_of_every_file_that_asks_for_its_kind():
    (section,) = (text for title, text in sections().items() if title.startswith("3."))
    named = set(paths(section))
    asking = {
        path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if KIND.search(path.read_text())
    }
    assert "models/tunnel.py" in asking
    assert not asking - named


def test_rooms_side_by_side_use_nothing_of_each_other():
    beside = ("benchmark", "paper", "auditing")
    over = [(one, two) for one, two in permutations(("protection", *beside), 2) if "protection" in (one, two)]
    for room, other in [*product(beside, beside), *(pair for pair in over if "auditing" not in pair)]:
        if room != other:
            files = [
                path for path in (SOURCE / room).rglob("*.py") if f"maxtunnel.{other}" in path.read_text()
            ]
            assert not files


def test_what_make_is_asked_for_is_a_target():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    asked = re.findall(r"^make ([\w-]+)", CONTRIBUTING, re.MULTILINE)
    assert {"test", "lint", "test-gpu"} <= set(asked) <= set(targets)


def test_links_to_heads_lead_somewhere():
    for path, head in re.findall(r"\]\(([\w./-]+)#([\w-]+)\)", CHANGES):
        heads = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(), re.MULTILINE)
        assert head in {re.sub(r"[^\w -]", "", name).lower().replace(" ", "-") for name in heads}
