"""Captured photographs, packed and unpacked."""

import pickle

import pytest
import torch
from specimens import Pools, photographs
from torch import nn

from maxtunnel.auditing import Target
from maxtunnel.auditing.loading import load_target
from maxtunnel.auditing.origin import hash_of_weights
from maxtunnel.auditing.samples import Again, _load_again, sample
from maxtunnel.data.batches import PIECE
from maxtunnel.switches.capture import capture
from maxtunnel.switches.codes import SwitchCode

pytestmark = pytest.mark.usefixtures("one_thread")


def test_samples_give_back_what_was_captured():
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2), nn.MaxPool2d((1, 2)))
    pixels = photographs(40)
    samples = sample(Target(model, "m"), pixels)
    chosen = torch.tensor([3, 39, 0])
    with torch.no_grad():
        expected = capture(model, pixels[chosen].float() / 255)
        features = model(pixels[chosen].float() / 255)
    assert samples.code(chosen) == expected
    restored = samples.what(chosen) * samples.rms[:, None, None]
    assert torch.allclose(restored, features, rtol=2e-3, atol=1e-5)
    # With no time at all, the fewest that make sense.
    assert len(sample(Target(model, "m"), pixels, seconds=0.0, least=8)) == 8
    assert len(sample(Target(model, "m"), pixels, seconds=0.0)) == 16


def test_a_fixed_batch_is_filled_and_cut_again():
    model, pixels = nn.Sequential(nn.Conv2d(3, 5, 3), nn.MaxPool2d(2)), photographs(11)
    plain, filled = (sample(Target(model, "m", batch=batch), pixels) for batch in (None, 4))
    everyone = torch.arange(11)
    assert len(filled) == 11
    assert filled.code(everyone) == plain.code(everyone)
    assert torch.allclose(filled.what(everyone) * filled.rms[:, None, None],
                          plain.what(everyone) * plain.rms[:, None, None], rtol=2e-3)  # fmt: skip


@pytest.mark.parametrize("numbers", [(1,), (2, 3), (1, 3), (1, 2, 3)])
def test_levels_keep_their_numbers_in_the_model(numbers):
    pixels = photographs(9)
    samples = sample(Target(Pools(), "m", levels=numbers), pixels)
    whole = capture(Pools(), pixels.float() / 255)
    expected = tuple(whole.levels[number - 1] for number in numbers)
    assert samples.numbers == tuple(samples.by_number) == numbers
    assert samples.code(torch.arange(9)) == SwitchCode(expected, whole.image_size)
    assert [level.name for level in samples.by_number.values()] == [level.name for level in expected]
    assert samples.coarsest_first == numbers[::-1]


def test_the_coarsest_level_need_not_be_the_last():
    model = nn.Sequential(
        nn.MaxPool2d(2), nn.MaxPool2d(2), nn.Upsample(scale_factor=4), nn.Conv2d(3, 4, 1), nn.MaxPool2d(2)
    )  # fmt: skip
    pixels = photographs(9)
    assert sample(Target(model, "m"), pixels).coarsest_first == (2, 3, 1)
    samples = sample(Target(model, "m", levels=(2, 3)), pixels)
    assert samples.coarsest_first == (2, 3)
    # Features are those of the coarsest level.
    assert samples.features.shape == (9, 3, 8, 8)
    assert sample(Target(model, "m", levels=(1, 3)), pixels).features.shape == (9, 4, 16, 16)


def test_parts_and_pieces_carry_no_more_than_their_own_photographs(tmp_path):
    (tmp_path / "model.py").write_text(
        "from torch import nn\nbuild = lambda: nn.Sequential(nn.MaxPool2d(2), nn.MaxPool2d(2))\n"
    )
    name, pixels, sizes = f"{tmp_path / 'model.py'}:build", photographs(100), []
    target = load_target(name, "imagenet")

    def spread(work, parts, whole_node=False):
        for number in range(len(parts)):
            piece = work(parts[number])
            sizes.append([len(pickle.dumps(parts[number])), len(pickle.dumps(piece.template))])
            yield number, piece

    again = Again(name, "imagenet", None, hash_of_weights(target.model))
    samples = sample(target, pixels, spread=spread, again=again)
    assert samples.packed[0].equal(sample(target, pixels).packed[0])
    parts, templates = zip(*sizes, strict=True)
    assert max(parts) < pixels[:PIECE].numel() + 2000
    assert max(templates) < 2 * pixels[0].numel() // 4 + 4000


def test_workers_run_the_model_where_they_are_told_to(tmp_path):
    (tmp_path / "model.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def build():\n"
        "    torch.manual_seed(0)\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2))\n"
    )
    name = f"{tmp_path / 'model.py'}:build"
    hashed = hash_of_weights(load_target(name).model)
    for device in ("cpu", "meta"):
        again = Again(name, None, None, hashed, device)
        assert {weight.device.type for weight in _load_again(again).model.parameters()} == {device}
