"""Models that unpool by indices, exported; PyTorch's own `max_unpool2d` says what is right."""

import logging

import numpy as np
import pytest
import torch
from examples.segnet import SegNet
from onnx_files import described, run
from torch import nn
from torch.nn import functional as F

from maxtunnel.export import Exportable, export_model
from maxtunnel.export.unpooling import unpool_by_indices

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [
        (2, 2, 0, (8, 6)),
        (2, None, 0, (9, 7)),
        ((2, 3), 3, 0, (13, 15)),
        (3, 3, 1, (14, 11)),
        (1, 2, 0, (7, 8)),
    ],
)
def test_unpooling_is_pytorchs(kernel, stride, padding, size):
    values, indices = F.max_pool2d(torch.randn(2, 3, *size), kernel, stride, padding, return_indices=True)
    values.requires_grad_()
    found = [
        unpool(values, indices, kernel, stride, padding, output_size=size)
        for unpool in (F.max_unpool2d, unpool_by_indices)
    ]
    assert torch.equal(*found)
    weights = torch.randn(found[0].shape)
    slopes = [torch.autograd.grad((x * weights).sum(), values)[0] for x in found]
    assert torch.equal(*slopes)


def test_without_a_size_it_is_the_smallest_plane():
    values, indices = F.max_pool2d(torch.randn(1, 2, 8, 6), 2, return_indices=True)
    assert torch.equal(unpool_by_indices(values, indices, 2), F.max_unpool2d(values, indices, 2))


def test_overlapping_windows_are_refused():
    values, indices = F.max_pool2d(torch.randn(1, 2, 8, 8), 3, 2, return_indices=True)
    with pytest.raises(ValueError, match="windows overlap"):
        unpool_by_indices(values, indices, 3, 2)


class Functional(nn.Module):
    """Pools and unpools by the functions."""

    def forward(self, images):
        values, indices = F.max_pool2d(images, 2, return_indices=True)
        return F.max_unpool2d(2 * values, indices, 2, output_size=images.shape[-2:])


def test_module_and_function_give_what_they_gave():
    images = torch.randn(2, 3, 11, 14)
    for model in (SegNet((4, 6), 3).eval(), Functional()):
        with torch.no_grad():
            assert torch.equal(Exportable(model)(images), model(images))


def test_the_example_is_exported(tmp_path, monkeypatch):
    # PyTorch tells a log of many thousand lines, which pytest would keep.
    monkeypatch.setattr(logging.root.manager, "disable", logging.INFO)
    torch.manual_seed(0)
    model = SegNet((4,), 3).eval()
    export_model(model, tmp_path / "segnet.onnx", torch.rand(2, 3, 16, 24), "segnet")
    assert described(tmp_path / "segnet.onnx")["name"] == "segnet"
    for shape in ((1, 3, 16, 24), (3, 3, 21, 10)):
        images = torch.rand(shape)
        (found,) = run(tmp_path / "segnet.onnx", image=images).values()
        with torch.no_grad():
            assert np.abs(found - model(images).numpy()).max() < 1e-5
