"""The networks in the package that answer for every pixel."""

import pytest
import torch

from maxtunnel.data.photographs import demo_photographs
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.support.choices import OUTLINES, STREETS
from maxtunnel.support.files import FormatError
from maxtunnel.zoo.dense_files import list_shipped_dense, load_dense, shipped_dense, shipped_file
from maxtunnel.zoo.names import load
from tools.command_line import call, refuse

pytestmark = pytest.mark.usefixtures("one_thread")


def test_those_that_the_commands_take_are_there():
    assert {STREETS, OUTLINES} <= set(shipped_dense())


@pytest.mark.parametrize("found", list_shipped_dense(), ids=lambda found: found.name)
def test_each_is_small_and_says_what_it_reached(found):
    assert found.file_bytes < 4e6
    assert "steps of" in found.about
    assert ("ODS 0." if found.classes == 1 else "mean IoU ") in found.about
    assert load_dense(found.name).side is not None


def test_the_list_has_them():
    text = call("models")
    for found in list_shipped_dense():
        assert f"{found.name}: {found.about}" in text.replace("\n", " ")


def test_a_name_that_is_none_is_told(tmp_path):
    with pytest.raises(FormatError, match=r"no network 'segnet-camvit' \(is segnet-camvid meant\?\)"):
        load_dense("segnet-camvit")
    assert "take `maxtunnel segment`" in refuse("contours", "cat.png", "--model", STREETS)


def test_each_command_says_whose_network_it_was_given(tmp_path):
    own = tmp_path / "own.safetensors"
    own.write_bytes(shipped_file(OUTLINES).read_bytes())
    for model in (OUTLINES, own):
        with pytest.raises(FormatError, match=f"{model} answers for every pixel, for `contours`"):
            load(model)
    with pytest.raises(FormatError, match="8-8-8 rebuilds photographs, for `reconstruct`"):
        load_dense("8-8-8")


@pytest.mark.parametrize("name", [STREETS, OUTLINES])
def test_they_need_their_switches(name):
    """What they say of a photograph changes with the switches, so that there is something to show."""
    network = DenseNetwork.load(shipped_file(name))
    images = demo_photographs()["chelsea"][None].float() / 255
    known = network.answer(images)
    for changed in (network.answer(images, where=False), network.answer(images, what=False)):
        assert float((known.sigmoid() - changed.sigmoid()).abs().mean()) > 0.02
    assert not torch.equal(known, network.answer(images, switches_of=images.flip(3)))
