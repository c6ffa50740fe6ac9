"""Indices that leave a model, in every dress; and outputs that hold none."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from maxtunnel.switches.capture import record
from maxtunnel.switches.recording import Evidence

pytestmark = pytest.mark.usefixtures("one_thread")


class Pooling(nn.Module):
    """Two poolings after a convolution; gives what `answer` makes of the last values and both indices."""

    def __init__(self, answer, seed=0, channels=3):
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(3, channels, 3, padding=1)
        self.answer = answer

    def forward(self, x):
        x, first = F.max_pool2d(self.conv(x), 2, return_indices=True)
        x, second = F.max_pool2d(x, 2, return_indices=True)
        return self.answer(x, first, second)


def images(seed=0, n=2):
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def codes(indices):
    """Of 2x2 windows over a plane of 16x16."""
    return (indices // 16 % 2 * 2 + indices % 2).to(torch.uint8)


def traced(answer, **more):
    return record(Pooling(answer, **more), images(), trace=True)


@dataclass
class Output:
    logits: Any
    extra: Any = None


class Slotted:
    __slots__ = ("hidden",)

    def __init__(self, hidden):
        self.hidden = hidden


class Mixed(dict):
    """As the outputs of transformers: a dict with attributes."""


SHUFFLED = torch.randperm(384, generator=torch.Generator().manual_seed(1))

DRESSES = {
    "as they are": lambda x, a, b: (x, a),
    "alone": lambda x, a, b: a,
    "copied": lambda x, a, b: [x, a.clone()],
    "int16": lambda x, a, b: (x, a.to(torch.int16)),
    "uint16": lambda x, a, b: (x, a.to(torch.uint16)),
    "float32": lambda x, a, b: (x, a.float()),
    "bfloat16": lambda x, a, b: (x, a.bfloat16()),
    "channels last": lambda x, a, b: (x, a.permute(0, 2, 3, 1).contiguous()),
    "shuffled": lambda x, a, b: (x, a.flatten()[SHUFFLED]),
    "a part of them": lambda x, a, b: (x, a[:, 1]),
    "one tensor an image": lambda x, a, b: (x, list(a)),
    "joined with values": lambda x, a, b: torch.cat([x.flatten(1), a.flatten(1)], 1),
    "stacked with zeros": lambda x, a, b: torch.stack([a, torch.zeros_like(a)], -1),
    "in a larger tensor": lambda x, a, b: F.pad(a.float(), (1, 2, 3, 4)),
    "beside the second level": lambda x, a, b: torch.cat([a.flatten(), b.flatten()]),
    "with an offset": lambda x, a, b: a + 256 * torch.arange(2).view(2, 1, 1, 1),
    "numpy": lambda x, a, b: (x, a.numpy()),
    "big-endian numpy": lambda x, a, b: a.numpy().astype(">i4"),
    "numpy, of objects": lambda x, a, b: np.array([a, None], dtype=object),
    "numbers": lambda x, a, b: {"indices": a.tolist()},
    "bytes of codes": lambda x, a, b: codes(a).numpy().tobytes(),
    "codes": lambda x, a, b: (x, codes(a)),
    "codes as int64": lambda x, a, b: (x, codes(a).long()),
    "codes beside others": lambda x, a, b: torch.stack([codes(a), torch.zeros_like(codes(a))], 1),
    "a dataclass": lambda x, a, b: Output(x, a),
    "dataclass in a list": lambda x, a, b: [Output(x, {"deep": (a,)})],
    "a namespace": lambda x, a, b: SimpleNamespace(x=x, where=SimpleNamespace(a=a)),
    "slots": lambda x, a, b: Slotted(a),
    "a dict of its own": lambda x, a, b: Mixed(x=x, a=a),
    "sparse": lambda x, a, b: (x, (a + 1).to_sparse()),
    "a set": lambda x, a, b: {a},
}  # fmt: skip


@pytest.mark.parametrize("name", DRESSES)
def test_indices_in_every_dress_are_found(name):
    found = traced(DRESSES[name])
    assert "max_pool2d" in found.returned, found.leaving
    assert found.returning.evidence is Evidence.YES
    assert ("max_pool2d#2" in found.returned) == (name == "beside the second level")


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 4),
    st.sampled_from([torch.int64, torch.int32, torch.float64, torch.uint8]),
    st.integers(0, 3),
    st.integers(0, 40),
)
def test_a_shuffled_part_of_a_larger_tensor(seed, channels, dtype, dim, more):
    """On random networks: any order of the first level's indices, between random numbers."""
    generator = torch.Generator().manual_seed(seed)

    def answer(x, a, b):
        a = a.transpose(dim, (dim + 1) % 4).flatten()
        a = a[torch.randperm(len(a), generator=torch.Generator().manual_seed(seed))]
        return x, torch.cat([noise[:more], a.to(dtype), noise[more:]])

    noise = torch.randint(0, 200, (60,), generator=generator).to(dtype)
    found = record(Pooling(answer, seed, channels), images(seed), trace=True)
    assert found.returned == ["max_pool2d"]


