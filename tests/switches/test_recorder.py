"""Poolings that are no `max_pool2d`, and uses of indices that are no `max_unpool2d`."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import maxtunnel
from maxtunnel.switches.capture import NoSwitches, capture, record
from maxtunnel.switches.recording import Evidence

pytestmark = pytest.mark.usefixtures("one_thread")


class Model(nn.Module):
    """Runs any function of the images."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def images(*shape):
    return torch.rand(shape or (2, 3, 16, 16), generator=torch.Generator().manual_seed(0))


def cells(x):
    return x.unfold(2, 2, 2).unfold(3, 2, 2)


MAXIMA = {
    "unfold and max": lambda x: F.unfold(x, 2, stride=2).view(2, 3, 4, -1).max(2),
    "amax of windows": lambda x: cells(x).amax((-1, -2)),
    "argmax of windows": lambda x: cells(x).flatten(-2).argmax(-1),
    "max of a view": lambda x: x.view(2, 3, 8, 2, 8, 2).amax((3, 5)),
    "topk": lambda x: cells(x).flatten(-2).topk(1).values,
    "sort": lambda x: cells(x).flatten(-2).sort().values[..., -1],
    "negated minimum": lambda x: -(-cells(x)).amin((-1, -2)),
    "rows and columns": lambda x: torch.maximum(
        torch.maximum(x[..., ::2, ::2], x[..., 1::2, ::2]),
        torch.maximum(x[..., ::2, 1::2], x[..., 1::2, 1::2]),
    ),
    "scatter_reduce": lambda x: x.new_zeros(2, 3, 64).scatter_reduce(
        2, torch.arange(256).div(4).long().expand(2, 3, 256), x.flatten(2), "amax"
    ),
}


@pytest.mark.parametrize("name", MAXIMA)
def test_maxima_by_other_operations_are_no_absence_of_pooling(name):
    with pytest.raises(NoSwitches, match=r"not covered: \w+ in the model itself"):
        capture(Model(MAXIMA[name]), images())
    found = record(Model(lambda x: MAXIMA[name](F.max_pool2d(x, 1))), images())
    assert len(found.levels) == 1
    assert found.not_covered


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.leaky_relu(F.conv2d(x, x[:1, :, :3, :3])),
        lambda x: torch.maximum(x, x / 10),
        lambda x: x.mean((2, 3)).argmax(1),
        lambda x: x.mean((2, 3)).softmax(1).topk(1),
        lambda x: x.argmax(1),
        lambda x: (x - x.max()).exp(),
        lambda x: F.scaled_dot_product_attention(x, x, x),
        lambda x: F.interpolate(x, scale_factor=2),
    ],
)
def test_what_picks_no_place_is_not_named(function):
    """Activations, the scores and the labels of a classifier, attention."""
    found = record(Model(function), images(), check=False)
    assert not found.not_covered
    assert not found.unseen


def in_a_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def in_an_executor(work):
    executor.submit(work).result()


executor = ThreadPoolExecutor(1)


@pytest.mark.parametrize("run", [in_a_thread, in_an_executor])
def test_pooling_in_a_thread_cannot_be_known(run):
    executor.submit(int).result()  # its thread is there before the model runs

    def forward(x):
        found = []
        run(lambda: found.append(F.max_pool2d(x, 2)))
        return found[0]

    with pytest.raises(
        NoSwitches, match=r"cannot be known.*a thread is (started|given work) in the model itself"
    ):
        capture(Model(forward), images())
    found = record(Model(lambda x: forward(F.max_pool2d(x, 2))), images())
    assert len(found.levels) == len(found.unseen) == 1
    # Nothing looks at threads any more, and what others start meanwhile is not the model's.
    assert threading.Thread.start.__module__ == "threading"
    assert ThreadPoolExecutor.submit.__module__ == "concurrent.futures.thread"


def test_threads_of_others_are_not_the_models():
    go, done = threading.Event(), threading.Event()

    def other():
        go.wait()
        in_a_thread(lambda: nn.ReLU()(images()))
        done.set()

    thread = threading.Thread(target=other)
    thread.start()

    def forward(x):
        go.set()
        done.wait()
        return F.max_pool2d(x, 2)

    assert not record(Model(forward), images()).unseen
    thread.join()


def test_an_operator_of_its_own_cannot_be_looked_into():
    library = torch.library.Library("somebodys", "FRAGMENT")
    library.define("halve(Tensor x) -> Tensor")
    library.impl("halve", lambda x: F.max_pool2d(x, 2), "CompositeExplicitAutograd")
    with pytest.raises(NoSwitches, match="the operator somebodys::halve may pool inside"):
        capture(Model(torch.ops.somebodys.halve), images())


def test_a_generator_computes_later():
    def forward(x):
        yield F.max_pool2d(x, 2)

    with pytest.raises(NoSwitches, match=r"cannot be known.*a generator, which computes when it is read"):
        capture(Model(forward), images())


