"""Pieces of HTML that only this page has: the slider between two pictures, downloads, notices.

Pictures stand inside the HTML as PNG, so that no result is ever a file on the server.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.report.html import Html, data_uri, element
from maxtunnel.report.pictures import picture
from maxtunnel.support.memory import is_out_of_memory

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer", bound=str)


def row(figures: Iterable[str], classes: str = "") -> Html:
    """Figures side by side, as many as there is room for."""
    return element("div", *figures, class_=f"mt-row {classes}".rstrip())


def compare(
    left: UInt8[Tensor, "3 h w"], right: UInt8[Tensor, "3 h w"], left_name: str, right_name: str
) -> Html:
    """Two pictures over each other with a slider between them, for mouse, finger and keyboard."""
    return element(
        "div",
        picture(left, left_name, "mt-left"),
        picture(right, right_name, "mt-right"),
        element("span", left_name, class_="mt-tag mt-tag-left"),
        element("span", right_name, class_="mt-tag mt-tag-right"),
        element("i", aria_hidden="true"),
        element(
            "input",
            type="range", min=0, max=100, step=1, value=50,
            aria_label=f"How much of {left_name} is shown before {right_name} begins",
            oninput="this.parentElement.style.setProperty('--at', this.value + '%')",
        ),
        class_="mt-compare",
    )  # fmt: skip


def download(data: bytes, kind: str, name: str, text: str) -> Html:
    """A link that saves `data`, of the media type `kind`, under a name."""
    return element("a", text, class_="mt-download", download=name, href=data_uri(data, kind))


def links(*downloads: Html) -> Html:
    """Downloads beside each other."""
    return element("p", *downloads, class_="mt-links")


def with_notices(answer: Callable[Arguments, Answer]) -> Callable[Arguments, Answer | Html]:
    """The same function, which answers with a notice where a visitor can do something about an error."""

    @wraps(answer)
    def answer_or_notice(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer | Html:
        try:
            return answer(*args, **kwargs)
        except (ValueError, MemoryError, RuntimeError) as error:
            if isinstance(error, ValueError):
                return _notice(str(error))
            if is_out_of_memory(error):
                return _notice("there is not enough memory: take a smaller size")
            raise

    return answer_or_notice


def _notice(text: str) -> Html:
    """What is wrong, where the result would stand."""
    return element("div", element("b", "That did not work."), f" {text}.", class_="mt-notice", role="alert")


def hint(text: str) -> Html:
    """What to do where there is nothing to show yet."""
    return element("div", text, class_="mt-hint")


def size_of(data: bytes) -> str:
    """Bytes in a unit that is easily read."""
    return f"{len(data):,} bytes" if len(data) < 10_000 else f"{len(data) / 1000:,.0f} kB"
