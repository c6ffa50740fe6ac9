"""The three-part loss against its definition, its streams, and trainings through the one loop."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from maxtunnel.models.layout import Layout
from maxtunnel.models.swwae import Swwae
from maxtunnel.training.engine import Update, place, start_fabric
from maxtunnel.training.loop import fit
from maxtunnel.training.recipes import SWWAE_FAST, SWWAE_PAPER
from maxtunnel.training.state import State
from maxtunnel.training.what_where import WhatWhere, WhatWhereFeed, standardise, wrong_answers

pytestmark = pytest.mark.usefixtures("one_thread")
LAYOUT = "(4)3c-2p-(6)3c-(5)3c-2p"
LABELS = torch.tensor([0, 1, 2])


def small(layout=LAYOUT, channels=1, **settings):
    return Swwae(Layout.parse(layout), channels, (8, 8), 3, **settings)


def images(count=5, channels=1):
    return torch.randn(count, channels, 8, 8, generator=torch.Generator().manual_seed(0))


def terms(network, x):
    """The three parts, and the planes in between."""
    seen = network.encoder(x)
    drawn = network.decoder(seen.what, seen.where)
    nll = F.cross_entropy(network.classifier(seen.what)[:3], LABELS)
    between = [((a - b) ** 2).mean() for a, b in zip(seen.planes[:-1], drawn.planes, strict=True)]
    return nll, ((drawn.image - x) ** 2).mean(), between


@pytest.mark.parametrize(
    ("nll", "l2rec", "l2m"),
    [
        (1.0, 0.0, 0.0),
        (1.0, 2.0, 0.0),
        (1.0, 0.0, 3.0),
        (0.5, 2.0, 3.0),
        (0.0, 1.0, 0.0),
        (0.0, 0.0, 1.0),
        (1.0, 1.0, (0.5, 2.0)),
    ],
)
def test_the_loss_is_the_sum_of_its_terms(nll, l2rec, l2m):
    network = small()
    loss, accuracy = WhatWhere(network, nll, l2rec, l2m)(images(), LABELS, [])
    classes, image, between = terms(network, images())
    weights = l2m if isinstance(l2m, tuple) else (l2m, l2m)
    expected = nll * classes + l2rec * image + sum(w * x for w, x in zip(weights, between, strict=True))
    torch.testing.assert_close(loss, expected)
    right = network.classifier(network.encoder(images()[:3]).what).argmax(1) == LABELS
    assert accuracy == (right.float().mean() if nll else 0)


def test_unlabelled_images_say_nothing_of_classes_but_are_rebuilt():
    network = small()
    other = torch.cat([images()[:3], 2 * images()[3:]])

    def difference(**weights):
        task = WhatWhere(network, **weights)
        return (task(images(), LABELS, [])[0] - task(other, LABELS, [])[0]).abs().item()

    assert difference(nll=1.0) == 0
    assert difference(nll=0.0, l2rec=1.0) > 1e-3
    assert difference(nll=0.0, l2m=1.0) > 1e-3


def test_without_l2_terms_the_decoder_and_the_unlabelled_images_cost_nothing():
    network, seen = small(), []
    network.encoder.register_forward_hook(lambda *given: seen.append(len(given[1][0])))
    network.decoder.register_forward_hook(lambda *_: seen.append("decoder"))
    WhatWhere(network)(images(), LABELS, [])
    assert seen == [3]
    WhatWhere(network, l2m=1.0)(images(), LABELS, [])
    assert seen == [3, 5, "decoder"]


def gradient_of_first_layer(**settings):
    network = small()
    WhatWhere(network, nll=0.0, **settings)(images(), LABELS, [])[0].backward()
    return network.encoder.layers[0].weight.grad


@pytest.mark.parametrize("channels", [1, 3])
def test_planes_and_their_gradients_are_channels_last_throughout(channels):
    # Two memory formats in one sum, or before one ReLU, make a step slow.
    network, found = small("(4)5c-(6)3c-2p-(5)3c", channels), []

    def keep(layer, given, x):
        found.append(x)
        x.register_hook(found.append)

    for layer in (*network.encoder.layers, *network.decoder.layers[:-1]):
        layer.register_forward_hook(keep)
    WhatWhere(network, l2rec=1.0, l2m=1.0)(images(channels=channels), LABELS, [])[0].backward()
    assert len(found) == 10
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in found)


def test_detached_planes_are_goals_alone():
    both, detached = (gradient_of_first_layer(l2m=1.0, detach=detach) for detach in (False, True))
    assert not torch.allclose(both, detached, atol=1e-4)
    network = small()
    seen = network.encoder(images())
    drawn = network.decoder(seen.what, seen.where)
    planes = zip(seen.planes[:-1], drawn.planes, strict=True)
    sum(F.mse_loss(made, plane.detach()) for plane, made in planes).backward()
    torch.testing.assert_close(detached, network.encoder.layers[0].weight.grad)


def test_the_constant_follows_the_features():
    network = small()
    WhatWhere(network)(images(), LABELS, [])
    what = network.encoder(images()[:3]).what
    torch.testing.assert_close(network.decoder.constant, 0.02 * what.mean((0, 2, 3)))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"nll": 0.0}, "all weights are 0"),
        ({"l2rec": -1.0}, "expected numbers of at least 0"),
        ({"l2rec": float("nan")}, "expected numbers of at least 0"),
        ({"l2m": [1.0]}, r"`l2m` has 1 weights: .* has 2 planes in between"),
    ],
)
def test_weights_that_make_no_loss_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        WhatWhere(small(), **weights)


def test_a_layout_of_one_layer_has_nothing_in_between():
    with pytest.raises(ValueError, match="nothing to train"):
        WhatWhere(small("(4)3c-2p"), nll=0.0, l2m=1.0)


def pixels(count, channels=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, channels, 8, 8), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("channels", [1, 3])
def test_batches_are_labelled_images_and_then_unlabelled_ones(channels):
    network, recipe = small(channels=channels), replace(SWWAE_FAST, batch=4)
    labelled, others = pixels(6, channels), pixels(20, channels, seed=1)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    standardise(network, others)
    feed = WhatWhereFeed(network, labelled, labels, others, recipe, seed=3, unlabelled_batch=7)
    passes = [feed.at(step) for step in range(20)]
    assert {x.shape[0] for x, *_ in passes} == {11}
    number = {tuple(x.flatten().tolist()): i for i, x in enumerate(torch.cat([labelled, others]))}
    met = []
    for x, given, kept in passes:
        back = (network.denormalise(x) * 255).round().to(torch.uint8)
        numbers = [number[tuple(image.flatten().tolist())] for image in back]
        assert given.tolist() == [int(labels[i]) for i in numbers[:4]]
        assert kept == []
        met.append(numbers)
    # Every image is met as often as any other, each stream in an order of its own.
    first = [i for numbers in met[:3] for i in numbers[:4]]
    assert sorted(first) == sorted([*range(6)] * 2)
    rest = [i for numbers in met for i in numbers[4:]]
    assert sorted(rest) == sorted([*range(6, 26)] * 7)
    again = WhatWhereFeed(network, labelled, labels, others, recipe, seed=3, unlabelled_batch=7).at(13)
    assert torch.equal(again[0], passes[13][0])
    other = WhatWhereFeed(network, labelled, labels, others, recipe, seed=4, unlabelled_batch=7).at(13)
    assert not torch.equal(other[0], passes[13][0])


def test_where_all_images_are_labelled_the_streams_are_no_copies_of_each_other():
    network, given, labels = small(), pixels(30), torch.zeros(30, dtype=torch.long)
    feed = WhatWhereFeed(network, given, labels, given, replace(SWWAE_FAST, batch=10), seed=0)
    for step in range(6):
        labelled, others = feed.at(step)[0].split(10)
        same = (labelled == others).flatten(1).all(1)
        assert not bool(same.all())


def test_half_of_the_images_are_mirrored_where_the_recipe_says_so():
    network, labels = small(), torch.zeros(40, dtype=torch.long)
    given = pixels(40)
    given[..., :4] = 0
    feed = WhatWhereFeed(network, given, labels, None, replace(SWWAE_FAST, batch=40, flips=True), seed=0)
    x, *_ = feed.at(0)
    left = (x[..., :4] != 0).any(dim=(1, 2, 3))
    assert 8 < int(left.sum()) < 32
    assert torch.equal(left, (x[..., 4:] == 0).all(dim=3).all(dim=2)[:, 0])


def test_dropout_is_drawn_anew_for_each_step_and_again_for_the_same():
    network = small(LAYOUT + "-50fc-3fc", dropout=0.25)
    recipe, labels = replace(SWWAE_FAST, batch=64), torch.zeros(8, dtype=torch.long)
    feed = WhatWhereFeed(network, pixels(8), labels, None, recipe, seed=0)
    kept = feed.at(5)[2]
    assert [each.shape for each in kept] == [(64, 20), (64, 50)]
    assert all(each.unique().tolist() == pytest.approx([0, 4 / 3]) for each in kept)
    assert float(torch.cat(kept, 1).mean()) == pytest.approx(1, abs=0.05)
    assert all(torch.equal(a, b) for a, b in zip(kept, feed.at(5)[2], strict=True))
    assert not torch.equal(kept[0], feed.at(6)[2][0])


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="4 labelled images and 3 labels"):
        WhatWhereFeed(small(), pixels(4), LABELS, None, SWWAE_FAST, 0)
    with pytest.raises(ValueError, match="labels go from 0 to 3: the network has classes 0 to 2"):
        WhatWhereFeed(small(), pixels(4), torch.arange(4), None, SWWAE_FAST, 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_standardised_images_have_mean_0_and_deviation_1(channels):
    network, given = small(channels=channels), pixels(50, channels)
    standardise(network, given)
    x = network.normalise(given.float() / 255)
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(channels), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std((0, 2, 3), correction=0), torch.ones(channels), atol=1e-5, rtol=0)
    standardise(network, torch.full_like(given, 7))
    assert float(network.normalise(torch.full((1, channels, 8, 8), 7 / 255)).abs().max()) < 1e-4


def digits(count, seed):
    """Images whose class is the third of the rows that is bright."""
    labels = torch.arange(count) % 3
    given = pixels(count, seed=seed) // 8
    for image, label in zip(given, labels.tolist(), strict=True):
        image[:, 3 * label : 3 * label + 2] += 150
    return given, labels


def trained(steps=60, **weights):
    given, labels = digits(60, 0)
    network = small("(6)3c-2p-(6)3c", seed=1)
    recipe = replace(SWWAE_FAST, steps=steps, batch=12, learning_rate=0.01)
    standardise(network, given)
    others = given if any(weights.values()) else None
    feed = WhatWhereFeed(network, given[:12], labels[:12], others, recipe, seed=0)
    return network, fit(WhatWhere(network, **weights), feed.at, recipe)


@pytest.mark.parametrize("weights", [{}, {"l2rec": 1.0}, {"l2m": 1.0}, {"l2rec": 1.0, "l2m": 1.0}])
def test_it_learns_classes_and_to_rebuild(weights):
    network, done = trained(**weights)
    wrong = wrong_answers(network, *digits(300, 1))
    assert wrong.shape == (300,)
    assert float(wrong.float().mean()) < 0.1
    assert done.curve[-1][1] > 0.9
    assert network.training
    test = digits(30, 1)[0].float() / 255
    rmse = (network.rebuild(test) - test).square().mean().sqrt()
    assert (rmse < 0.8 * test.std()) == ("l2rec" in weights)


def test_the_same_seed_gives_the_same_network():
    one, other = (trained(steps=10, l2rec=1.0)[0] for _ in range(2))
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])


@pytest.mark.parametrize("recipe", [SWWAE_FAST, SWWAE_PAPER], ids=lambda recipe: recipe.name)
def test_resumed_equals_uninterrupted(tmp_path, recipe):
    given, labels = digits(60, 0)
    recipe = replace(recipe, steps=12, batch=8)

    def steps(network, first, last, load):
        place(network, torch.device("cpu"))
        task = WhatWhere(network, l2rec=1.0, l2m=1.0)
        state = State(network, task, recipe)
        if load:
            state.load(tmp_path)
        update = Update(start_fabric(recipe), task, state.optimizer)
        feed = WhatWhereFeed(network, given[:12], labels[:12], given, recipe, seed=0)
        for step in range(first, last):
            update(recipe.rate(step), feed.at(step))
        state.step = last
        state.save(tmp_path)
        return network

    settings = {"batch_norm": True, "dropout": 0.5, "seed": 2}
    whole = steps(small(**settings), 0, 12, load=False)
    steps(small(**settings), 0, 5, load=False)
    resumed = steps(small(**settings | {"seed": 3}), 5, 12, load=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