class Ours(nn.Module):
    """Pools and unpools as this package does."""

    def __init__(self):
        super().__init__()
        self.window = maxtunnel.Window(3, 2, 1)

    def forward(self, x):
        x, codes = maxtunnel.pool(x, self.window)
        x, second = maxtunnel.pool(x)
        return maxtunnel.unpool(x, second), codes


def test_our_own_pooling_is_seen():
    x = images()
    values, codes = maxtunnel.pool(x, maxtunnel.Window(3, 2, 1))
    found = record(nn.Sequential(Ours()), x, trace=True)
    assert [level.switches.name for level in found.levels] == ["0.pool", "0.pool#2"]
    assert found.levels[0].switches.window == maxtunnel.Window(3, 2, 1)
    assert torch.equal(found.levels[0].switches.codes, codes)
    assert torch.equal(found.levels[0].values, values)
    assert (found.unpoolings, found.returned) == (1, ["0.pool"])
    assert "window codes (uint8), in the output[1]" in found.leaving["0.pool"].how


def test_our_own_pooling_is_swapped():
    def swap(x, level):
        return level.values, torch.zeros_like(level.switches.codes)

    found = record(Model(lambda x: maxtunnel.pool(x)), images(), swap=swap)
    assert torch.equal(found.output[1], torch.zeros(2, 3, 8, 8, dtype=torch.uint8))


def test_a_network_of_ours_is_seen():
    network = maxtunnel.load("8-8-8")
    code = capture(Model(lambda x: network(x)), images(2, 3, 32, 32))
    assert code == network.encode(images(2, 3, 32, 32))


def flat(x):
    return x.flatten(2)


def offsets(indices, area):
    n, c = indices.shape[:2]
    return indices + area * torch.arange(n * c).view(n, c, 1, 1)


def by_assignment(values, indices):
    plane = values.new_zeros(6, 256)
    plane[torch.arange(6)[:, None], indices.view(6, -1)] = values.view(6, -1)
    return plane


def by_rows_and_columns(values, indices):
    plane = values.new_zeros(2, 3, 16, 16)
    image, channel = torch.arange(2).view(2, 1, 1, 1), torch.arange(3).view(3, 1, 1)
    plane[image, channel, indices // 16, indices % 16] = values
    return plane


WRITES = {
    "max_unpool2d": lambda v, i: F.max_unpool2d(v, i, 2),
    "scatter": lambda v, i: v.new_zeros(2, 3, 256).scatter(2, flat(i), flat(v)),
    "scatter_": lambda v, i: v.new_zeros(2, 3, 256).scatter_(2, flat(i), flat(v)),
    "scatter_add": lambda v, i: v.new_zeros(2, 3, 256).scatter_add_(2, flat(i), flat(v)),
    "index assignment": by_assignment,
    "rows and columns": by_rows_and_columns,
    "put_": lambda v, i: v.new_zeros(2, 3, 256).put_(offsets(i, 256), v),
    "index_put, permuted": lambda v, i: v.new_zeros(1536).index_put(
        (offsets(i, 256).permute(0, 2, 3, 1),), v.permute(0, 2, 3, 1)
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_unpooling_by_any_operation_is_unpooling(name):
    found = record(
        Model(lambda x: WRITES[name](*F.max_pool2d(x, 2, return_indices=True))), images(), trace=True
    )
    assert found.unpoolings == 1
    assert found.unpooling.evidence is Evidence.YES
    # The output is computed from the indices: nobody may say that they do not leave.
    assert found.returned == []
    assert found.returning.evidence is Evidence.UNKNOWN


def test_reading_at_indices_is_a_use():
    def forward(x):
        _, indices = F.max_pool2d(x, 2, return_indices=True)
        return flat(x * 2).gather(2, flat(indices))

    found = record(Model(forward), images(), trace=True)
    assert found.unpoolings == 0
    assert found.unpooling.evidence is Evidence.YES
    assert found.unpooling.how == "gather in the model itself"


def test_a_use_that_is_not_recognised_is_not_denied():
    def forward(x):
        values, indices = F.max_pool2d(x, 2, return_indices=True)
        cell = indices // 16 % 2 * 2 + indices % 2
        chosen = cell[:, :, None] == torch.arange(4)[:, None, None]
        return F.pixel_shuffle((values[:, :, None] * chosen).flatten(1, 2), 2)

    x = images()
    values, indices = F.max_pool2d(x, 2, return_indices=True)
    assert torch.equal(forward(x), F.max_unpool2d(values, indices, 2))
    found = record(Model(forward), x, trace=True)
    assert found.unpooling.evidence is Evidence.UNKNOWN
    assert "computed from them" in found.unpooling.how


def test_a_model_that_forgets_its_indices_uses_none():
    found = record(Model(lambda x: F.conv2d(F.max_pool2d(x, 2), x[:1, :, :3, :3])), images(), trace=True)
    assert found.unpooling.evidence is found.returning.evidence is Evidence.NONE
