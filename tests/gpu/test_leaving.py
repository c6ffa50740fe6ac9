"""What a GPU found wrong is said wherever a result leaves it; a stand-in makes the CPU's checks wait as well.

Everything is a tensor "on the GPU" then, so what leaves is known by what gives values to the host alone.
"""

import io
from dataclasses import replace

import pytest
import torch

from maxtunnel.codec import dumps, stored_bits
from maxtunnel.data.images import to_float, to_uint8, write_png
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.models import tiling
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.native import disabled
from maxtunnel.paper.colours import measure_colours
from maxtunnel.paper.measurements import replace_switches
from maxtunnel.report.sheet import Row, sheet
from maxtunnel.switches import pending
from maxtunnel.switches.capture import capture
from maxtunnel.switches.changes import changed, flipped
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.switches.pending import Carrier
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.feeds import KeptSwitches, SwitchFeed
from maxtunnel.training.loop import Session
from maxtunnel.training.phases import Reconstruction
from maxtunnel.training.recipes import FAST
from maxtunnel.web import inside, lab, reconstruct

PIXELS = torch.randint(256, (4, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture
def waiting(monkeypatch):
    """Without native code, of which a GPU has none."""
    monkeypatch.setattr(pending, "is_awaited", lambda values: True)
    with disabled():
        yield


def network(widths=(4, 4), strong_width=None):
    torch.manual_seed(0)
    return TunnelNetwork(Architecture(widths), torch.full((3, 16, 16), 0.5), strong_width=strong_width)


def broken():
    """A network whose encoder gives NaN for every image."""
    net = network()
    net.encoder.convs[-1].bias.data[1] = float("nan")
    return net


def steps(net, tmp_path, count):
    """The losses of some steps with the encoder in every step."""
    recipe = replace(FAST, batch=2, precision="32")
    session = Session(net, Reconstruction(net.decoder, net.scale), tmp_path, TrainingConfig(recipe=recipe))
    feed = SwitchFeed(net, PIXELS, session.order(len(PIXELS)), 0)
    done = [session.step(number, feed.at(number)) for number in range(count)]
    return session._mean(done)


# Each is given a network, and a file to write to.
PATHS = {
    "codes compared": lambda net, path: net.encode(to_float(PIXELS)) == network().encode(to_float(PIXELS)),
    "codes copied": lambda net, path: net.encode(to_float(PIXELS)).levels[1].codes.cpu(),
    "codes as an array": lambda net, path: net.encode(to_float(PIXELS))[1].levels[0].codes.numpy(),
    "codes saved": lambda net, path: torch.save(net.encode(to_float(PIXELS)).levels[0].codes, io.BytesIO()),
    "codes joined": lambda net, path: dumps(
        SwitchCode.concatenate([net.encode(to_float(PIXELS)), network().encode(to_float(PIXELS))])
    ),
    "codes changed": lambda net, path: dumps(
        changed(net.encode(to_float(PIXELS)), flipped(0.5), torch.Generator())
    ),
    "entropy": lambda net, path: net.encode(to_float(PIXELS)).entropy_bits,
    "indices": lambda net, path: net.encode(to_float(PIXELS)).levels[0].indices(),
    "packed file": lambda net, path: dumps(net.encode(to_float(PIXELS)), net, "packed"),
    "stored bits": lambda net, path: stored_bits(net.encode(to_float(PIXELS)), None, "packed"),
    "images copied": lambda net, path: net.reconstruct(to_float(PIXELS)).clamp(0, 1)[0].cpu(),
    "images decoded": lambda net, path: net.decode(net.encode(to_float(PIXELS))).tolist(),
    "error": lambda net, path: float((net(to_float(PIXELS)) - to_float(PIXELS)).square().mean()),
    "picture": lambda net, path: write_png(path, to_uint8(net.reconstruct(to_float(PIXELS))[0])),
    "sheet": lambda net, path: sheet([Row("a", "b", net.reconstruct(to_float(PIXELS)))]),
    "evaluation": lambda net, path: evaluate(net, PIXELS, bits_images=0),
    "piece by piece": lambda net, path: tiling.reconstruct(net, PIXELS[0], side=8),
    "encoded piece by piece": lambda net, path: tiling.encode(net, PIXELS[0], side=8),
    "decoded piece by piece": lambda net, path: tiling.decode(net, net.encode(to_float(PIXELS))[0], side=8),
    "layers": lambda net, path: net.activations(net.encode(to_float(PIXELS)))[-1][1].mean().item(),
    "capture": lambda net, path: capture(net.encoder, to_float(PIXELS)),
    "training": lambda net, path: steps(net, path.parent, 3),
    "kept switches": lambda net, path: KeptSwitches(net, PIXELS),
    "claims": lambda net, path: replace_switches(net, PIXELS, steps=1),
    "colours": lambda net, path: measure_colours(net, PIXELS),
    "page": lambda net, path: reconstruct.read(net, net.encode(to_float(PIXELS[:1])), PIXELS[0]),
    "page, inside": lambda net, path: inside.show(net, PIXELS[0], 0),
    "page, lab": lambda net, path: lab.alter(
        net, PIXELS[0], PIXELS[1], [lab.Choice("keep"), lab.Choice("keep")]
    ),
}


@pytest.mark.parametrize("name", PATHS)
def test_nan_is_said_at_the_latest_where_a_result_leaves(waiting, tmp_path, name):
    with pytest.raises(ValueError, match="NaN among the pooled values"):
        PATHS[name](broken(), tmp_path / "picture.png")
    # And it is nobody else's.
    if name != "codes joined":
        PATHS[name](network(), tmp_path / "picture.png")


WRONG = {
    "images up to 255": (lambda net: net.encode(PIXELS.float()), "images go up to 255: .*divide grey levels"),
    "infinite images": (lambda net: net.encode(with_one(float("inf"))), "images go up to inf"),
    "one NaN in images": (lambda net: net.encode(with_one(float("nan"))), "NaN among the pooled values"),
}
LEAVES = {
    "codes": lambda net, code: code == code,
    "file": lambda net, code: dumps(code),
    "images": lambda net, code: net.decode(code).cpu(),
    "pieces": lambda net, code: [part for *_, part in tiling.decode_pieces(net, code[0], side=8)],
}


def with_one(value):
    images = to_float(PIXELS)
    images[0, 1, 5, 5] = value
    return images


@pytest.mark.parametrize("leave", LEAVES)
@pytest.mark.parametrize("name", WRONG)
def test_wrong_images_are_refused_at_the_latest_where_a_result_leaves(waiting, name, leave):
    make, message = WRONG[name]
    net = network()
    code = make(net)
    assert all(type(level.codes) is Carrier for level in code.levels)
    with pytest.raises(ValueError, match=message):
        LEAVES[leave](net, code)
    net.reconstruct(to_float(PIXELS)).cpu()


@pytest.mark.parametrize("strong_width", [None, 8])
def test_codes_of_no_window_are_refused_at_the_latest_where_images_leave(waiting, strong_width):
    net = network(strong_width=strong_width)
    code = net.encode(to_float(PIXELS))
    levels = [pending.plain(level.codes).clone() for level in code.levels]
    levels[1][2, 3, 1, 1] = 4
    wrong = SwitchCode(
        tuple(level.with_codes(codes) for level, codes in zip(code.levels, levels, strict=True)), (16, 16)
    )
    images = net.decode(wrong)
    for leave in (lambda: images[0].cpu(), lambda: float(images.mean()), lambda: dumps(wrong)):
        with pytest.raises(ValueError, match="a code is 4; a 2x2 window with stride 2x2 has codes 0 to 3"):
            leave()
    net.decode(code).cpu()


def test_on_a_cpu_all_of_it_is_said_at_once():
    net = network()
    for make, message in WRONG.values():
        with pytest.raises(ValueError, match=message):
            make(net)
    code = net.encode(to_float(PIXELS))
    assert all(type(level.codes) is torch.Tensor for level in code.levels)
    assert type(net.decode(code)) is torch.Tensor
    code.levels[0].codes[0, 0, 0, 0] = 200
    with pytest.raises(ValueError, match="a code is 200"):
        net.decode(code)


def test_a_step_is_refused_in_its_row_and_its_batch_is_let_go(waiting, tmp_path):
    """The checks of a batch go with its result and no further: neither weights nor a graph keep them."""
    net = network()
    steps(net, tmp_path, 3)
    assert all(type(p) is not Carrier and type(p.grad) is not Carrier for p in net.decoder.parameters())
    net.encoder.convs[-1].bias.data[1] = float("nan")
    with pytest.raises(ValueError, match="NaN among"):
        steps(net, tmp_path, 3)
