"""The tab of networks that answer for every pixel: what it shows, what it takes, and when it is there."""

import base64
import io
import re

import pytest
import torch
from web_files import as_file, tiny_dense, tiny_vgg

from maxtunnel.data.images import read_image, resize, to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.models.cedn import cedn
from maxtunnel.models.deconvnet import deconvnet
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.models.dense_shape import DenseLayer, DenseShape
from maxtunnel.models.segnet import segnet
from maxtunnel.report.classes import overlay
from maxtunnel.report.contours import lines
from maxtunnel.support.files import FormatError
from maxtunnel.web import dense, dense_networks, serving
from maxtunnel.web.dense_networks import offer_dense, offered_dense, side_of, work_of
from maxtunnel.web.inputs import Limits
from maxtunnel.web.uploads import Upload
from maxtunnel.zoo.dense_files import shipped_dense

pytestmark = pytest.mark.usefixtures("one_thread")
LIMITS = Limits()


def classes(width=2, unpooling="switches"):
    """A network of eleven classes whose answers are not all the same."""
    network = segnet(11, width, unpooling, seed=1)
    with torch.no_grad():
        network.decoder.constant += 1
        for layer in network.layers[-1:]:
            layer.weight *= 5
    return network


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A network of classes and one of contours, offered."""
    folder = tmp_path_factory.mktemp("dense")
    classes().save(folder / "streets.safetensors")
    tiny_dense().save(folder / "outlines.safetensors")
    found = [folder / "streets.safetensors", folder / "outlines.safetensors"]
    offer_dense(found)
    yield found
    offer_dense([])


def shown(html):
    """The pictures in the order in which they stand."""
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    return [read_image(io.BytesIO(base64.b64decode(each))) for each in found]


def test_the_four_answers_are_what_the_network_gives(files, cat):
    network = dense_networks.dense_network("streets")
    html = dense.answer(Upload(as_file(cat), "cat.png"), "streets", "coffee", LIMITS)
    images = to_float(cat)[None]
    other = to_float(resize(demo_photographs()["coffee"], tuple(cat.shape[1:]), "antialias"))[None]
    expected = [
        network.answer(images),
        network.answer(images, where=False),
        network.answer(images, switches_of=other),
        network.answer(images, what=False),
    ]
    pictures = shown(html)
    assert torch.equal(pictures[0], cat)
    for picture, answers in zip(pictures[1:], expected, strict=True):
        assert torch.equal(picture, overlay(cat, answers[0].argmax(0), 11))
    same = float((expected[0].argmax(1) == expected[1].argmax(1)).double().mean())
    assert f"{same:.0%} of the pixels as with its own" in html
    assert same < 1
    assert "bicyclist" in html
    assert "cat.png, 64×64, through streets" in html


def test_contours_are_thinned_lines(files, cat):
    html = dense.answer(Upload(as_file(cat), "cat.png"), "outlines", "coffee", LIMITS)
    answers = dense_networks.dense_network("outlines").answer(to_float(cat)[None])
    thinned = lines(dense.thin(answers[0, 0].sigmoid()))
    assert torch.equal(shown(html)[1], thinned)
    assert html.count("correlation with the first") == 3
    assert "bicyclist" not in html


def test_a_network_without_switches_answers_alike(cat):
    found = dense.read(classes(unpooling="fixed"), cat, demo_photographs()["coffee"])
    assert torch.equal(found.answers["known"], found.answers["fixed"])
    assert torch.equal(found.answers["known"], found.answers["other"])
    html = dense.show(found, "fixed", "cat.png")
    assert html.count("100% of the pixels as with its own") >= 2


@pytest.mark.parametrize(
    ("network", "other", "message"),
    [
        ("nowhere", "coffee", "the network is nowhere: choose one of streets, outlines"),
        ("../streets", "coffee", "the network is streets: choose one of"),
        (None, "coffee", "the network is None"),
        ("streets", "/etc/passwd", "the other photograph is passwd: choose one of astronaut"),
    ],
)
def test_what_was_not_offered_is_refused(files, cat, network, other, message):
    html = dense.answer(Upload(as_file(cat), "cat.png"), network, other, LIMITS)
    assert message in html
    assert "That did not work" in html
    assert "Choose a photograph" in dense.answer(None, "streets", "coffee", LIMITS)


def test_a_photograph_that_is_too_small_is_told(tmp_path, files, cat):
    deconvnet(3, 1).save(tmp_path / "deep.safetensors")
    offer_dense([tmp_path / "deep.safetensors"])
    html = dense.answer(Upload(as_file(cat), "cat.png"), "deep", "coffee", LIMITS)
    offer_dense(files)
    assert re.search(r"images of [^:]*64 are too small", html)


def test_large_photographs_and_large_networks_are_bounded(files):
    large = torch.zeros(3, 300, 400, dtype=torch.uint8)
    html = dense.answer(Upload(as_file(large), "large.png"), "streets", "coffee", LIMITS)
    assert "large.png, 256×192" in html
    with torch.device("meta"):
        published = {"segnet": segnet(11).shape, "cedn": cedn().shape, "deconvnet": deconvnet().shape}
    for shape in published.values():
        side = side_of(shape)
        assert side == 256
        assert work_of(shape, side) < 1.5e11
    assert side_of(segnet(11, 2).shape) == 256


def test_work_is_counted_layer_by_layer():
    shape = DenseShape(
        ((DenseLayer(3),), (DenseLayer(4),)), ((DenseLayer(3),), (DenseLayer(2, 1),)), pooled=1
    )
    # Two encodings: 3 to 3 channels at 8x8, 3 to 4 at 4x4; four decodings: 4 to 3 at 4x4, 3 to 2 at 8x8.
    expected = 2 * (64 * 9 * 3 * 3 + 16 * 9 * 3 * 4) + 4 * (16 * 9 * 4 * 3 + 64 * 3 * 2)
    assert work_of(shape, 8) == expected


def test_what_cannot_be_offered_is_refused(tmp_path, files):
    grey = DenseNetwork(
        DenseShape(((DenseLayer(3),),), ((DenseLayer(2, norm=False, relu=False),),), 1, channels=1)
    )
    grey.save(tmp_path / "grey.safetensors")
    with pytest.raises(ValueError, match="takes images of 1 channels"):
        offer_dense([tmp_path / "grey.safetensors"])
    with pytest.raises(ValueError, match=r"has one called streets, as another one is: rename .*streets"):
        offer_dense([files[0], files[0]])
    own = tmp_path / "cedn-bsds.safetensors"
    own.write_bytes(files[1].read_bytes())
    with pytest.raises(ValueError, match=f"as one that ships is: rename {own}"):
        offer_dense([own])
    wide = DenseShape(((DenseLayer(9999, 99),),), ((DenseLayer(2, norm=False, relu=False),),), 1)
    assert side_of(wide) < 64
    with pytest.raises(ValueError, match="too large for the page, which would give it less than 64 pixels"):
        dense_networks._check("wide", wide)
    assert offered_dense() == ["streets", "outlines", *shipped_dense()]


def test_files_are_told_apart_by_what_they_hold(tmp_path, monkeypatch, files):
    """A network of switches goes to the other tabs, one for every pixel to this one."""
    vgg = tmp_path / "vgg.safetensors"
    tiny_vgg().save(vgg)
    given = {}
    monkeypatch.setattr(serving, "offer", lambda some: given.update(tunnel=list(some)))
    monkeypatch.setattr(serving, "offer_dense", lambda some: given.update(dense=list(some)))

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(serving, "_listen", stop)
    with pytest.raises(KeyboardInterrupt):
        serving.serve(networks=[vgg, files[1], "16-16-16"])
    assert given == {"tunnel": [vgg, "16-16-16"], "dense": [files[1]]}
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(files[0].read_bytes()[:-100])
    assert not dense_networks.is_dense(damaged)
    monkeypatch.undo()
    with pytest.raises(FormatError, match="damaged"):
        serving.serve(port=0, networks=[damaged])


def test_a_photograph_is_not_held_against_itself(files, cat):
    astronaut, rocket = (demo_photographs()[name] for name in ("astronaut", "rocket"))
    assert torch.equal(dense._another(cat, "astronaut"), astronaut)
    assert torch.equal(dense._another(astronaut, "astronaut"), rocket)
