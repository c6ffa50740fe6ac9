"""Small networks with the same layers as modules and as functions, and ways back that are written by hand."""

import torch
from torch import nn
from torch.nn import functional as F


class Modules(nn.Module):
    """Two blocks: a convolution in groups with a stride, ReLU, pooling; a convolution, ReLU, pooling."""

    def __init__(self, window=2, stride=2):
        super().__init__()
        torch.manual_seed(0)
        self.conv1 = nn.Conv2d(3, 6, 3, stride=2, padding=1, groups=3)
        self.conv2 = nn.Conv2d(6, 5, 3, padding=1, dilation=1)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.pool1, self.pool2 = nn.MaxPool2d(window, stride), nn.MaxPool2d(window, stride)

    def forward(self, x):
        x = self.pool1(self.relu1(self.conv1(x)))
        return self.pool2(self.relu2(self.conv2(x)))


class Functions(Modules):
    """The same by functions alone, one of them in place."""

    def forward(self, x):
        x = F.max_pool2d(F.relu(F.conv2d(x, self.conv1.weight, self.conv1.bias, 2, 1, 1, 3)), 2)
        return F.max_pool2d(F.conv2d(x, self.conv2.weight, self.conv2.bias, 1, 1).relu_(), 2)


def images(count=2, side=32, seed=1):
    """Noise: no two values of a window are equal."""
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def strongest(output):
    """Unit, row and column of an activation that all photographs have."""
    least = output.detach().amin(0)
    assert float(least.max()) > 0
    return tuple(int(part) for part in torch.unravel_index(least.argmax(), least.shape))


def one_hot(output, unit, row, column):
    """The activation of a unit at one place, everything else 0."""
    start = torch.zeros_like(output)
    start[:, unit, row, column] = output[:, unit, row, column].detach()
    return start


def placing(values, where, kernel, stride, output_size):
    """Each value that is not 0 in its place, one window after the other."""
    plane = values.new_zeros(output_size).flatten(2)
    for image, channel, window in values.flatten(2).nonzero().tolist():
        plane[image, channel, where.flatten(2)[image, channel, window]] = values.flatten(2)[
            image, channel, window
        ]
    return plane.view(output_size)


def adding(values, where, kernel, stride, output_size):
    """Each value added to what is in its place."""
    plane = values.new_zeros(*output_size[:2], output_size[2] * output_size[3])
    return plane.scatter_add(2, where.flatten(2), values.flatten(2)).view(output_size)


def deconvolved(network, x, start, unpool=placing):
    """Zeiler and Fergus' way back through `Modules`, step by step."""
    with torch.no_grad():
        window = network.pool1.kernel_size, network.pool1.stride
        one = network.relu1(network.conv1(x))
        pooled, where1 = F.max_pool2d(one, *window, return_indices=True)
        two = network.relu2(network.conv2(pooled))
        _, where2 = F.max_pool2d(two, *window, return_indices=True)
        back = unpool(start, where2, *window, output_size=two.shape).clamp(min=0)
        back = F.conv_transpose2d(back, network.conv2.weight, padding=1)
        back = unpool(back, where1, *window, output_size=one.shape).clamp(min=0)
        return F.conv_transpose2d(back, network.conv1.weight, None, 2, 1, 1, 3)
