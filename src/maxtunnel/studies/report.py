"""What a study tells, once for all: the tables of the terminal, the page, and the verdict that is kept."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from maxtunnel.report.html import Html
from maxtunnel.studies.page import study_page
from maxtunnel.studies.verdicts import SIZE, Verdict
from maxtunnel.support.files import replacing
from maxtunnel.support.machine import processor, versions
from maxtunnel.support.tables import Table


@dataclass(frozen=True)
class Report:
    """What a study tells.

    Attributes:
        verdict: what it comes to.
        folder: where its rows and pictures lie.
        tables: for a terminal, CSV and LaTeX.
        notes: what to know before trusting a number, beside what is left out and what is missing.
        body: of the page, below verdict and notes.
        record: what decided the numbers, by name; the page shows it below the verdict's answers and facts.
    """

    verdict: Verdict
    folder: Path
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    body: tuple[Html, ...]
    record: Mapping[str, str]

    @property
    def page(self) -> str:
        """The HTML: no network, no scripts, pictures inside."""
        return study_page(self.verdict, self.notes, self.body, self.record)

    def write(self) -> Path:
        """Write STUDY.html and verdict.json into the study's folder; the page's path."""
        path = self.folder / f"{self.verdict.study}.html"
        with replacing(path) as temporary:
            temporary.write_text(self.page, encoding="utf-8")
        self.verdict.keep(self.folder)
        return path


def gather_facts(command: str, data: str, began: float, size: str, **more: str) -> dict[str, str]:
    """Where and when a study was made, by name.

    Args:
        command: the command line; empty where there is none.
        data: where its data lie.
        began: what `time.monotonic` said at its beginning.
        size: `toy`, `small` or `full`.
        more: others of the study.
    """
    return {
        "command": command,
        "data": data,
        SIZE: size,
        **more,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds, this time": f"{time.monotonic() - began:,.0f}",
        "processor": processor(),
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }
