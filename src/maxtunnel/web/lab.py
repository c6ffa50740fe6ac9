"""The second tab: change the switches of a photograph level by level, and see what becomes of the picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.data.images import resize, to_float, to_uint8
from maxtunnel.evaluation.metrics import rmse
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.report.html import Html, element, figure, joined
from maxtunnel.report.pictures import picture
from maxtunnel.switches.changes import fixed_codes, flipped, random_codes, shuffled
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.web import markup
from maxtunnel.web.bounds import side_for
from maxtunnel.web.inputs import Limits, choose, number
from maxtunnel.web.nearness import beside_mean, mean_rmse
from maxtunnel.web.networks import reader
from maxtunnel.web.uploads import Upload, read_photograph

SIDE = 256  # longest side: small enough that the picture follows a slider
CHANGES = {
    "keep": "keep",
    "fixed": "fixed",
    "random": "random",
    "shuffled": "shuffled",
    "B": "from B",
    "flip": "flip p",
}
FEATURES = {"constant": "the learned constant (the paper)", "B": "features of B"}
EXPLANATION = """
**What each choice does to a level's switches.** *Keep* leaves them. *Fixed* puts every one in the top left
corner. *Random* draws each anew. *Shuffled* deals a channel's own switches out to other places, so that
only their statistics remain. *From B* takes those of the second photograph. *Flip p* draws a share p anew,
of which a quarter lands where it was.

**Two decoders.** Both are given the same switches. The paper's reads each level once, from the deepest to the
finest; the strong one reads all levels before it draws anything.

**The transplant.** In the paper no feature reaches the decoder. Here you may give the paper's decoder the
features of B, brought to the strength of its constant, together with the switches of A. The strong decoder
has no place for features: it was made for switches alone. Two errors tell whether *where* or *what* decides:
that to A, whose switches the decoder had, and that to B, whose features it had. Beside each stands that of
the mean image.
"""


@dataclass(frozen=True)
class Choice:
    """What is done to one level.

    Attributes:
        change: a key of `CHANGES`.
        share: of the switches that `flip` draws anew, 0 to 1.
    """

    change: str = "keep"
    share: float = 0.25


def change_levels(
    code: SwitchCode, other: SwitchCode, choices: Sequence[Choice], seed: int = 0
) -> SwitchCode:
    """The code with each level changed as chosen.

    Args:
        code: of photograph A.
        other: of photograph B, of the same size.
        choices: one a level, finest first.
        seed: of what is drawn; each level has draws of its own, so that one control moves one level.
    """
    levels = []
    for place, (level, donor, choice) in enumerate(zip(code.levels, other.levels, choices, strict=True), 1):
        generator = torch.Generator().manual_seed(1000 * seed + place - 1)
        levels.append(level.with_codes(_changed(place, level, donor, choice, generator)))
    return SwitchCode(tuple(levels), code.image_size)


def _changed(
    place: int, level: SwitchLevel, donor: SwitchLevel, choice: Choice, generator: torch.Generator
) -> Tensor:
    match choice.change:
        case "keep":
            return level.codes
        case "fixed":
            return fixed_codes(level)
        case "random":
            return random_codes(level, generator)
        case "shuffled":
            return shuffled(level, place, generator)
        case "B":
            return donor.codes
        case "flip":
            return flipped(choice.share)(level, place, generator)
        case _:
            raise ValueError(f"`change` is {choice.change!r}: expected one of {', '.join(CHANGES)}")


@torch.no_grad()
def scaled_features(network: TunnelNetwork, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c _ _"]:
    """The encoder's deepest features, scaled as a whole so that their mean is that of the bias code."""
    what, _ = network.encoder(network.normalise(images))
    return what * (network.mirrored.bias_code.mean() / what.mean().clamp(min=1e-12))


@dataclass(frozen=True, eq=False)
class Altered:
    """What became of photograph A; all three pictures are of one size.

    Attributes:
        first, second: photographs A and B.
        picture: what the decoder made.
        rmse: of the unclipped output against A.
        rmse_other: and against B.
        mean_rmse, mean_rmse_other: those of the mean image, for comparison.
        changed: share of each level's switches that are not those of A, finest first.
    """

    first: UInt8[Tensor, "3 h w"]
    second: UInt8[Tensor, "3 h w"]
    picture: UInt8[Tensor, "3 h w"]
    rmse: float
    rmse_other: float
    mean_rmse: float
    mean_rmse_other: float
    changed: tuple[float, ...]


