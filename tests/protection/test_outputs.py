"""What is kept of a model's outputs."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch

from maxtunnel.protection.outputs import Distillation, outputs_in

Pair = namedtuple("Pair", "a b")


@dataclass
class Answer:
    scores: torch.Tensor
    words: str = "cat"


def draws(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_tensors_are_found_in_every_structure():
    x, y, z = draws(2, 3), draws(2, 4), draws(2, 5)
    returned = {"a": [x, (y, 3, None)], "b": OrderedDict(c=Answer(z)), "d": Pair(x.long(), x.half())}
    found = outputs_in(returned)
    assert set(found) == {
        "the output['a'][0]", "the output['a'][1][0]", "the output['b']['c'].scores", "the output['d'][1]"
    }  # fmt: skip
    assert found["the output['b']['c'].scores"] is z
    assert next(iter(outputs_in(x).values())) is x


def test_what_is_lost_is_a_share_of_the_variance():
    teacher = {"a": draws(64, 3), "b": 100 * draws(64, 2, 4, 4) + 7}
    kept = Distillation.of([{place: x[:40] for place, x in teacher.items()},
                            {place: x[40:] for place, x in teacher.items()}])  # fmt: skip
    assert float(kept.lost(teacher, teacher)) == 0
    means = {place: x.mean(0, keepdim=True).expand_as(x) for place, x in teacher.items()}
    torch.testing.assert_close(kept.lost(means, teacher), torch.tensor(1.0), rtol=1e-4, atol=0)
    one = {"a": means["a"], "b": teacher["b"]}
    torch.testing.assert_close(kept.lost(one, teacher), torch.tensor(0.5), rtol=1e-4, atol=0)
    each = kept.lost_each(one, teacher, 64)
    assert each.shape == (64,)
    assert each.std() > 0
    torch.testing.assert_close(each.mean().float(), kept.lost(one, teacher), rtol=1e-4, atol=0)


def test_an_output_that_is_not_one_a_photograph_counts_as_a_whole():
    teacher = {"a": draws(6, 3)}
    kept = Distillation.of([teacher])
    each = kept.lost_each({"a": teacher["a"] + 1}, teacher, 4)
    assert each.shape == (4,)
    assert each.unique().numel() == 1


def test_constant_outputs_are_left_out():
    found = {"a": draws(8, 3), "b": torch.ones(8, 2)}
    assert list(Distillation.of([found]).variances) == ["a"]


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([{}], "returns no floating-point tensor"),
        ([{"a": draws(4, 3)}, {"a": draws(4, 5)}], "a differs in shape from photograph to photograph"),
        ([{"a": draws(4, 3)}, {}], "a differs in shape"),
        ([{"a": draws(4, 3) / 0}], "a is not finite everywhere"),
        ([{"a": torch.ones(4, 3)}], "the same for all photographs"),
    ],
)
def test_what_cannot_be_kept_is_refused(pieces, message):
    with pytest.raises(ValueError, match=message):
        Distillation.of(pieces)
