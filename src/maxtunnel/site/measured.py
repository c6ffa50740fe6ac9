"""Table II and the frontier, of the numbers that ship, as they stand on the page."""

import re
from html import escape

from maxtunnel.report.html import Html, element, joined
from maxtunnel.web import frontier, table


def show() -> Html:
    """Both, each with what it shows."""
    parts = [
        element("h2", "Table II"), _words(table.explanation()), _still(table.show()),
        element("h2", "What the same bits give"), _still(frontier.show()), _words(frontier.explanation()),
    ]  # fmt: skip
    return joined(*parts)


def _still(html: str) -> Html:
    """Without scripts in attributes, which this page's content policy does not run: `table.js` sorts."""
    return Html(re.sub(r' onclick="[^"]*"', "", html))


def _words(text: str) -> Html:
    """Paragraphs of Markdown with nothing but emphasis and code in it."""
    html = escape(text.strip(), quote=False)
    html = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html, flags=re.DOTALL)
    html = re.sub(r"\*(.+?)\*", r"<em>\1</em>", html, flags=re.DOTALL)
    html = re.sub(r"`(.+?)`", r"<code>\1</code>", html)
    return Html("".join(f"<p>{part}</p>" for part in html.split("\n\n")))
