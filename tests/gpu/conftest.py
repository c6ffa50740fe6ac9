"""The device, and networks and photographs for the tests of it."""

import pytest
import torch

from maxtunnel.data.photographs import demo_photographs

# Codes that may differ where two cells of a window all but agree: 2 to 10 of a million do.
FEW = 5e-5


@pytest.fixture
def device(request):
    """Where the tests of this folder run."""
    return torch.device(request.config.getoption("--device"))


@pytest.fixture(autouse=True)
def whole_float32(device):
    """No TF32, which a decoder's convolutions may use, nor a search for the fastest kernel, which varies."""
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    before = cudnn.conv.fp32_precision, cudnn.benchmark
    cudnn.conv.fp32_precision, cudnn.benchmark = "ieee", False
    yield
    cudnn.conv.fp32_precision, cudnn.benchmark = before


@pytest.fixture(scope="session")
def pieces():
    """16 pieces of 64x64 of each of the photographs in the package, uint8."""
    found = [
        photograph[:, y : y + 64, x : x + 64]
        for photograph in demo_photographs().values()
        for y in range(0, 256, 64)
        for x in range(0, 256, 64)
    ]
    return torch.stack([piece for piece in found if piece.shape[1:] == (64, 64)])


@pytest.fixture
def few_differ():
    """What checks that two codes agree but for near ties."""

    def check(ours, theirs):
        different = total = 0
        for a, b in zip(ours.levels, theirs.levels, strict=True):
            assert (a.window, a.size, a.codes.shape) == (b.window, b.size, b.codes.shape)
            different += int((a.codes.cpu() != b.codes.cpu()).sum())
            total += a.codes.numel()
        assert different <= max(2, FEW * total), f"{different} of {total} codes differ"

    return check
