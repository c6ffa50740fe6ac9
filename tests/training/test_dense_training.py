"""Trainings for dense targets: losses against their definitions, masks that go where images go, stages."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from maxtunnel.data.dense import DenseSet, read_label_image
from maxtunnel.data.dense_store import prepare_dense
from maxtunnel.data.store import open_store
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.models.dense_shape import DenseLayer, DenseShape
from maxtunnel.training.dense import DenseData, DenseFeed, DenseTraining, train_dense, train_in_stages
from maxtunnel.training.engine import Update, make_optimizer, place, start_fabric
from maxtunnel.training.recipes import CEDN, DECONVNET, DENSE_FAST, SEGNET, SEGNET_BASIC

pytestmark = pytest.mark.usefixtures("one_thread")
FAST = replace(DENSE_FAST, batch=4, steps=40, learning_rate=0.02)


def small(classes=3, unpooling="switches", dropout=0.0, seed=0):
    def layer(filters):
        return DenseLayer(filters, dropout=dropout)

    shape = DenseShape(
        ((layer(6),), (layer(8),)),
        ((layer(6),), (layer(6), DenseLayer(classes, 1, norm=False, relu=False))),
        pooled=2,
    )
    return DenseNetwork(shape, unpooling, seed)


def squares(count=8, size=(16, 20), seed=0):
    """Dark images with a light square, whose pixels are class 1, and void round it."""
    drawn = np.random.default_rng(seed)
    images = torch.from_numpy(drawn.integers(0, 60, (count, 3, *size), np.uint8))
    masks = torch.zeros(count, *size, dtype=torch.uint8)
    for image, mask in zip(images, masks, strict=True):
        top, left = drawn.integers(1, size[0] - 9), drawn.integers(1, size[1] - 9)
        mask[top - 1 : top + 8, left - 1 : left + 8] = 11
        mask[top : top + 7, left : left + 7] = 1
        image[:, mask == 1] += 150
    return images, masks


def normalised(network, images):
    return network.normalise(images.float() / 255)


def weights_of(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def changed(before, network, part):
    found = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    return {name for name in found if name.startswith(part)}


def test_the_loss_of_classes_is_the_weighted_mean_over_pixels_that_count():
    network, (images, masks) = small(), squares(3)
    weights = torch.tensor([1.0, 4.0, 0.5])
    target = torch.where(masks == 11, 255, masks)
    task = DenseTraining(network, weights)
    loss, accuracy = task(normalised(network, images), target, [])
    answers = network.train()(images.float() / 255)
    counted = target != 255
    own, labels = answers.permute(0, 2, 3, 1)[counted], target[counted].long()
    each = F.cross_entropy(own, labels, reduction="none") * weights[labels]
    torch.testing.assert_close(loss, each.sum() / weights[labels].sum())
    torch.testing.assert_close(accuracy, (own.argmax(1) == labels).float().mean())


def test_what_lies_under_void_changes_nothing_and_void_alone_gives_no_gradient():
    network, (_, masks) = small(), squares(3)
    target = torch.where(masks == 11, 255, masks)
    target[0] = 255
    answers = torch.randn(3, 3, 16, 20, requires_grad=True)
    task = DenseTraining(network)
    loss, _ = task._loss(answers, target)
    (gradient,) = torch.autograd.grad(loss, answers)
    assert not gradient[0].any()
    assert not gradient.permute(0, 2, 3, 1)[target == 255].any()
    assert gradient.permute(0, 2, 3, 1)[target != 255].ne(0).all()
    loss, metric = task._loss(answers, torch.full_like(target, 255))
    assert (loss.item(), metric.item()) == (0, 0)


def test_contours_weigh_ten_times_as_much():
    network, generator = small(1), torch.Generator().manual_seed(0)
    answers = torch.randn(2, 5, 7, generator=generator)
    target = torch.randint(0, 3, (2, 5, 7), generator=generator).to(torch.uint8)
    target[target == 2] = 255
    loss, measure = DenseTraining(network)._contour_loss(answers, target)
    p, there, nowhere = answers.sigmoid(), target == 1, target == 0
    cost = -(10 * p[there].log().sum() + (1 - p[nowhere]).log().sum())
    torch.testing.assert_close(loss, cost / (10 * there.sum() + nowhere.sum()))
    found = (answers > 0) & (target != 255)
    precision = (found & there).sum() / found.sum()
    recall = (found & there).sum() / there.sum()
    torch.testing.assert_close(measure, 2 * precision * recall / (precision + recall))


@pytest.mark.parametrize("zoom", [(1.0, 1.0), (0.7, 1.6)])
@pytest.mark.parametrize("crop", [None, (9, 12), (20, 12), (20, 24)])
def test_masks_go_where_their_images_go(crop, zoom):
    # Every pixel says in red what its label is, so that whatever moves one alone is seen.
    masks = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (5, 4, 5), np.uint8))
    masks = masks.repeat_interleave(4, 1).repeat_interleave(4, 2)
    images = (masks * 255)[:, None].repeat(1, 3, 1, 1)
    network = small(2)
    data = DenseData(images, masks, crop=crop, zoom=zoom)
    feed = DenseFeed(network, data, replace(FAST, batch=5), seed=3)
    differ = []
    for step in range(4):
        cut, target, _ = feed.at(step)
        assert cut.shape == (5, 3, *data.size)
        assert cut.is_contiguous(memory_format=torch.channels_last)
        inside = target != 255
        wrong = (cut[:, 0] > 0.5) != (target == 1)
        differ.append((wrong & inside).sum() / inside.sum())
        assert inside.any()
        larger = crop is not None and crop[0] > 16
        assert bool((~inside).any()) == (larger or zoom != (1.0, 1.0)) or zoom != (1.0, 1.0)
    # Between two pixels of different labels rounding may fall either way.
    assert max(differ) <= (0 if zoom == (1.0, 1.0) else 0.02)


def test_a_crop_is_a_piece_of_the_image_at_every_place():
    images, masks = torch.arange(5 * 6, dtype=torch.uint8).view(1, 1, 5, 6), torch.zeros(1, 5, 6).byte()
    data = DenseData(images.repeat(1, 3, 1, 1), masks, crop=(4, 4))
    feed = DenseFeed(small(2), data, replace(FAST, batch=1, flips=False), seed=0)
    corners = {round(float(feed.at(step)[0][0, 0, 0, 0]) * 255) for step in range(60)}
    assert corners == {0, 1, 2, 6, 7, 8}
    cut = feed.at(0)[0][0, 0] * 255
    torch.testing.assert_close(cut[1:, 1:] - cut[:-1, :-1], torch.full((3, 3), 7.0))


def test_a_zoom_of_two_is_bilinear_enlargement():
    images, masks = squares(1, (16, 16))
    data = DenseData(images, masks, 11, zoom=(0.5, 0.5))
    cut, target, _ = DenseFeed(small(), data, replace(FAST, batch=1, flips=False), seed=0).at(0)
    assert 0.2 < (target != 255).float().mean() < 0.26
    data = DenseData(images, masks, 11, crop=(32, 32), zoom=(2.0, 2.0))
    cut, target, _ = DenseFeed(small(), data, replace(FAST, batch=1, flips=False), seed=0).at(0)
    expected = F.interpolate(images.float() / 255, (32, 32), mode="bilinear")
    torch.testing.assert_close(cut, expected, atol=1e-5, rtol=0)
    nearest = masks.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(target, torch.where(nearest == 11, 255, nearest))


@pytest.mark.parametrize("unpooling", ["switches", "fixed", "bilinear"])
def test_every_unpooling_learns_where_squares_are(unpooling):
    network, (images, masks) = small(2, unpooling), squares()
    done = train_dense(network, DenseData(images, masks, 11), FAST, seed=1)
    assert done.steps == 40
    assert done.curve[-1][1] > 0.85
    assert not network.training
    found = network.answer(images.float() / 255).argmax(1)
    assert (found == masks)[masks != 11].float().mean() > 0.9


def test_contours_are_learnt():
    network, (images, masks) = small(1), squares()
    edges = (F.max_pool2d((masks == 1).float(), 3, 1, 1) - (masks == 1).float()).to(torch.uint8)
    done = train_dense(network, DenseData(images, edges), FAST)
    assert done.curve[-1][1] > 0.6
    found = network.answer(images.float() / 255)[:, 0] > 0
    assert found[edges == 1].float().mean() > 0.8
    assert found[edges == 0].float().mean() < 0.2


def test_a_frozen_encoder_stays_as_it_is():
    network, (images, masks) = small(2), squares()
    before = weights_of(network)
    train_dense(network, DenseData(images, masks, 11), replace(FAST, steps=3), frozen=True)
    assert not changed(before, network, "encoder")
    assert {f"decoder.stages.{n}.0.weight" for n in range(2)} <= changed(before, network, "decoder")


def test_from_switches_alone_only_the_decoder_and_its_constant_learn():
    network, (images, masks) = small(2), squares()
    before = weights_of(network)
    train_dense(network, DenseData(images, masks, 11), FAST, what=False)
    assert not changed(before, network, "encoder")
    assert "decoder.constant" in changed(before, network, "decoder")
    # What the first convolution makes of noise tells dark from light even so.
    found = network.answer(images.float() / 255, what=False).argmax(1)
    assert (found == masks)[masks == 0].float().mean() > 0.5


def test_the_constant_follows_the_features():
    network, (images, masks) = small(2), squares()
    train_dense(network, DenseData(images, masks, 11), replace(FAST, steps=2))
    assert network.decoder.constant.detach().any()


def test_dropout_is_a_function_of_seed_and_step_and_nobody_elses():
    def trained(seed, disturbed):
        network, (images, masks) = small(2, dropout=0.5), squares()
        torch.manual_seed(disturbed)
        before = torch.get_rng_state()
        train_dense(network, DenseData(images, masks, 11), replace(FAST, steps=2), seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        return network.layers[0].weight.detach()

    assert torch.equal(trained(0, 1), trained(0, 2))
    assert not torch.equal(trained(0, 1), trained(1, 1))


def test_half_of_the_values_are_left_out_and_the_others_doubled():
    network = small(2, dropout=0.5)
    kept = network.draw_kept(3, (13, 15), torch.Generator().manual_seed(0))
    assert [tuple(each.shape) for each in kept] == [
        (3, 6, 13, 15),
        (3, 8, 7, 8),
        (3, 6, 7, 8),
        (3, 6, 13, 15),
    ]
    assert set(torch.cat([each.flatten() for each in kept]).tolist()) == {0.0, 2.0}
    assert 0.45 < (kept[0] > 0).float().mean() < 0.55
    x = torch.rand(3, 3, 13, 15)
    seen = []
    for layer in network.layers[:-1]:
        layer.register_forward_hook(lambda _, __, y: seen.append(y.detach()))
    network(x, kept)
    assert all(not values[mask == 0].any() for values, mask in zip(seen, kept, strict=True))


def test_stages_follow_one_another():
    network, (images, masks) = small(2), squares()
    whole = DenseData(images, masks, 11)
    part = DenseData(images[:, :, :12, :12], masks[:, :12, :12], 11)
    told = []
    done = train_in_stages(
        network,
        [(part, replace(FAST, steps=3)), (whole, replace(FAST, steps=2))],
        on_progress=lambda name, *_: told.append(name),
    )
    assert [each.steps for each in done] == [3, 2]
    assert told == ["train, stage 1", "train, stage 2"]


def test_what_does_not_fit_is_refused():
    images, masks = squares(2)
    with pytest.raises(ValueError, match=r"masks \(2, 16, 19\): expected \(n, 3, height, width\) and"):
        DenseData(images, masks[:, :, :-1])
    with pytest.raises(ValueError, match=r"`zoom` is \(2.0, 1.0\): expected two factors above 0"):
        DenseData(images, masks, zoom=(2.0, 1.0))
    with pytest.raises(ValueError, match="a mask has a label 11: expected 0 to 1, or void"):
        train_dense(small(2), DenseData(images, masks), FAST)
    with pytest.raises(ValueError, match=r"`weights` are \[1.0\]: expected 2, none below 0"):
        train_dense(small(2), DenseData(images, masks, 11), FAST, weights=torch.ones(1))


@pytest.mark.parametrize("recipe", [SEGNET, SEGNET_BASIC, DECONVNET, CEDN])
def test_published_recipes_decay_weights_as_caffe_does(recipe):
    network = small(2)
    place(network, start_fabric(recipe).device)
    task = DenseTraining(network)
    images, masks = squares(2)
    before = weights_of(network)
    feed = DenseFeed(network, DenseData(images, masks, 11), replace(recipe, batch=2), 0)
    batch = feed.at(0)
    task(*batch)[0].backward()
    gradient = network.layers[0].weight.grad + recipe.weight_decay * before["encoder.stages.0.0.weight"]
    network.load_state_dict(before)
    Update(start_fabric(recipe), task, make_optimizer(task, recipe))(recipe.rate(0), batch)
    step = network.layers[0].weight.detach() - before["encoder.stages.0.0.weight"]
    rate = recipe.learning_rate
    expected = -rate * (gradient if recipe.optimizer == "sgd" else gradient / (gradient.abs() + 1e-8))
    torch.testing.assert_close(step, expected, atol=rate * 1e-3, rtol=1e-3)


def test_a_published_rate_drops_to_a_tenth():
    rates = [DECONVNET.rate(step) for step in (0, 9_999, 10_000, 19_999, 20_000, 39_999)]
    assert [round(math.log10(rate / 0.01)) for rate in rates] == [0, 0, -1, -1, -2, -3]


def test_a_store_and_what_is_in_memory_train_alike(tmp_path):
    images, masks = squares(6, (24, 24))
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / f"{number}.png")
        Image.fromarray(mask.numpy()).save(tmp_path / f"{number}.bmp")
    files = [tuple(tmp_path / f"{number}.{kind}" for number in range(6)) for kind in ("png", "bmp")]
    prepare_dense(DenseSet(*files, ("0", "1"), 11, "train", read_label_image), tmp_path / "store", size=24)
    store = open_store(tmp_path / "store")
    found = []
    for data in (DenseData(images, masks, 11), DenseData(store.pixels, store.masks)):
        network = small(2)
        train_dense(network, data, replace(FAST, steps=2))
        found.append(network.layers[0].weight.detach())
    assert torch.equal(*found)
