"""HTML as it is written: what is text is escaped, tables say what their numbers are, a page is whole."""

from html.parser import HTMLParser

import pytest

from maxtunnel.report.html import (
    VOID,
    Cell,
    Html,
    details,
    element,
    facts,
    figure,
    joined,
    number,
    page,
    table,
)


class Parsed(HTMLParser):
    """Elements with their attributes, and the text; every tag that opens must close."""

    def __init__(self, html):
        super().__init__()
        self.found, self.text, self.open = [], "", []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


HOSTILE = "<script>&\"'</script>"


def test_text_is_escaped_and_html_is_not():
    parsed = Parsed(element("p", HOSTILE, element("b", HOSTILE), title=HOSTILE))
    assert parsed.found == [("p", {"title": HOSTILE}), ("b", {})]
    assert parsed.text == 2 * HOSTILE
    assert joined("<", Html("<br>"), ">", between="&") == "&lt;&amp;<br>&amp;&gt;"


def test_attributes_are_named_as_html_names_them():
    assert element("br") == "<br>"
    assert (
        element("i", class_="a", aria_label="b", data_key=0)
        == '<i class="a" aria-label="b" data-key="0"></i>'
    )
    assert element("img", class_="", alt="", title=None) == '<img alt="">'


@pytest.mark.parametrize("write", [
    lambda text: table([text], [[text], [Cell(text, text)]], text),
    lambda text: facts([(text, text, text)]),
    lambda text: details(text, text),
    lambda text: figure(text, text),
    lambda text: page(text, "audit", text),
])  # fmt: skip
def test_no_text_breaks_out(write):
    parsed = Parsed(write(HOSTILE))
    assert parsed.all("script") == []
    assert parsed.text.count(HOSTILE) >= 2


def test_a_fact_and_the_words_about_it_are_apart():
    assert Parsed(facts([("photographs", "12", "24x24 pixels"), ("seed", "0", "")])).text == (
        "photographs12 24x24 pixelsseed0"
    )


def test_a_table_names_its_columns_and_rows():
    parsed = Parsed(table(["network", "RMSE"], [["a", number(0.5, ".2f")], ["b", "-"]], "Errors", main=1))
    assert [head.get("scope") for head in parsed.all("th")] == ["col", "col", "row", "row"]
    assert parsed.all("div") == [
        {"class": "mt-wide", "tabindex": "0", "role": "region", "aria-label": "Errors"}
    ]
    assert parsed.all("tr") == [{}, {}, {"class": "mt-main"}]


def test_a_number_has_its_interval_below_it_and_a_key_to_sort_by():
    html = table(["", "bits"], [["a", number(1234.56, ",.1f", (1000.0, 2000.0), unit=" B")]], "")
    assert '<td class="mt-number" data-key="1234.56">1,234.6 B<small>1,000.0–2,000.0</small></td>' in html
    assert number(1, ".0f", (0.0, 2.0), between=" to ").note == "0 to 2"
    # A dash before a minus could not be read.
    assert number(-0.1, ".1f", (-0.3, -0.2)).note == "-0.3 to -0.2"
    assert number(0.1, "+.1f", (0.0, 0.2)).note == "+0.0 to +0.2"


def test_what_was_not_measured_is_a_dash_that_sorts_last():
    html = table(["", "bits"], [["a", number(None, ".1f")]], "")
    assert '<td class="mt-number mt-missing" data-key="Infinity">–</td>' in html


def test_a_page_takes_the_colour_of_its_marks():
    assert "--mark: #123456;" in page("Title", "audit", mark="#123456")
    assert "--mark:" not in page("Title", "paper")


@pytest.mark.parametrize("look", ["audit", "paper"])
def test_a_page_is_whole_and_asks_nobody_for_anything(look):
    html = page("Title", look, element("p", "text"))
    parsed = Parsed(html)
    assert html.startswith("<!doctype html>")
    assert parsed.all("html") == [{"lang": "en"}]
    assert [name for name, _ in parsed.found if name in ("title", "h1", "style")] == ["title", "style", "h1"]
    assert not any({"src", "href"} & set(attributes) for _, attributes in parsed.found)
    for word in ("http", "url(", "@import"):
        assert word not in html
    assert "@media print" in html
