"""What the tabs compute and show, without a server: reconstruction, lab, inside."""

import base64
import io
import re
from html import escape

import pytest
import torch
from web_files import as_file

from maxtunnel.codec import dumps, loads
from maxtunnel.data.images import read_image, shrink, to_float, to_uint8
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.evaluation.metrics import measure
from maxtunnel.paper.readings import DECODERS
from maxtunnel.switches.changes import shuffled
from maxtunnel.web import bounds, inside, lab, reconstruct
from maxtunnel.web.inputs import Limits, printable
from maxtunnel.web.lab import Choice
from maxtunnel.web.uploads import Upload
from maxtunnel.zoo.names import load

pytestmark = pytest.mark.usefixtures("one_thread")
LIMITS = Limits()


def test_a_reconstruction_is_what_the_library_gives(cat):
    net = load("8-8-8")
    strong = load("8-8-8-strong")
    done = reconstruct.rebuild(net, cat, strong)
    image = to_float(cat)[None]
    assert [reading.decoder for reading in done.readings] == ["mirrored", "strong"]
    for each, reading in zip((net, strong), done.readings, strict=True):
        # By itself each network gives what it is said to give of the other's switches: they are the same.
        output = each.reconstruct(image)
        assert torch.equal(reading.picture, to_uint8(output[0]))
        mse, psnr, ssim = measure(output, image)[:, 0].tolist()
        found = (reading.rmse, reading.psnr, reading.ssim)
        assert found == pytest.approx((mse**0.5, psnr, ssim), rel=1e-6)
        assert torch.allclose(reading.error, (output - image)[0].abs().mean(0))
    assert done.readings[1].rmse < done.readings[0].rmse
    assert loads(done.file) == net.encode(image)
    assert done.nominal_bits == 1.75
    assert done.stored_bits == 8 * len(done.file) / cat.numel()
    assert [each.decoder for each in reconstruct.rebuild(net, cat).readings] == ["mirrored"]


def test_pictures_in_the_html_are_exact_and_names_cannot_break_out(cat):
    done = reconstruct.rebuild(load("8-8-8"), cat, load("8-8-8-strong"))
    html = reconstruct.show_rebuilt(done, "8-8-8", printable('<b onload="x">"${x}.png'))
    pngs = [base64.b64decode(found) for found in re.findall(r"data:image/png;base64,([^\"]+)", html)]
    paper, strong = (reading.picture for reading in done.readings)
    for place, picture in enumerate((cat, paper, cat, strong)):
        assert torch.equal(read_image(io.BytesIO(pngs[place])), picture)
    assert "onload=" not in html.replace("onload=_", "")
    assert "${" not in html
    files = re.findall(r"data:application/octet-stream;base64,([^\"]+)", html)
    assert base64.b64decode(files[0]) == done.file


def test_both_decoders_are_named_with_their_errors_where_both_ship(cat):
    shown = {name: reconstruct.show_photograph(name, cat, "cat.png") for name in ("8-8-8", "6-12-24")}
    done = reconstruct.rebuild(load("8-8-8"), cat, load("8-8-8-strong"))
    for reading in done.readings:
        told = f"<b>{escape(DECODERS[reading.decoder])}</b>: RMSE {reading.rmse:.4f}."
        assert told in shown["8-8-8"]
        assert "strong decoder</b>" not in shown["6-12-24"]
    assert shown["8-8-8"].count("mt-compare") == 2
    assert shown["6-12-24"].count("mt-compare") == 1
    assert 'download="cat-8-8-8-strong.png"' in shown["8-8-8"]
    assert "No strong decoder ships for the switches of 6-12-24, only for those of 8-8-8" in shown["6-12-24"]


def test_large_photographs_are_not_given_to_a_strong_decoder(cat, monkeypatch):
    limit = bounds.STRONG_SIDE
    assert bounds.why_not_strong("8-8-8", (limit, limit)) is None
    assert f"up to {limit} pixels a side" in bounds.why_not_strong("8-8-8", (1, limit + 1))
    # As large photographs, but quick: nothing is read with a strong decoder, and the page says why.
    monkeypatch.setattr(bounds, "STRONG_SIDE", 63)
    html = reconstruct.show_photograph("8-8-8", cat, "cat.png")
    assert html.count("mt-compare") == 1
    assert "The strong decoder reads up to 63 pixels a side on this page" in html
    file = Upload(dumps(load("8-8-8").encode(to_float(cat)[None]), load("8-8-8")), "cat.mxt")
    assert reconstruct.answer_switches(file, LIMITS).count("mt-decoded") == 1


