"""Training for dense targets on a GPU: every unpooling learns, by a recorded step, as on a CPU."""

from dataclasses import replace

import pytest
import torch

from maxtunnel.models.cedn import cedn
from maxtunnel.models.segnet import segnet_basic
from maxtunnel.training.dense import DenseData, DenseFeed, DenseTraining, train_dense
from maxtunnel.training.engine import Update, make_optimizer, place, start_fabric
from maxtunnel.training.recipes import DENSE_FAST

pytestmark = pytest.mark.gpu
FAST = replace(DENSE_FAST, batch=4, steps=60, learning_rate=0.01)


def squares(count=8, size=(33, 40)):
    """Dark images with a light square, whose pixels are class 1, and void round it."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 60, (count, 3, *size), dtype=torch.uint8, generator=generator)
    masks = torch.zeros(count, *size, dtype=torch.uint8)
    for number in range(count):
        masks[number, 3 + number : 17 + number, 4 + number : 20 + number] = 11
        masks[number, 4 + number : 16 + number, 5 + number : 19 + number] = 1
        images[number, :, masks[number] == 1] += 150
    return images, masks


@pytest.mark.parametrize("unpooling", ["switches", "fixed", "bilinear"])
def test_every_unpooling_learns_where_squares_are(device, unpooling):
    network, (images, masks) = segnet_basic(2, 8, unpooling), squares()
    network.with_inputs((60.0, 60.0, 60.0), 60.0)
    data = DenseData(images, masks, 11, crop=(32, 40), zoom=(1.0, 1.2))
    done = train_dense(network, data, FAST)
    assert done.curve[-1][1] > 0.85
    assert network.mean.device.type == device.type


@pytest.mark.parametrize("how", [{}, {"frozen": True}, {"what": False}])
def test_a_recorded_step_is_that_of_a_cpu(device, how):
    images, masks = squares()
    contours = ((masks == 1) & (masks.roll(1, 2) == 11)).to(torch.uint8)
    found = []
    for where in (torch.device("cpu"), device):
        network = cedn(4, side=3)
        place(network, where)
        task = DenseTraining(network, **how)
        feed = DenseFeed(network, DenseData(images, contours), FAST, seed=0)
        # Dropout is drawn on each device otherwise, so nothing is left out.
        batches = [(*feed.at(step)[:2], []) for step in range(6)]
        if where.type == "cuda":
            step = Update(start_fabric(FAST), task, make_optimizer(task, FAST))
        else:
            step = plain_step(task)
        losses = [step(1e-3, batch).cpu() for batch in batches]
        found.append(torch.stack(losses)[:, 0])
    torch.testing.assert_close(*found, atol=1e-3, rtol=1e-2)


def plain_step(task):
    """The same update without any engine."""
    optimizer = make_optimizer(task, FAST)

    def step(rate, batch):
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        loss, metric = task(*batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return torch.stack([loss.detach(), metric.detach()])

    return step


def test_dropout_on_the_device_is_a_function_of_seed_and_step(device):
    network = cedn(4, side=3)
    place(network, device)
    images, masks = squares()
    contours = (masks == 1).to(torch.uint8)
    first, again, other = (
        DenseFeed(network, DenseData(images, contours), FAST, seed=seed).at(3)[2] for seed in (0, 0, 1)
    )
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
