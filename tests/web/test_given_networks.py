"""Networks of files on the page: what each tab does with them, the bounds, and an untrained decoder."""

import re

import pytest
import torch
from web_files import as_file, tiny_vgg

from maxtunnel.codec import dumps
from maxtunnel.data.images import to_float
from maxtunnel.models.architecture import VGG, Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.web import bounds, inside, lab, networks, reconstruct, serve, triggers
from maxtunnel.web.inputs import Limits
from maxtunnel.web.uploads import Upload, read_switches
from maxtunnel.zoo.names import load
from tools.load_page import photograph

pytestmark = pytest.mark.usefixtures("one_thread")
LIMITS = Limits()
UNTRAINED = (
    r"he decoder of vgg is untrained, as its encoder came alone: train one with maxtunnel train 2x1-4x3"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Networks of files, offered: an imported one, that with a decoder, and one with a strong decoder."""
    folder = tmp_path_factory.mktemp("networks")
    imported, trained = tiny_vgg(), tiny_vgg()
    with torch.no_grad():
        trained.mirrored.bias_code += 1
    strong = TunnelNetwork(Architecture((2, 2)), torch.full((3, 1, 1), 0.5), strong_width=4)
    found = []
    for name, network in (("vgg", imported), ("deep", trained), ("strong", strong)):
        found.append(folder / f"{name}.safetensors")
        network.save(found[-1])
    networks.offer(found)
    yield found
    networks.offer([])


def test_files_are_offered_beside_what_ships(files):
    assert [name for _, name in networks.options()][-3:] == ["vgg", "deep", "strong"]
    told = [text for text, _ in networks.options()][-3:]
    assert [text.rpartition(", ")[2] for text in told] == [
        "no trained decoder", "mirrored decoder", "strong decoder",
    ]  # fmt: skip
    assert networks.depths()["vgg"] == 2
    assert networks.favourite() == "16-16-16"
    assert networks.network("deep") is networks.network("deep")
    assert "vgg" not in [entry.name for entry in networks.encoders()]
    with pytest.raises(ValueError, match="the file of deep holds the paper's decoder alone"):
        networks.reader("deep", "strong")
    with pytest.raises(ValueError, match="the file of strong holds the strong decoder alone"):
        networks.reader("strong", "mirrored")
    with pytest.raises(ValueError, match=UNTRAINED + " --encoder FILE"):
        networks.reader("vgg", "mirrored")


def test_what_cannot_be_offered_is_refused_and_nothing_changes(files, tmp_path):
    same = tmp_path / "16-16-16.safetensors"
    tiny_vgg().save(same)
    (tmp_path / "damaged.safetensors").write_bytes(b"nothing")
    deep = tmp_path / "many.safetensors"
    TunnelNetwork(Architecture((1,) * 9), torch.full((3, 1, 1), 0.5)).save(deep)
    with pytest.raises(ValueError, match="two called 16-16-16"):
        networks.offer([same])
    with pytest.raises(ValueError, match="two called vgg"):
        networks.offer([files[0], files[0]])
    with pytest.raises(ValueError, match=r"too large for the page: .* 9 levels"):
        networks.offer([deep])
    with pytest.raises(FormatError, match="damaged"):
        serve(port=0, networks=[tmp_path / "damaged.safetensors"])
    assert list(networks.offered()) == ["vgg", "deep", "strong"]


def test_a_photograph_through_each_kind_of_file(files, cat):
    shown = {name: reconstruct.show_photograph(name, cat, "cat.png") for name in networks.offered()}
    assert re.search(UNTRAINED, shown["vgg"])
    assert "RMSE" not in shown["vgg"]
    assert "Download the switches" in shown["vgg"]
    errors = {name: float(re.search(r"RMSE (0\.\d+)", shown[name])[1]) for name in ("deep", "strong")}
    for name, error in errors.items():
        output = networks.network(name).reconstruct(to_float(cat)[None])
        assert error == pytest.approx(float((output - to_float(cat)).square().mean().sqrt()), abs=1e-4)
    assert "The file of deep holds" in shown["deep"]
    assert "Read by <b>the strong decoder" in shown["strong"]


def test_their_switch_files_are_read_where_there_is_a_decoder(files, cat):
    net = networks.network("deep")
    code = net.encode(to_float(cat)[None])
    upload = Upload(dumps(code, net), "a.mxt")
    # The imported one has the same encoder and stands first, but shows nothing.
    assert read_switches(upload, LIMITS) == ("deep", code)
    assert "rebuilt by deep" in reconstruct.answer_switches(upload, LIMITS)
    liar = load("8-8-8")
    liar.identity = net.identity
    data = dumps(liar.encode(to_float(cat)[None]), liar)
    with pytest.raises(FormatError, match="not those of deep"):
        read_switches(Upload(data, "a.mxt"), LIMITS)
    networks.offer(files[:1])
    try:
        with pytest.raises(FormatError, match=UNTRAINED):
            read_switches(upload, LIMITS)
    finally:
        networks.offer(files)


def test_lab_and_inside_say_what_they_can(files, cat, cup):
    a, b = Upload(as_file(cat), "a.png"), Upload(as_file(cup), "b.png")
    controls = ["keep", 0.5] * 3
    for name, decoder in (("deep", "mirrored"), ("strong", "strong")):
        assert "it resembles" in lab.answer(a, b, name, decoder, controls, "constant", 0, LIMITS)
        assert "levels-told" in inside.answer(a, name, decoder, 1, LIMITS)
    assert re.search(UNTRAINED, lab.answer(a, b, "vgg", "mirrored", controls, "constant", 0, LIMITS))
    shown = inside.answer(a, "vgg", "mirrored", 1, LIMITS)
    assert "switches of level 2" in shown
    assert "what the four switches of level 2 say" in shown
    assert re.search(UNTRAINED, shown)
    assert "levels-told" not in shown


def as_large_as(monkeypatch, text):
    """The network of a file as if it had this architecture: what it costs is counted, not measured."""
    monkeypatch.setattr(networks.network("deep"), "architecture", Architecture.parse(text))


def test_a_larger_network_computes_on_fewer_pixels(files, monkeypatch):
    assert bounds.side_for("16-16-16", 1024) == bounds.side_for("deep", 1024) == 1024
    assert bounds.side_for("strong", 1024) == bounds.STRONG_SIDE
    assert networks.relative_work(Architecture.parse("48-96-192")) == 1
    # By hand, from the layers of VGG16: 305,856 multiplications a pixel, and 84,240 of 48-96-192.
    assert networks.relative_work(Architecture.parse("vgg16")) == pytest.approx(305_856 / 84_240)
    as_large_as(monkeypatch, "vgg16")
    assert [bounds.side_for("deep", side) for side in (2048, 1024, 256, 128)] == [1024, 512, 128, 128]
    assert max(networks.relative_work(Architecture.parse(name)) for name in VGG) < networks.MOST_WORK


def test_a_photograph_is_made_smaller_for_it_and_the_page_says_so(files, monkeypatch, cat):
    as_file_of = Upload(as_file(cat.repeat(1, 3, 3)), "cat.png")
    monkeypatch.setattr(reconstruct, "side_for", lambda model, side: 128)
    shown = reconstruct.answer_photograph(as_file_of, "deep", 256, LIMITS)
    assert "128×" in shown or "×128" in shown
    assert "up to 128 pixels a side with deep" in shown
    assert "pixels a side with" not in reconstruct.answer_photograph(as_file_of, "deep", 128, LIMITS)


def test_patches_that_would_take_much_memory_are_named(files, monkeypatch):
    net = networks.network("deep")
    monkeypatch.setattr(triggers, "_MOST_BYTES", triggers._bytes(net, 1))
    shown = triggers.show(net, 0)
    assert "what the four switches of level 1 say" in shown
    assert "level 2 say" not in shown
    assert "take too much memory here: level 2 (0 MB)" in shown
    found = triggers._found(net, 1)
    assert triggers._bytes(net, 1) == found.patches.nbytes


def test_the_page_serves_them(visitor):
    sent = visitor.upload("a.png", photograph(0, 64))
    assert re.search(UNTRAINED, visitor.reconstruct(sent, "vgg", 128))
    assert "there is no network deep" in visitor.reconstruct(sent, "deep", 128)
    parts = {item["props"].get("elem_id"): item["props"] for item in visitor.config["components"]}
    assert parts["network"]["choices"][-1][1] == "vgg"
    told = "Of files, and so not among the networks that ship: vgg."
    assert any(told in str(item["props"].get("value")) for item in visitor.config["components"])
