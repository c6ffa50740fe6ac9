"""What stands around the tabs: the head, the foot, and how the page looks."""

from pathlib import Path
from typing import Any

from maxtunnel import __version__
from maxtunnel.data.images import shrink, to_float, to_uint8
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.report.html import Html, element, figure, joined
from maxtunnel.report.pictures import dots, picture
from maxtunnel.web import inside, markup, reconstruct
from maxtunnel.web.inputs import Limits
from maxtunnel.web.networks import favourite, network, reader, strong_of

SAMPLE = "chelsea"  # the photograph that the page starts with
_WAY = 112  # pixels on the page of each of its three pictures; so wide are their columns in page.css
_STYLE = Path(__file__).with_name("page.css")
_SCRIPT = Path(__file__).with_name("page.js")
_ACCENT = (
    "#fdf3ee", "#fbe3d8", "#f5c6b0", "#eda380", "#e27d50", "#cc5a2a", "#b3471d", "#923816", "#6f2b12",
    "#53210f", "#3a170b",
)  # fmt: skip
_CITATION = Html(
    "M. de La Roche Saint Andre, L. Rieger, M. Hannemose, J. Kim: <cite>Tunnel Effect in CNNs: Image "
    "Reconstruction From Max-Switch Locations</cite>. IEEE Signal Processing Letters 24(3), 254–258, 2017"
)


def looks() -> dict[str, Any]:
    """Theme, style and script, as `mount_gradio_app` takes them; fonts of the system, one accent."""
    import gradio as gr

    theme = gr.themes.Base(
        primary_hue=gr.themes.Color(*_ACCENT, name="maxtunnel"),
        neutral_hue="stone",
        font=["system-ui", "-apple-system", "Segoe UI", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "monospace"],
        text_size="md",
        radius_size="sm",
    ).set(
        # The default is too faint for small print: 2.5 to 1 on white; this is 7 to 1, and 8 to 1 on black.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        checkbox_label_padding="*spacing_sm *spacing_lg",
    )
    # In the head and not as `css`, which Gradio would confine to parts of the page.
    style, script = _STYLE.read_text(encoding="utf-8"), _SCRIPT.read_text(encoding="utf-8")
    return {"theme": theme, "head": f"<style>{style}</style><script>{script}</script>"}


def head() -> Html:
    """Title, two sentences, and the way of one photograph."""
    pixels = shrink(demo_photographs()[SAMPLE], 2 * _WAY)
    net = network(favourite())
    best = reader(favourite(), "strong") if strong_of(favourite()) else net
    finest = net.encode(to_float(pixels)[None]).levels[0]
    # The channel whose switches vary most says most about them.
    busiest = max(range(finest.codes.shape[1]), key=lambda channel: -max(inside.shares(finest, channel)))
    figures = [
        figure(picture(pixels, "a photograph of a cat"), "a photograph"),
        figure(
            dots(inside.colour(finest.codes[0, busiest]), "coloured dots", _WAY),
            "its switches: where each largest value was",
        ),
        figure(
            picture(to_uint8(best.reconstruct(to_float(pixels)[None])[0]), "the cat, rebuilt"),
            "rebuilt from the switches alone",
        ),
    ]
    words = Html(
        "<div><h1>What the positions of the maxima tell</h1>"
        "<p>A max-pooling layer of a neural network keeps the largest value of every window of its input; a "
        "<b>switch</b> is the note of <b>where</b> in the window that value stood. Below, two decoders that "
        "are given the switches and nothing else, no colour, no brightness, no feature, paint the photograph "
        "again.</p></div>"
    )
    return element("header", words, markup.row(figures, "mt-way"), class_="mt-head")


def foot(limits: Limits) -> Html:
    """The paper, and what is taken in."""
    told = (
        f"maxtunnel {__version__}. This page takes {limits}. Pictures are computed on the machine that "
        "serves this page and sent to no other; uploads are deleted within half an hour."
    )
    paper = element("p", joined("The paper: ", _CITATION, "."))
    return element("footer", paper, element("p", told), class_="mt-foot")


def first_result() -> Html:
    """What the first tab shows before anything is asked: the sample, already reconstructed."""
    return reconstruct.show_photograph(favourite(), demo_photographs()[SAMPLE], f"{SAMPLE}.jpg")
