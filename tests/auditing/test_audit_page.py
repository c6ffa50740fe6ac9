"""The report of an audit: one page, audit.json and the pictures."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from specimens import convolutions, photographs, small_result

from maxtunnel.auditing import AuditConfig, Conclusions, Target, audit, write_report
from maxtunnel.auditing.page import audit_page
from maxtunnel.auditing.readers import READERS
from maxtunnel.report.svg import COLOURS

pytestmark = pytest.mark.usefixtures("one_thread")


class Page(HTMLParser):
    """What a page asks the network for, and its text; every tag that opens must close."""

    def __init__(self):
        super().__init__()
        self.links, self.text, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href") and value]
        if tag not in ("meta", "img", "br", "path", "circle", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("path", "circle", "polyline"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_whole_and_asks_nobody_for_anything(tmp_path):
    result = small_result()
    path = write_report(result, tmp_path / "out")
    html = path.read_text()
    parsed = Page()
    parsed.feed(html)
    assert parsed.open == []
    assert parsed.links
    assert all(link.startswith("data:image/jpeg;base64,") for link in parsed.links)
    assert "http" not in html
    text = " ".join(" ".join(parsed.text).split())
    assert text.index("Who could read what") < text.index("Against controls")
    assert " ".join(Conclusions(result).verdict.split()) in text
    for heading in ("Level by level", "Transplants", "What helps", "How the decoders were trained"):
        assert heading in text


def test_the_page_shows_the_curve_of_every_reader_against_time_and_says_which_still_fall():
    result = small_result()
    page = audit_page(result)
    assert len(result.decoders) > len(COLOURS)
    assert page.count("<polyline") == len(result.decoders)
    assert page.count('aria-label="RMSE while training against seconds of training"') == 3
    assert "counter-measure" not in page
    calm = tuple(replace(training, still_falling=False) for training in result.decoders)
    done = calm[-1]
    falling = replace(result, decoders=(*calm[:-1], replace(done, still_falling=True)))
    text = f"the error was still falling for: {done.name}. In more time these would have rebuilt more: "
    assert f"{text}what they say of the leak is a lower bound" in audit_page(falling)
    assert "No error was still falling" in audit_page(replace(result, decoders=calm))


def test_the_page_names_the_kind_of_its_decoders():
    for kind, reader in READERS.items():
        result = small_result()
        result = replace(result, decoders=tuple(replace(done, reader=kind) for done in result.decoders))
        page = audit_page(result)
        # In the verdict, in how it was done and in the record.
        assert page.count(reader.title) == 3
        assert f"lower bound of the leak, read by {reader.title}" in Conclusions(result).verdict


def test_a_level_that_was_read_less_with_others_than_without_is_not_put_in_numbers():
    first, second = small_result().levels
    result = replace(small_result(), levels=(replace(first, surpassed_by="5 alone"), second))
    page = audit_page(result)
    assert "not enough steps to say<small>less was read than of 5 alone</small>" in page
    assert "less was read of them than of 5 alone" in page
    assert "2 and all coarser levels</figcaption>" not in page
    sound = audit_page(small_result())
    assert "not enough steps to say" not in sound
    assert "2 and all coarser levels</figcaption>" in sound


def test_what_stands_out_has_one_colour():
    page = audit_page(small_result())
    assert page.count("--mark:") == 1
    assert f"--mark: {COLOURS[0]};" in page
    assert f'stroke="{COLOURS[0]}"' in page


def test_the_json_holds_every_field_but_the_pictures(tmp_path):
    result = small_result()
    write_report(result, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert content["rows"]["known"]["rmse"] == result.rows["known"].rmse
    assert content["format"] == "maxtunnel audit 2"
    assert content["config"] == {
        "minutes": 10.0,
        "steps": 120,
        "mitigations": 1.0,
        "levels": None,
        "images": 40,
        "width": 12,
        "least_steps": 30,
        "seed": 0,
        "refine": 10,
        "decoder": "mirrored",
    }
    assert [level["number"] for level in content["levels"]] == [1, 2]
    assert set(content) == {
        "format", "verdict", "warnings", "target", "size", "images", "rows", "levels", "shares", "identified",
        "transplant", "refined", "decoders", "mitigations", "untrained", "returned", "unpoolings",
        "not_covered", "config", "seconds", "versions", "withheld", "best_reader", "left_out", "returning",
        "unpooling", "unseen", "untrained_note", "draws", "enough_minutes", "interrupted", "record",
    }  # fmt: skip
    pictures = {path.stem for path in (tmp_path / "out" / "pictures").iterdir()}
    assert {"known", "alone-1", "alone-2", "from-deepest-1", "from-deepest-2"} <= pictures


def test_names_are_escaped_and_pictures_of_a_part_of_the_levels_are_shown(tmp_path):
    config = AuditConfig(steps=8, images=8, width=4, least_steps=2, decoder="mirrored")
    target = Target(convolutions(2, 2, 2), "<script>", levels=(2, 3))
    found = audit(target, photographs(16), holdout=photographs(8), config=config)
    html = write_report(found, tmp_path).read_text()
    assert "<script>" not in html
    # Of each level one picture alone, and one together with all coarser levels.
    assert html.count("8 alone</figcaption>") == html.count("5 alone</figcaption>") == 1
    assert html.count("2 alone</figcaption>") == 0
    assert html.count("and all coarser levels</figcaption>") == 2
