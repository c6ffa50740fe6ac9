"""Model cards say what was measured, and where the authors' number comes from."""

import pytest
from paper_results import result, trained

from maxtunnel.paper.cards import write_cards
from maxtunnel.paper.results import tabulate


@pytest.mark.parametrize(
    ("results", "published"),
    [
        ([result("6-12-24", "shipped", [0.1], trained(1000))], "0.1321, noted"),
        (
            [result("6-12-24", "shipped", [0.1], trained(1000)), result("6-12-24", "snapshot", [0.13])],
            "0.1300, same run",
        ),
        ([result("48-96-192", "shipped", [0.05], trained(1000))], "none"),
    ],
)
def test_the_authors_number_is_of_the_same_run_or_noted(results, published, tmp_path):
    write_cards(tabulate(results), tmp_path / "models.md", "the command", 1)
    text = (tmp_path / "models.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith(f"| {results[0].row.name} |"))
    assert line.split(" | ")[-1] == f"{published} |"
    assert "fast, 1,000 steps of 16, seed 0" in text


def test_nothing_is_written_where_nothing_ships(tmp_path):
    write_cards(tabulate([result("8-8-8", "seed0", [0.1])]), tmp_path / "models.md", "the command", 1)
    assert not (tmp_path / "models.md").exists()


def test_strong_decoders_have_a_table_and_cards_of_their_own(tmp_path):
    results = [
        result("8-8-8", "shipped", [0.1], trained(1000)),
        result("8-8-8", "shipped", [0.05], trained(1000), width=8),
    ]
    write_cards(tabulate(results), tmp_path / "models.md", "the command", 1)
    text = (tmp_path / "models.md").read_text()
    assert "| 8-8-8-strong | 1.75 | 0.0500 |" in text
    assert "| decoder | strong, 8 channels |" in text[text.index("\n## 8-8-8-strong\n") :]
    assert text.count("\n## ") == 3


def test_what_ships_besides_is_named(tmp_path):
    write_cards(tabulate([result("8-8-8", "shipped", [0.1])]), tmp_path / "models.md", "the command", 1)
    whole = (tmp_path / "models.md").read_text()
    assert "16-16-16-learned: [learned.md](learned.md)." in whole
    text = whole.partition("\n## For every pixel\n")[2]
    for name, reached in (("cedn-bsds", "ODS 0."), ("segnet-camvid", "mean IoU ")):
        line = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
        assert reached in line
