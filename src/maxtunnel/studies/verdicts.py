"""What a study comes to, kept beside its rows, and the verdicts of all studies in one document.

DIR/verdict.json         written with the page of the study in DIR
claims.md                the paper's claims; its section on the related systems is made of verdicts
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maxtunnel.support.files import FormatError, one_line, replacing
from maxtunnel.support.markdown import markdown_table
from maxtunnel.support.records import from_json, to_json

HEADING = "## Where the related systems stand"
SIZE = "size of the study"  # the name of the fact that says it
TOY = "A toy run: it shows that everything works, and answers nothing."
_FILE = "verdict.json"
# The last section that `maxtunnel reproduce` writes; ours stands before it.
_LAST = "## Where these numbers come from"


@dataclass(frozen=True)
class Verdict:
    """What a study comes to.

    Attributes:
        study: its name, as in `maxtunnel study NAME`.
        title: of its page.
        question: what is asked, in a paragraph.
        quote: the sentence of a paper that the question is about; empty for none.
        answers: for each case that was decided a word or a few, such as `supported`.
        sentences: the same with numbers, a paragraph each.
        left_out: what is not there of the full study, in words; empty for nothing.
        missing: names of the runs that are not done, as another process is at them.
        facts: where and when it was made, by name; see `gather_facts`.
    """

    study: str
    title: str
    question: str
    quote: str
    answers: Mapping[str, str]
    sentences: tuple[str, ...]
    left_out: str
    missing: tuple[str, ...]
    facts: Mapping[str, str]

    @property
    def toy(self) -> bool:
        """Whether it is of the smallest size, whose numbers say nothing."""
        return self.facts.get(SIZE) == "toy"

    @property
    def gaps(self) -> tuple[str, ...]:
        """What is not there, in sentences; of a toy run first that it is one."""
        left_out = f"This is not the whole study. Left out: {self.left_out}."
        missing = f"Not there yet, as another process is at them: {', '.join(self.missing)}."
        told = ((TOY, self.toy), (left_out, self.left_out), (missing, self.missing))
        return tuple(text for text, there in told if there)

    def keep(self, folder: Path) -> None:
        """Write it into the study's folder."""
        with replacing(folder / _FILE) as temporary:
            temporary.write_text(json.dumps(to_json(self), indent=1) + "\n", encoding="utf-8")


def write_verdicts(folders: Sequence[str | Path], into: str | Path) -> list[Verdict]:
    """Put the verdicts of studies into a document, as one section in the place of an older one.

    Args:
        folders: of studies, or folders in which such folders lie.
        into: the document in Markdown, such as `docs/claims.md`.

    Returns:
        The verdicts, in the order of the section.

    Raises:
        FormatError: a verdict is damaged, or the document cannot be read.
        ValueError: a folder holds no study with a verdict.
    """
    found, document = _find_all(folders), Path(into)
    try:
        before = document.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or one_line(error)
        raise FormatError(f"{into} cannot be read ({reason}): give a document in Markdown") from None
    section = [
        *(HEADING, ""),
        *("Written by `maxtunnel study verdicts` from what studies found, after `maxtunnel reproduce`.", ""),
        *(line for folder, verdict in found for line in _lines(verdict, folder, document.parent)),
    ]
    with replacing(document) as temporary:
        temporary.write_text(_with_section(before, "\n".join(section)), encoding="utf-8")
    return [verdict for _, verdict in found]


def _find_all(folders: Sequence[str | Path]) -> list[tuple[Path, Verdict]]:
    """Every verdict with the folder that it lies in, once, in the order of the folders.

    Titles that several would share get the names of their folders.
    """
    found: dict[Path, tuple[Path, Verdict]] = {}
    for folder in map(Path, folders):
        paths = [path for path in (folder / _FILE, *sorted(folder.glob(f"*/{_FILE}"))) if path.is_file()]
        if not paths:
            raise ValueError(
                f"{folder} holds no study with a {_FILE}: give folders that `maxtunnel study` wrote to"
            )
        for path in paths:
            found.setdefault(path.resolve(), (path.parent, _read(path)))
    counts = Counter(verdict.title for _, verdict in found.values())
    return [
        (folder, replace(verdict, title=f"{verdict.title} ({folder.name})"))
        if counts[verdict.title] > 1
        else (folder, verdict)
        for folder, verdict in found.values()
    ]


def _read(path: Path) -> Verdict:
    try:
        return from_json(Verdict, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise FormatError(
            f"{path} cannot be read ({one_line(error)}): give the study's command again to write it anew"
        ) from None


def _lines(verdict: Verdict, folder: Path, beside: Path) -> Iterator[str]:
    """One verdict in Markdown, for a document in the folder `beside`."""
    yield from (f"### {verdict.title}", "", verdict.question, "")
    if verdict.quote:
        yield from (f"> {verdict.quote}", "")
    if verdict.answers:
        yield from (*markdown_table(("case", "verdict"), list(verdict.answers.items())), "")
    for sentence in (*verdict.sentences, *verdict.gaps):
        yield from (sentence, "")
    yield from (_origin(verdict, folder, beside), "")
    yield from (f"    {verdict.facts.get('command') or f'maxtunnel study {verdict.study}'}", "")


def _origin(verdict: Verdict, folder: Path, beside: Path) -> str:
    """Where more of a study stands, and when and on what it was made."""
    page = folder.parent / f"{verdict.study}.md"
    address = Path(os.path.relpath(page, beside)).as_posix()
    more = f"More: [{address}]({address}). " if page.is_file() else ""
    made = ", ".join(
        value for name in ("date", "processor", "versions") if (value := verdict.facts.get(name))
    )
    return f"{more}Made: {made}." if made else more.rstrip()


def _with_section(text: str, section: str) -> str:
    """A document with a section in the place of an older one, before the last, or at the end."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("## ")]
    heads = {lines[start]: start for start in starts}
    first = end = heads.get(HEADING, heads.get(_LAST, len(lines)))
    if HEADING in heads:
        end = next((start for start in starts if start > first), len(lines))
    parts = ("\n".join(lines[:first]).rstrip(), section.rstrip(), "\n".join(lines[end:]).strip())
    return "\n\n".join(part for part in parts if part) + "\n"
