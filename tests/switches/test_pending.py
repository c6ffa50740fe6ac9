"""Checks that wait, as those of a GPU do: a stand-in for it makes those of the CPU wait."""

import copy
import pickle
import threading

import numpy as np
import pytest
import torch

from maxtunnel.switches import pending
from maxtunnel.switches.pending import Carrier, Check, awaited, carrying, checks_of, plain, refuse


@pytest.fixture
def waiting(monkeypatch):
    """As if every tensor lay on a GPU; only what gives values to the host by another name is noticed."""
    monkeypatch.setattr(pending, "is_awaited", lambda values: True)


def check(number, name="too large"):
    return Check(torch.tensor(number), lambda found: f"{name}: {found:g}" if found > 2 else "")


def carried(number=3.0, name="too large"):
    """Values with a check, which has found a fault if the number is above 2."""
    return carrying(torch.arange(4.0), awaited([check(number, name)]))


LEAVES = {
    "cpu": lambda x: x.cpu(),
    "item": lambda x: x[1].item(),
    "float": lambda x: float(x.sum()),
    "int": lambda x: int(x[2]),
    "bool": lambda x: bool((x > 5).any()),
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "asarray": lambda x: np.asarray(x),
    "equal": lambda x: torch.equal(torch.arange(4.0), x),
    "allclose": lambda x: torch.allclose(x, x),
    "repr": repr,
    "format": lambda x: f"{x[0]:.2f}",
    "pickle": pickle.dumps,
    "index": lambda x: [*range(5)][x[1].long()],
    "range": lambda x: 3 in x,
    "into another tensor": lambda x: torch.zeros(4).copy_(x),
    "into a part of one": lambda x: torch.zeros(8).__setitem__(slice(4), x),
    "added to another": lambda x: torch.zeros(4).add_(x),
    "out": lambda x: torch.add(x, 1, out=torch.zeros(4)),
}


def test_a_cpus_fault_is_said_at_once():
    with pytest.raises(ValueError, match="too large: 3"):
        awaited([check(1.0), check(3.0)])
    x = torch.ones(2)
    assert carrying(x, awaited([check(1.0)])) is x


@pytest.mark.parametrize("leave", LEAVES)
def test_a_fault_is_said_wherever_values_leave(waiting, leave):
    x = carried()
    # Each time: what is spoilt stays spoilt.
    for _ in range(2):
        with pytest.raises(ValueError, match="too large: 3"):
            LEAVES[leave](x)
    LEAVES[leave](carried(1.0))


COMPUTED = {
    "arithmetic": lambda x: x * 2 + torch.ones(4),
    "on the right": lambda x: torch.ones(4) - x,
    "list": lambda x: torch.cat([torch.ones(1), x]),
    "deeper": lambda x: torch.stack([torch.ones(4), x.view(2, 2).flatten()]),
    "parts": lambda x: x.split(2)[1],
    "named parts": lambda x: x.view(2, 2).max(1).values,
    "attribute": lambda x: x.view(2, 2).T,
    "keyword": lambda x: torch.clamp(torch.ones(4), max=x),
    "in place": lambda x: x.mul_(2),
    "into a carrier": lambda x: carried(0.0).copy_(x),
    "other type": lambda x: x.to(torch.uint8),
    "copy": copy.deepcopy,
    "function": lambda x: torch.nn.functional.conv1d(x[None, None], torch.ones(1, 1, 1)),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_what_is_computed_carries_the_checks_on(waiting, name):
    y = COMPUTED[name](carried())
    assert type(y) is Carrier
    with pytest.raises(ValueError, match="too large: 3"):
        y.cpu()
    good = COMPUTED[name](carried(1.0))
    expected = COMPUTED[name](torch.arange(4.0)) if name != "into a carrier" else torch.arange(4.0)
    assert plain(good).equal(expected)


def test_what_describes_values_waits_for_nothing(waiting):
    x = carried()
    assert (x.shape, x.dtype, x.ndim, len(x), x.numel()) == ((4,), torch.float32, 1, 4, 4)
    assert x.is_floating_point()
    assert x.is_contiguous()
    assert not x.requires_grad
    assert isinstance(x.device, torch.device)


def test_several_faults_are_read_together_and_the_first_is_said(waiting, monkeypatch):
    reads = []
    tolist = torch.Tensor.tolist
    x = carried(1.0, "one") + carried(3.0, "two") + carried(4.0, "three")
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "tolist", lambda values: reads.append(len(values)) or tolist(values))
        with pytest.raises(ValueError, match="two: 3"):
            x.cpu()
    assert reads == [3]


def test_a_check_is_carried_once(waiting):
    x = carried()
    for _ in range(3):
        x = x + x
    assert len(checks_of({"a": [x, (x,)], "b": x})) == 1
    # Nor by what was there before: its class knows of none.
    assert Carrier.checks == ()


def test_a_number_is_read_as_it_is_when_the_values_leave(waiting):
    """A graph that is replayed works it out anew in the same place."""
    number = torch.tensor(1.0)
    x = carrying(torch.ones(2), awaited([Check(number, lambda found: "large" if found > 2 else "")]))
    x.cpu()
    number.fill_(3)
    with pytest.raises(ValueError, match="large"):
        x.cpu()


def test_neither_good_results_nor_other_threads_are_told(waiting):
    bad, good, errors = carried(), carried(1.0), []
    with pytest.raises(ValueError, match="too large"):
        bad.cpu()

    def take(x):
        try:
            x.cpu()
        except ValueError as error:
            errors.append(str(error))

    for x, told in ((good, []), (bad, ["too large: 3"])):
        take(good)
        thread = threading.Thread(target=take, args=(x,))
        thread.start()
        thread.join()
        assert errors == told


def test_a_tensor_on_the_host_carries_nothing_but_is_refused(monkeypatch):
    """As if doubles alone lay on the host."""
    monkeypatch.setattr(pending, "is_awaited", lambda values: values.dtype != torch.float64)
    bad, good = carried(), carried(1.0)
    with pytest.raises(ValueError, match="too large"):
        bad.double()
    with pytest.raises(ValueError, match="too large"):
        torch.stack([bad, bad]).to(torch.float64)
    # So is one that somebody computed besides.
    with pytest.raises(ValueError, match="too large"):
        carrying(torch.ones(2, dtype=torch.float64), checks_of(bad))
    assert type(good.double()) is torch.Tensor
    assert type(carrying(torch.ones(2, dtype=torch.float64), checks_of(good))) is torch.Tensor


def test_gradients_pass_through(waiting):
    weight = torch.ones(4, requires_grad=True)
    loss = (weight * carried()).square().sum()
    loss.backward()
    assert plain(weight.grad).equal(2 * torch.arange(4.0) ** 2)
    with pytest.raises(ValueError, match="too large"):
        loss.item()


def test_work_inside_is_done_without_checks(waiting):
    x = carried()
    assert type(plain(x)) is torch.Tensor
    assert plain(x).tolist() == [0, 1, 2, 3]
    assert plain(x).data_ptr() == x.data_ptr()
    with pytest.raises(ValueError, match="too large"):
        refuse(checks_of(x))
