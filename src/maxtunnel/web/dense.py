"""The tab of networks that answer for every pixel: what their answers owe to the switches.

It stands on the page only where such a network was offered.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from maxtunnel.data.images import resize, shrink, to_float
from maxtunnel.data.photographs import DEMO, demo_photographs
from maxtunnel.evaluation.ridges import thin
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.report.classes import class_names, legend_list, overlay
from maxtunnel.report.contours import lines
from maxtunnel.report.dense_files import GIVEN, widen
from maxtunnel.report.html import Html, element, figure, joined
from maxtunnel.report.pictures import picture
from maxtunnel.studies.dense_conditions import answer as ask
from maxtunnel.support.choices import DenseGiven
from maxtunnel.web import markup
from maxtunnel.web.dense_networks import dense_network, side_of
from maxtunnel.web.inputs import Limits, choose
from maxtunnel.web.uploads import Upload, read_photograph

EXPLANATION = """
**What you see.** The encoder pools, and notes in every window where the largest value was: the **switches**.
The decoder puts its values back at those places, level by level, until there is an answer for each pixel: a
class, or the strength of a contour.

The same network answers four times: with the photograph's own features and switches; without knowing *where*,
every value going to the first cell of its window; with another photograph's switches; and without knowing
*what*, the network's constant standing in the place of the features. What the first answer draws from the
switches is missing in the second, and what is left in the last one came through them alone. It shows what
this network relies on: one that had learnt to do without might lose little. A network that was made without
switches answers the first three times alike.
"""


@dataclass(frozen=True, eq=False)
class Answered:
    """What a network answers for a photograph.

    Attributes:
        pixels: the photograph.
        answers: by what the decoder was given, before any softmax or sigmoid.
    """

    pixels: UInt8[Tensor, "3 h w"]
    answers: dict[DenseGiven, Float[Tensor, "classes h w"]]

    @property
    def contours(self) -> bool:
        """Whether the answers are strengths of contours, and not classes."""
        return self.answers["known"].shape[0] == 1

    def labels(self, given: DenseGiven) -> Int64[Tensor, "h w"]:
        """The class of each pixel."""
        return self.answers[given].argmax(0)

    def strength(self, given: DenseGiven) -> Float[Tensor, "h w"]:
        """How strong a contour is at each pixel, from 0 to 1, thinned."""
        return thin(self.answers[given][0].sigmoid())


def read(network: DenseNetwork, pixels: UInt8[Tensor, "3 h w"], other: UInt8[Tensor, "3 _ _"]) -> Answered:
    """The answers for a photograph under each condition, at its size, of whatever size they are given.

    Args:
        network: answers.
        pixels: the photograph.
        other: another one, warped to its size, whose switches are read in place of its own.

    Raises:
        ValueError: the photograph is too small for the network.
    """
    small = pixels if network.side is None else shrink(pixels, network.side)
    other = resize(other, (small.shape[1], small.shape[2]), "antialias")
    images, others = to_float(small)[None], to_float(other)[None]
    size = pixels.shape[1], pixels.shape[2]
    return Answered(pixels, {given: widen(ask(network, images, given, others), size)[0] for given in GIVEN})


@markup.with_notices
def answer(upload: Upload | None, network: object, other: object, limits: Limits) -> Html:
    """The pictures of the tab as HTML, or what is wrong.

    Args:
        upload: the photograph.
        network: the name of one that was offered.
        other: the name of the photograph of the package whose switches are read in place of its own.
        limits: of the page.
    """
    if upload is None:
        return markup.hint("Choose a photograph at the top of the page to have it answered pixel by pixel.")
    found = dense_network(network)
    chosen = choose(other, DEMO, "the other photograph")
    whole = read_photograph(upload, limits, limits.max_side)
    donor = _another(whole, chosen)
    pixels = shrink(whole, side_of(found.shape))
    return show(read(found, pixels, donor), str(network), upload.name, found.about)


def _another(photograph: UInt8[Tensor, "3 _ _"], chosen: str) -> UInt8[Tensor, "3 _ _"]:
    """The chosen photograph of the package, or the next one where it is the same."""
    samples = demo_photographs()
    order = [*DEMO[DEMO.index(chosen) :], *DEMO[: DEMO.index(chosen)]]
    return next(samples[name] for name in order if not torch.equal(samples[name], photograph))


def show(done: Answered, network: str, name: str, about: str = "") -> Html:
    """The photograph, the four answers, and how far they are from the first.

    Args:
        done: what was answered.
        network: its name.
        name: of the photograph.
        about: the network, see `DenseNetwork`.
    """
    height, width = done.pixels.shape[1:]
    figures = [figure(picture(done.pixels, "the photograph"), element("b", "the photograph"))]
    figures += [figure(_drawn(done, given), _caption(done, given)) for given in GIVEN]
    told = f"{name}, {width}×{height}, through {network}. {_measure(done)} {about}".strip()
    legend = Html() if done.contours else _legend(done)
    return joined(markup.row(figures, "mt-three"), legend, element("p", told, class_="mt-told"))


def _drawn(done: Answered, given: DenseGiven) -> Html:
    alt = f"the answer from {GIVEN[given]}"
    if done.contours:
        return picture(lines(done.strength(given)), alt)
    return picture(overlay(done.pixels, done.labels(given), len(done.answers[given])), alt)


def _caption(done: Answered, given: DenseGiven) -> Html:
    head = element("b", GIVEN[given])
    return head if given == "known" else joined(head, element("br"), _distance(done, given))


def _distance(done: Answered, given: DenseGiven) -> str:
    """How near an answer is to the first one."""
    if not done.contours:
        same = (done.labels(given) == done.labels("known")).double().mean()
        return f"{float(same):.0%} of the pixels as with its own"
    first, this = (done.answers[each][0].sigmoid().flatten() for each in ("known", given))
    related = float(torch.corrcoef(torch.stack([first, this]).double())[0, 1])
    return "as strong everywhere" if related != related else f"correlation with the first {related:+.2f}"


def _measure(done: Answered) -> str:
    if done.contours:
        return "Contours are thinned by their strengths; correlations are of what was there before."
    return "Classes in colours, over the photograph."


def _legend(done: Answered) -> Html:
    """The classes that stand in one of the pictures."""
    classes = len(done.answers["known"])
    return legend_list(classes, class_names(classes))