HIDDEN = {
    "packed": lambda x, a, b: (codes(a).view(2, -1, 4).long() << torch.arange(0, 8, 2)).sum(-1),
    "a hash": lambda x, a, b: hash(tuple(a.flatten().tolist())) % 2**60,
    "a text": lambda x, a, b: ["indices:", str(a.flatten().tolist())],
    "unpooled": lambda x, a, b: F.max_unpool2d(x, b, 2),
    "their sum": lambda x, a, b: a.sum(),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_computed_from_indices_is_not_cleared(name):
    found = traced(HIDDEN[name])
    assert found.returned == []
    assert found.returning.evidence is Evidence.UNKNOWN
    assert "computed from them" in found.returning.how


CLOSED = {
    "a generator": (lambda x, a, b: (part for part in (x, a)), "a generator, which computes when it is read"),
    "an iterator": (lambda x, a, b: iter([x, a]), "a list_iterator, which computes"),
    "a map": (lambda x, a, b: {"maps": map(abs, [x, a])}, "a map, which computes"),
    "a function": (lambda x, a, b: lambda: a, "a function, which cannot be looked into"),
}


@pytest.mark.parametrize("name", CLOSED)
def test_what_cannot_be_looked_into_is_unknown(name):
    answer, message = CLOSED[name]
    found = traced(answer)
    assert found.returning.evidence is Evidence.UNKNOWN
    assert message in found.returning.how


def test_an_iterator_is_not_exhausted():
    found = traced(lambda x, a, b: iter([x, a, b]))
    assert len(list(found.output)) == 3
    assert found.unseen == ["the output is a list_iterator, which computes when it is read"]


CLEAR = {
    "features": lambda x, a, b: x,
    "a structure of features": lambda x, a, b: {"x": [x, x.numpy(), None, "text"], "y": Output(x, 3)},
    "grid positions": lambda x, a, b: (x, torch.arange(256).view(16, 16)[::2, ::2].expand(2, 3, 8, 8)),
    "labels": lambda x, a, b: x.argmax(1).to(torch.uint8),
    "random": lambda x, a, b: (x, torch.rand(2, 3, 8, 8), torch.randint(0, 4, (2, 3, 8, 8))),
    "itself": lambda x, a, b: cyclic(x),
}


def cyclic(x):
    output = [x]
    output.append(output)
    return output


@pytest.mark.parametrize("name", CLEAR)
def test_outputs_without_indices_show_no_evidence(name):
    found = traced(CLEAR[name])
    assert found.returning.evidence is Evidence.NONE
    assert {each.evidence for each in found.leaving.values()} == {Evidence.NONE}


def test_an_output_that_changes_by_itself_is_unknown():
    count = []

    def answer(x, a, b):
        count.append(0)
        return x + len(count)

    found = traced(answer)
    assert found.returning.evidence is Evidence.UNKNOWN
    assert "differs from run to run" in found.returning.how


def test_a_model_that_refuses_other_indices_is_unknown():
    own = []

    def answer(x, a, b):
        own.append(a) if not own else None
        assert torch.equal(a, own[0])
        return x

    found = traced(answer)
    assert found.leaving["max_pool2d"].evidence is Evidence.UNKNOWN
    assert found.leaving["max_pool2d#2"].evidence is Evidence.NONE


def test_only_observed_levels_are_traced():
    model = Pooling(lambda x, a, b: (a, b))
    found = record(model, images(), observed=lambda number: number == 2, trace=True)
    assert found.returned == ["max_pool2d#2"]