def test_a_switch_file_is_read_by_both_decoders(cat):
    code = load("8-8-8").encode(to_float(cat)[None])
    html = reconstruct.answer_switches(Upload(dumps(code, load("8-8-8")), "cat.mxt"), LIMITS)
    pngs = [base64.b64decode(found) for found in re.findall(r"src=\"data:image/png;base64,([^\"]+)", html)]
    expected = [to_uint8(load(name).decode(code)[0]) for name in ("8-8-8", "8-8-8-strong")]
    assert all(
        torch.equal(read_image(io.BytesIO(data)), pixels) for data, pixels in zip(pngs, expected, strict=True)
    )
    assert "rebuilt by 8-8-8 from" in html


def test_every_change_of_a_level_does_what_its_name_says(cat, cup):
    net = load("8-8-8")
    code, other = (net.encode(to_float(shrink(p, 32))[None, :, :24, :24]) for p in (cat, cup))
    keep = Choice()
    for index in range(3):
        for change in lab.CHANGES:
            choices = [Choice(change, 0.5) if level == index else keep for level in range(3)]
            new = lab.change_levels(code, other, choices, seed=3)
            same = [torch.equal(a.codes, b.codes) for a, b in zip(new.levels, code.levels, strict=True)]
            assert same == [level != index or change == "keep" for level in range(3)], change
            net.check(new)
            assert new == lab.change_levels(code, other, choices, seed=3)
    everything = {change: lab.change_levels(code, other, [Choice(change)] * 3, 1) for change in lab.CHANGES}
    assert everything["B"] == other
    assert all(not level.codes.any() for level in everything["fixed"].levels)
    with pytest.raises(ValueError, match="`change` is 'sing'"):
        lab.change_levels(code, other, [Choice("sing")] * 3)


def test_shuffling_keeps_each_channels_histogram(cat):
    level = load("8-8-8").encode(to_float(cat)[None]).levels[0]
    new = shuffled(level, 1, torch.Generator().manual_seed(0))
    assert not torch.equal(new, level.codes)
    assert torch.equal(new.flatten(2).sort(2)[0], level.codes.flatten(2).sort(2)[0])


def test_a_share_of_the_switches_is_drawn_anew(cat):
    net = load("8-8-8")
    for share in (0.0, 0.3, 1.0):
        done = lab.alter(net, cat, cat, [Choice("flip", share)] * 3)
        # A quarter of those drawn lands where it was; 8,192 switches in the finest level.
        assert done.changed[0] == pytest.approx(0.75 * share, abs=0.03)


def test_the_transplant_shows_a_whatever_the_features(cat, cup):
    net = load("16-16-16")
    kept = lab.alter(net, cat, cup, [Choice()] * 3)
    assert torch.equal(kept.picture, to_uint8(net.reconstruct(to_float(cat)[None])[0]))
    transplant = lab.alter(net, cat, cup, [Choice()] * 3, from_second=True)
    assert not torch.equal(transplant.picture, kept.picture)
    assert transplant.rmse < 0.6 * transplant.rmse_other
    what = lab.scaled_features(net, to_float(cat)[None])
    assert float(what.mean()) == pytest.approx(float(net.decoder.bias_code.detach().mean()), rel=1e-4)
    # Given the constant itself as features, the decoder does what it always does.
    code = net.encode(to_float(cat)[None])
    constant = net.decoder.bias_code.detach()[:, None, None].expand(code.levels[-1].codes.shape)
    assert torch.allclose(net.decode(code, what=constant), net.decode(code), atol=1e-5)


def test_the_lab_works_with_either_decoder(cat, cup):
    net, upload = load("16-16-16-strong"), Upload(as_file(cat), "cat.png")
    kept = lab.alter(net, cat, cup, [Choice()] * 3)
    assert torch.equal(kept.picture, to_uint8(net.reconstruct(to_float(cat)[None])[0]))
    # Other switches, another picture: all of B's switches make B.
    swapped = lab.alter(net, cat, cup, [Choice("B")] * 3)
    assert swapped.rmse_other < 0.6 * swapped.rmse
    with pytest.raises(ValueError, match="features take the place of the constant in the paper's decoder"):
        lab.alter(net, cat, cup, [Choice()] * 3, from_second=True)
    controls = ["keep", 0.5] * 3
    for model, decoder, what, said in (
        ("8-8-8", "strong", "constant", "mt-lab-result"),
        ("8-8-8", "mirrored", "B", "mt-lab-result"),
        ("8-8-8", "strong", "B", "the strong decoder has no constant and takes switches alone"),
        ("6-12-24", "strong", "constant", "no strong decoder ships for the switches of 6-12-24"),
        ("8-8-8", "sing", "constant", "the decoder is sing: choose one of mirrored, strong"),
    ):
        assert said in lab.answer(upload, upload, model, decoder, controls, what, 0, LIMITS)


def test_inside_shows_the_parts_of_a_strong_decoder(cat):
    html = inside.show(load("8-8-8-strong"), cat, 5)
    names = [f"down{scale}" for scale in (1, 2, 3)] + [f"up{scale}" for scale in (3, 2, 1)] + ["image"]
    assert re.findall(r"<b>(down\d|up\d|image)</b>", html) == names
    assert "bias code" not in html
    assert "learned constant" not in html
    assert "It has no constant" in html


