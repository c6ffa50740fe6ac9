"""Training of the all-convolutional networks: batches as functions of the step, and the published recipe."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from maxtunnel.models.all_conv import AllConv
from maxtunnel.training.all_conv import AllConvClassification, AllConvFeed, shifted, wrong_answers
from maxtunnel.training.loop import fit
from maxtunnel.training.recipes import ALL_CONV_FAST, ALL_CONV_PAPER
from maxtunnel.training.what_where import standardise

pytestmark = pytest.mark.usefixtures("one_thread")


def bars(count=40):
    """Images of two classes, which a bar that lies or stands tells apart, and their labels."""
    pixels = torch.randint(0, 60, (count, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(count) % 2
    pixels[labels == 0, :, 6:9] = 220
    pixels[labels == 1, :, :, 6:9] = 220
    return pixels.to(torch.uint8), labels


def network(variant="all", width=4):
    made = AllConv("C", variant, width, classes=2)
    standardise(made, bars()[0])
    return made


def recipe(steps=2, batch=8, **changes):
    return replace(ALL_CONV_FAST, steps=steps, batch=batch, learning_rate=3e-3, **changes)


def test_the_loss_is_that_of_the_classes():
    model, (pixels, labels) = network(), bars()
    images = model.normalise(pixels.float() / 255)
    loss, accuracy = AllConvClassification(model)(images, labels, [])
    torch.testing.assert_close(loss, F.cross_entropy(model(images), labels))
    assert accuracy == (model(images).argmax(1) == labels).float().mean()


def test_images_are_normalised_by_all_of_them():
    model, (pixels, labels) = network(), bars()
    images, found, kept = AllConvFeed(model, pixels, labels, recipe(batch=40), 0, dropout=False).at(0)
    assert kept == []
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(images.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)
    assert sorted(found.tolist()) == sorted(labels.tolist())


def test_dropout_leaves_out_its_share_and_depends_on_seed_and_step_alone():
    model, (pixels, labels) = network(width=8), bars()
    feed = AllConvFeed(model, pixels, labels, recipe(batch=40), 0)
    masks, again, other = feed.at(3)[2], feed.at(3)[2], feed.at(4)[2]
    for mask, share, (_, shape) in zip(masks, (0.2, 0.5, 0.5), model.dropped((16, 16)), strict=True):
        assert mask.shape == (40, *shape)
        assert mask.unique().tolist() == pytest.approx([0, 1 / (1 - share)])
        assert (mask == 0).float().mean() == pytest.approx(share, abs=0.03)
    assert all(torch.equal(a, b) for a, b in zip(masks, again, strict=True))
    assert not torch.equal(masks[0], other[0])


def test_images_are_mirrored_and_shifted_only_where_asked_for():
    model, (pixels, labels) = network(), bars()
    plain = AllConvFeed(model, pixels, labels, recipe(), 0, False)
    moved = AllConvFeed(model, pixels, labels, recipe(flips=True), 0, False, shift=5)
    numbers = plain._order.at(0)[0]
    assert torch.equal(plain.at(0)[0], model.normalise(pixels[numbers].float() / 255))
    assert not torch.equal(plain.at(0)[0], moved.at(0)[0])
    assert torch.equal(plain.at(0)[1], moved.at(0)[1])
    assert torch.equal(moved.at(1)[0], moved.at(1)[0])


def test_what_comes_in_from_outside_is_0():
    images = torch.arange(1.0, 17).view(1, 1, 4, 4).repeat(3, 2, 1, 1)
    found = shifted(images, torch.tensor([[0, 1, -2], [0, -1, 3]]))
    assert torch.equal(found[0], images[0])
    assert found[1, 0].tolist() == [[0, 0, 0, 0], [2, 3, 4, 0], [6, 7, 8, 0], [10, 11, 12, 0]]
    assert found[2, 1].tolist() == [[0, 0, 0, 9], [0, 0, 0, 13], [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("variant", ["convpool", "all"])
def test_a_training_learns_and_comes_out_the_same_again(variant):
    (pixels, labels), errors = bars(), []
    for _ in range(2):
        model = network(variant, 8)
        feed = AllConvFeed(model, pixels, labels, recipe(30), 1, dropout=False)
        fit(AllConvClassification(model), feed.at, recipe(30))
        errors.append(wrong_answers(model, pixels, labels))
    assert errors[0].float().mean() < 0.1
    assert torch.equal(*errors)


def test_wrong_answers_are_those_of_eval_mode():
    model, (pixels, labels) = network().train(), bars()
    expected = model(model.normalise(pixels.float() / 255)).argmax(1) != labels
    assert torch.equal(wrong_answers(model, pixels, labels), expected)
    assert model.training


@pytest.mark.parametrize(
    ("labels", "message"),
    [(torch.zeros(3, dtype=torch.int64), "40 images and 3 labels"), (torch.full((40,), 2), "2 to 2")],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        AllConvFeed(network(), bars()[0], labels, recipe(), 0)


def test_the_papers_rate_falls_to_a_tenth_after_200_250_and_300_of_350_passes():
    each = 391  # steps of 128 images for 50,000
    passes = (0, 199, 200, 249, 250, 299, 300, 349)
    rates = [ALL_CONV_PAPER.rate(each * number) / ALL_CONV_PAPER.learning_rate for number in passes]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    assert ALL_CONV_PAPER.steps == 350 * each
    assert (ALL_CONV_PAPER.betas[0], ALL_CONV_PAPER.weight_decay) == (0.9, 1e-3)