def alter(
    network: TunnelNetwork,
    first: UInt8[Tensor, "3 h w"],
    second: UInt8[Tensor, "3 _ _"],
    choices: Sequence[Choice],
    from_second: bool = False,
    seed: int = 0,
) -> Altered:
    """Decode changed switches of photograph A.

    Args:
        network: encodes and decodes.
        first: A.
        second: B, warped to the size of A.
        choices: one a level, finest first.
        from_second: give the decoder the features of B in the place of its learned constant.
        seed: of what is drawn.

    Raises:
        ValueError: features for a strong decoder, which has no place for them.
    """
    if from_second and network.decoder_kind != "mirrored":
        raise ValueError(
            "features take the place of the constant in the paper's decoder; the strong decoder has no "
            "constant and takes switches alone: choose the paper's decoder, or the constant"
        )
    second = resize(second, (first.shape[-2], first.shape[-1]), "antialias")
    image, other = to_float(first)[None], to_float(second)[None]
    code = network.encode(image)
    changed = change_levels(code, network.encode(other), choices, seed)
    output = network.decode(changed, what=scaled_features(network, other) if from_second else None)
    return Altered(
        first=first,
        second=second,
        picture=to_uint8(output[0]),
        rmse=rmse(output, image),
        rmse_other=rmse(output, other),
        mean_rmse=mean_rmse(network, image),
        mean_rmse_other=mean_rmse(network, other),
        changed=tuple(
            float((now.codes != was.codes).double().mean())
            for now, was in zip(changed.levels, code.levels, strict=True)
        ),
    )


@markup.with_notices
def answer(
    first: Upload | None,
    second: Upload | None,
    model: object,
    decoder: object,
    controls: Sequence[object],
    what: object,
    seed: object,
    limits: Limits,
) -> Html:
    """The three pictures as HTML, or what is wrong; `controls` are a change and a share for each level."""
    if first is None or second is None:
        return markup.hint("The lab takes two photographs: A at the top of the page, B here.")
    net = reader(model, decoder)
    choices = read_choices(controls, len(net.architecture.widths))
    side = side_for(str(model), min(SIDE, limits.max_side))
    pixels = [read_photograph(upload, limits, side) for upload in (first, second)]
    from_second = choose(what, FEATURES, "the decoder's input") == "B"
    wanted = int(number(seed, 0, 1000, "the seed"))
    return show(alter(net, pixels[0], pixels[1], choices, from_second, wanted))


def read_choices(controls: Sequence[object], levels: int) -> list[Choice]:
    """What a visitor chose for each of so many levels.

    Args:
        controls: a change and a share for every level of the deepest network on the page, finest first. What
            the network in use has no level for is hidden there, and is passed over here.
        levels: of the network in use.

    Raises:
        ValueError: something that is no change or no share, or too few controls.
    """
    pairs = list(zip(controls[::2], controls[1::2], strict=True))[:levels]
    if len(pairs) < levels:
        raise ValueError(f"there are controls for {len(pairs)} levels, and the network has {levels}")
    return [
        Choice(choose(change, CHANGES, "a level's change"), number(share, 0, 1, "a level's share"))
        for change, share in pairs
    ]


def show(done: Altered) -> Html:
    """A, B and the result, with what changed."""
    changed = ", ".join(f"level {level} {share:.0%}" for level, share in enumerate(done.changed, 1))
    pictures = [
        figure(picture(done.first, "photograph A"), element("b", "A")),
        figure(picture(done.second, "photograph B"), joined(element("b", "B"), ", warped to A")),
        figure(picture(done.picture, "result", "mt-lab-result"), element("b", "Result")),
    ]
    told = (
        f"Result to A: {beside_mean(done.rmse, done.mean_rmse)}; to B: "
        f"{beside_mean(done.rmse_other, done.mean_rmse_other)}. {_verdict(done)} "
        f"Switches that differ from those of A: {changed}."
    )
    return joined(markup.row(pictures, "mt-three"), element("p", told))


def _verdict(done: Altered) -> str:
    """Which photograph the result resembles: the one of which it tells more than the mean image does.

    The errors themselves do not say it: even noise is nearer to the photograph that is nearer to grey.
    """
    a, b = (
        round(error / max(mean, 1e-9), 2)
        for error, mean in ((done.rmse, done.mean_rmse), (done.rmse_other, done.mean_rmse_other))
    )
    said = "neither" if min(a, b) >= 1 else "both alike" if a == b else "A" if a < b else "B"
    return f"That is {a:.2f} and {b:.2f} times the error of the mean image: it resembles {said}."