def test_inside_gives_a_strong_decoder_smaller_photographs():
    upload = Upload(as_file(demo_photographs()["rocket"]), "rocket.png")
    sizes = {
        decoder: re.search(r"channel 1 of 8, (\d+×\d+) switches", answer)[1]
        for decoder in ("mirrored", "strong")
        if (answer := inside.answer(upload, "8-8-8", decoder, 1, LIMITS))
    }
    assert sizes == {"mirrored": "128×128", "strong": "64×64"}


def test_inside_shows_the_codes_and_the_layers(cat):
    net = load("8-8-8")
    code = net.encode(to_float(cat)[None])
    drawn = inside.colour(code.levels[0].codes[0, 2])
    for value, colour in enumerate(inside.COLOURS):
        where = code.levels[0].codes[0, 2] == value
        assert (drawn[:, where] == torch.tensor(colour, dtype=torch.uint8)[:, None]).all()
    assert sum(inside.shares(code.levels[0], 2)) == pytest.approx(1)
    last = net.activations(code)[-1]
    assert last[0] == "deconv1_2"
    assert torch.allclose(net.denormalise(last[1], code.image_size), net.decode(code), atol=1e-5)
    ramp = inside.grey(torch.linspace(-3, 5, 1000).reshape(20, 50))
    assert (int(ramp.min()), int(ramp.max())) == (0, 255)
    assert inside.grey(torch.ones(4, 4)).unique().tolist() == [128]
    sets = [levels for levels, _ in inside.from_levels(net, code)]
    assert sets == [(3,), (2, 3), (1, 2, 3), (1,)]


def test_what_is_no_name_or_number_of_the_page_is_told_in_words(cat, tmp_path):
    upload = Upload(as_file(cat), "cat.png")
    for answer in (
        reconstruct.answer_photograph(upload, "/etc/passwd", 128, LIMITS),
        reconstruct.answer_photograph(upload, "8-8-8", {"a": 1}, LIMITS),
        reconstruct.answer_photograph(upload, ["8-8-8"], 128, LIMITS),
        reconstruct.answer_switches(upload, LIMITS),
        inside.answer(upload, "8-8-8", "mirrored", -1, LIMITS),
        inside.answer(upload, "8-8-8", ["strong"], 1, LIMITS),
        inside.answer(upload, "6-12-24", "strong", 1, LIMITS),
        lab.answer(upload, upload, "8-8-8", "mirrored", ["sing", 0.5] * 3, "constant", 0, LIMITS),
        lab.answer(upload, upload, "8-8-8", "mirrored", ["keep", 7] * 3, "constant", 0, LIMITS),
        lab.answer(upload, upload, "8-8-8", "mirrored", ["keep", 0.5] * 3, "sing", 0, LIMITS),
        lab.answer(upload, upload, "8-8-8", "mirrored", ["keep", 0.5] * 3, "constant", None, LIMITS),
    ):
        assert 'role="alert"' in answer
        assert "passwd" not in answer.replace("network passwd", "")
    assert 'mt-hint"' in reconstruct.answer_photograph(None, "8-8-8", 128, LIMITS)
    assert 'mt-hint"' in inside.answer(None, "8-8-8", "mirrored", 1, LIMITS)
    assert 'mt-hint"' in lab.answer(None, upload, "8-8-8", "mirrored", [], "constant", 0, LIMITS)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] can't allocate memory: 9 bytes")]
)
def test_too_little_memory_is_told_in_words(cat, monkeypatch, error):
    upload = Upload(as_file(cat), "cat.png")

    def fail(*_):
        raise error

    for module in (inside, lab, reconstruct):
        monkeypatch.setattr(module, "reader", fail)
    controls = ["keep", 0.5] * 3
    for answer in (
        reconstruct.answer_photograph(upload, "8-8-8", 128, LIMITS),
        inside.answer(upload, "8-8-8", "mirrored", 1, LIMITS),
        lab.answer(upload, upload, "8-8-8", "mirrored", controls, "constant", 0, LIMITS),
    ):
        assert "there is not enough memory: take a smaller size" in answer
    # Any other is a defect, and no visitor is asked to do something about it.
    error = RuntimeError("shapes differ")
    with pytest.raises(RuntimeError, match="shapes differ"):
        inside.answer(upload, "8-8-8", "mirrored", 1, LIMITS)


def test_controls_of_levels_that_a_network_lacks_are_passed_over():
    controls = ["fixed", 0.1, "flip", 0.2, "sing", 7]
    assert lab.read_choices(controls, 2) == [Choice("fixed", 0.1), Choice("flip", 0.2)]
    with pytest.raises(ValueError, match="a level's change is sing"):
        lab.read_choices(controls, 3)
    with pytest.raises(ValueError, match="controls for 3 levels, and the network has 4"):
        lab.read_choices(controls, 4)
