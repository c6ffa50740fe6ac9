"""Models by name: files, packages, networks of ours and the examples."""

from pathlib import Path

import pytest
import torch

import maxtunnel
from maxtunnel.auditing import load_target
from maxtunnel.auditing.loading import find, read_preprocess

pytestmark = pytest.mark.usefixtures("one_thread")

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("example", "levels", "returned", "unpoolings"),
    [("vgg", 3, 0, 0), ("segnet", 3, 0, 3), ("unet", 2, 0, 0), ("split_inference", 2, 2, 0)],
)
def test_the_examples(example, levels, returned, unpoolings):
    target = load_target(f"{EXAMPLES / example}.py:build")
    found = target.try_out(torch.rand(2, 3, 32, 32))
    assert (len(found.levels), len(found.returned), found.unpoolings) == (levels, returned, unpoolings)


def test_the_metric_of_the_segnet_example_knows_its_own_model():
    target = load_target(f"{EXAMPLES / 'segnet'}.py:build")
    with torch.no_grad():
        assert find(f"{EXAMPLES / 'segnet'}.py:agreement")(target.model) == 1


def test_a_network_of_ours_is_its_encoder():
    target, network = load_target("8-8-8"), maxtunnel.load("8-8-8")
    images = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    found, expected = target.record(images), network.encode(images)
    assert [level.switches.name for level in found.levels] == ["pool", "pool#2", "pool#3"]
    for level, wanted in zip(found.levels, expected.levels, strict=True):
        assert torch.equal(level.switches.codes, wanted.codes)
        assert level.switches.size == wanted.size
    what, _ = network.encoder(network.normalise(images))
    torch.testing.assert_close(found.output, what)
    torch.testing.assert_close(found.levels[2].values, what)


def test_preprocessing():
    images = torch.rand(2, 3, 4, 4)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    assert torch.allclose(read_preprocess("imagenet")(images), expected)
    assert torch.equal(read_preprocess("0,0,0/1,1,1")(images), images)
    assert torch.equal(read_preprocess(None)(images), images)


def test_the_library_names_arguments_and_no_flags():
    with pytest.raises(ValueError, match=r"leave `preprocess` out"):
        load_target("8-8-8", preprocess="imagenet")
    with pytest.raises(ValueError, match=r"`preprocess` is '1/2': expected MEAN/STD"):
        read_preprocess("1/2")
    with pytest.raises(ValueError, match=r"the `size` and `preprocess` that it was made for"):
        load_target(f"{EXAMPLES / 'unet'}.py:build").try_out(torch.rand(1, 3, 31, 31))
