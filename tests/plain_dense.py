"""A network that answers for every pixel, by PyTorch's own pooling and unpooling."""

from torch.nn import functional as F


def through(shape, x, stage):
    """The answers of a shape for normalised images; `stage(x, layers)` computes the layers of one stage."""
    pooled = []
    if shape.response_norm:
        x = x / (1 + 1e-4 / 5 * x.square().sum(1, keepdim=True)) ** 0.75
    for number, layers in enumerate(shape.encoder):
        x = stage(x, layers)
        if number < shape.pooled:
            size = x.shape[-2:]
            x, indices = F.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
            pooled.append((indices, size))
    for number, layers in enumerate(shape.decoder):
        if number >= len(shape.decoder) - shape.pooled:
            indices, size = pooled.pop()
            x = F.max_unpool2d(x, indices, 2, output_size=size)
        x = stage(x, layers)
    return x
