"""What a study finds is kept, and reaches the document of claims by one command."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from maxtunnel.commands.studying import show_study
from maxtunnel.report.html import element
from maxtunnel.studies.report import Report, gather_facts
from maxtunnel.studies.verdicts import HEADING, TOY, Verdict, write_verdicts
from maxtunnel.support.files import FormatError
from maxtunnel.support.tables import Column, Table
from tools.command_line import call, refuse

CLAIMS = """# The paper's claims

## Do more filters help?

**Yes.**

## Where these numbers come from

| what | value |
"""


def verdict(study="toys", **changed):
    found = Verdict(
        study=study,
        title=f"Do {study} help?",
        question="Somebody doubts it, and asks:",
        quote="Further play could clarify this.",
        answers={"with 10 toys": "supported", "with 100 toys": "open"},
        sentences=("With 10 toys they help by 1.00 points.", "With 100 these runs leave it open."),
        left_out="",
        missing=(),
        facts={
            "command": f"maxtunnel study {study} --out {study}",
            "date": "2026-11-27",
            "processor": "abacus",
        },
    )
    return replace(found, **changed)


def report(folder, **changed):
    table = Table("Toys", (Column("toy", "toy", text=True),), (("ball",),))
    body = (element("h2", "More"),)
    return Report(verdict(**changed), folder, (table,), ("Few toys.",), body, {"settings": "red"})


def write(folder, text=CLAIMS, **changed):
    """A study's folder, and a document."""
    folder.mkdir(parents=True)
    report(folder, **changed).write()
    document = folder.parents[1] / "claims.md"
    if not document.exists():
        document.write_text(text)
    return document


def test_page_and_verdict_lie_in_the_study_s_folder(tmp_path):
    page = report(tmp_path, left_out="1,000 toys", missing=("a", "b")).write()
    assert page == tmp_path / "toys.html"
    text = page.read_text()
    for words in (
        "Somebody doubts it", "“Further play could clarify this.”", "With 10 toys they help by 1.00 points.",
        "This is not the whole study. Left out: 1,000 toys.", "Few toys.",
        "Not there yet, as another process is at them: a, b.", "abacus", "red", "More",
        "with 10 toys: supported\nwith 100 toys: open",
    ):  # fmt: skip
        assert words in text
    # What is not there is said before what to know of the rest.
    assert text.index("not the whole study") < text.index("Few toys")
    kept = json.loads((tmp_path / "verdict.json").read_text())
    assert kept["answers"] == {"with 10 toys": "supported", "with 100 toys": "open"}


def test_a_verdict_reaches_the_claims_by_one_command(tmp_path):
    document = write(tmp_path / "studies" / "toys-red")
    (tmp_path / "studies" / "toys.md").write_text("# Toys")
    call("study", "verdicts", tmp_path / "studies", "--into", document)
    text = document.read_text()
    before, section = text.split(HEADING)
    assert before.endswith("**Yes.**\n\n")
    assert "### Do toys help?" in section
    assert "> Further play could clarify this." in section
    assert "| with 100 toys | open |" in section
    assert "With 10 toys they help by 1.00 points." in section
    assert "More: [studies/toys.md](studies/toys.md). Made: 2026-11-27, abacus." in section
    assert "    maxtunnel study toys --out toys" in section
    assert section.endswith("\n\n## Where these numbers come from\n\n| what | value |\n")


def test_studies_of_one_title_are_told_apart_by_their_folders(tmp_path):
    for name, study in (("toys-red", "toys"), ("toys-blue", "toys"), ("games", "games")):
        document = write(tmp_path / "studies" / name, study=study)
    write_verdicts([tmp_path / "studies"], document)
    heads = [line for line in document.read_text().splitlines() if line.startswith("### ")]
    assert heads == ["### Do games help?", "### Do toys help? (toys-blue)", "### Do toys help? (toys-red)"]


def test_a_section_takes_the_place_of_the_older_one(tmp_path):
    document = write(tmp_path / "studies" / "toys")
    write_verdicts([tmp_path / "studies"], document)
    once = document.read_text()
    write_verdicts([tmp_path / "studies" / "toys", tmp_path / "studies"], document)
    assert document.read_text() == once
    write(tmp_path / "studies" / "games", study="games", sentences=("They do.",), left_out="chess")
    found = write_verdicts([tmp_path / "studies"], document)
    assert [each.study for each in found] == ["games", "toys"]
    text = document.read_text()
    assert text.count(HEADING) == 1
    assert text.index("They do.") < text.index("Left out: chess.") < text.index("### Do toys help?")
    assert text.endswith(CLAIMS[CLAIMS.index("## Where") :])
    assert text.startswith(CLAIMS[: CLAIMS.index("## Where")])


@pytest.mark.parametrize(
    "text", ["# Claims\n", f"# Claims\n\n## Where these numbers come from\n\nx\n\n{HEADING}\n\nold"]
)
def test_a_document_of_another_order_is_filled_too(tmp_path, text):
    document = write(tmp_path / "studies" / "toys", text)
    write_verdicts([tmp_path / "studies"], document)
    written = document.read_text()
    assert written.startswith(text.split(f"\n{HEADING}")[0])
    assert written.count(HEADING) == 1
    assert "old" not in written
    assert written.rstrip().endswith("maxtunnel study toys --out toys")


def test_what_cannot_be_read_is_refused(tmp_path):
    document = write(tmp_path / "studies" / "toys")
    (tmp_path / "none").mkdir()
    error = refuse("study", "verdicts", str(tmp_path / "none"), "--into", str(document))
    assert "holds no study with a verdict.json" in error
    with pytest.raises(FormatError, match=r"no\.md cannot be read \(No such file or directory\)"):
        write_verdicts([tmp_path / "studies"], tmp_path / "no.md")
    kept = tmp_path / "studies" / "toys" / "verdict.json"
    kept.write_text('{"study": "toys"}')
    with pytest.raises(FormatError, match=r"verdict\.json cannot be read .*title is missing"):
        write_verdicts([tmp_path / "studies"], document)
    assert document.read_text() == CLAIMS


def test_what_a_study_was_made_with_is_told():
    told = gather_facts("maxtunnel study toys", "toys", 0.0, "small", encoder="vgg16")
    assert (told["command"], told["data"], told["encoder"]) == ("maxtunnel study toys", "toys", "vgg16")
    assert {"date", "seconds, this time", "processor", "versions"} < told.keys()


@pytest.mark.parametrize("size", ["toy", "small", "full"])
def test_a_toy_run_is_called_one_before_anything_else(tmp_path, size):
    told = {"facts": gather_facts("", "toys", 0.0, size), "left_out": "half of them"}
    document = write(tmp_path / "studies" / "toys", **told)
    with CliRunner().isolation() as (output, *_):
        show_study(report(tmp_path / "studies" / "toys", **told), None, None)
        printed = output.getvalue().decode()
    write_verdicts([tmp_path / "studies"], document)
    page = (tmp_path / "studies" / "toys" / "toys.html").read_text()
    assert printed.startswith(TOY) == (f"<ul><li>{TOY}</li><li>This is not" in page) == (size == "toy")
    assert (TOY in document.read_text()) == (size == "toy")
