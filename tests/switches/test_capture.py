"""PyTorch's own `max_pool2d(..., return_indices=True)` is the oracle; networks come from packages."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.overrides import _get_current_function_mode
from torch.utils._python_dispatch import _get_current_dispatch_mode

from maxtunnel.models.mirrored import levels_of, mirror
from maxtunnel.switches.capture import NoSwitches, capture, record
from third_party import third_party_network

pytestmark = pytest.mark.usefixtures("one_thread")


class Model(nn.Module):
    """Runs any function of the images, with layers of its own."""

    def __init__(self, function, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def images(*shape, seed=0):
    return torch.rand(shape or (2, 3, 16, 16), generator=torch.Generator().manual_seed(seed))


@st.composite
def geometries(draw):
    pair = lambda low, high: draw(st.tuples(st.integers(low, high), st.integers(low, high)))  # noqa: E731
    kernel = pair(1, 4)
    padding = (draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2)))
    return kernel, pair(1, 4), padding, pair(1, 2), draw(st.booleans())


@settings(max_examples=120, deadline=None)
@given(geometries(), st.tuples(st.integers(1, 14), st.integers(1, 14)), st.booleans(), st.integers(0, 2**32))
def test_switches_are_the_indices_of_max_pool2d(geometry, size, functional, seed):
    # Few levels of grey, so that windows tie.
    x = torch.randint(0, 3, (2, 3, *size), generator=torch.Generator().manual_seed(seed)).float()
    try:
        values, indices = F.max_pool2d(x, *geometry, return_indices=True)
    except RuntimeError:
        return
    if values.numel() == 0 or values.isinf().any():
        return
    if functional:
        model = Model(lambda self, x: F.max_pool2d(x, *geometry, return_indices=True)[0])
    else:
        kernel, stride, padding, dilation, ceil_mode = geometry
        layer = nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil_mode)
        model = Model(lambda self, x: self.layer(x), layer=layer)
    (level,) = capture(model, x).levels
    assert torch.equal(level.indices(), indices)
    assert (level.window.kernel, level.window.padding, level.size) == (geometry[0], geometry[2], size)


def test_names_and_order_of_calls():
    def forward(self, x):
        x = self.body(x)
        x = self.pool(F.relu(self.pool(x)))
        return F.max_pool2d(torch.max_pool2d(x, 1), 1, return_indices=True)[0]

    body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2))
    code = capture(Model(forward, body=body, pool=nn.MaxPool2d(3, 2, 1)), images(2, 3, 32, 20))
    assert [level.name for level in code.levels] == [
        "body.1", "pool", "pool#2", "max_pool2d", "max_pool2d#2"
    ]  # fmt: skip
    assert [level.size for level in code.levels[:3]] == [(32, 20), (16, 10), (8, 5)]
    assert code.image_size == (32, 20)
    assert code.levels[1].codes.shape == (2, 4, 8, 5)


def everything(model):
    """All that a forward pass could change, comparable."""
    tensors = [tensor.clone() for tensor in (*model.parameters(), *model.buffers())]
    hooks = [
        {key: dict(value) for key, value in module.__dict__.items() if key.endswith("_hooks")}
        for module in model.modules()
    ]
    from torch.nn.modules import module as global_

    hooks += [dict(global_._global_forward_hooks), dict(global_._global_forward_pre_hooks)]
    modes = [module.training for module in model.modules()]
    states = [torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()]  # noqa: NPY002
    return tensors, [hooks, modes, states]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_the_model_is_left_as_it_was(training, fails):
    def forward(self, x):
        x = self.body(x)
        self.seen = self.seen + 1
        self.body[2].train(not self.body[2].training)
        np.random.rand()  # noqa: NPY002
        if fails:
            raise RuntimeError("halfway")
        return x

    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.MaxPool2d(2))
    model = Model(forward, body=body).train(training)
    model.register_buffer("seen", torch.zeros(()))
    x = images()
    before, buffer = everything(model), model.seen
    if fails:
        with pytest.raises(RuntimeError, match="halfway"):
            capture(model, x)
    else:
        capture(model, x)
    after = everything(model)
    assert all(torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True))
    assert before[1] == after[1]
    assert model.seen is buffer
    assert torch.is_grad_enabled()
    # Nothing looks at operations any more.
    assert _get_current_dispatch_mode() is None
    assert _get_current_function_mode() is None


def test_train_mode_switches_are_those_of_train_mode():
    model = Model(lambda self, x: self.body(x), body=nn.Sequential(nn.Dropout(0.5), nn.MaxPool2d(2)))
    x, state = images(), torch.get_rng_state()
    _, indices = F.max_pool2d(F.dropout(x, 0.5), 2, return_indices=True)
    torch.set_rng_state(state)
    (level,) = capture(model.train(), x).levels
    assert torch.equal(level.indices(), indices)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("form", ["exported", "scripted", "inference", "compiled", "half"])
def test_every_form_of_a_model(form):
    x = images()
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(3, 2, 1)).eval()
    if form == "half":
        plain = plain.bfloat16()
    with torch.no_grad():
        _, indices = F.max_pool2d(plain[0](x.to(plain[0].weight.dtype)), 3, 2, 1, return_indices=True)
    model = plain
    if form == "exported":
        model = torch.export.export(plain, (x,)).module()
    elif form == "scripted":
        model = torch.jit.trace(plain, x)
    elif form == "inference":
        model = Model(torch.inference_mode()(lambda self, x: self.plain(x)), plain=plain)
    elif form == "compiled":
        model = torch.compile(plain, backend="eager")
    (level,) = capture(model, x).levels
    assert torch.equal(level.indices(), indices)


def test_a_swap_replaces_what_the_model_continues_with():
    """The second of three poolings, by its number."""

    def forward(self, x):
        indices = []
        for _ in range(3):
            x, found = F.max_pool2d(x, 2, return_indices=True)
            indices.append(found)
        return x, indices

    def swap(x, level):
        assert x.shape == (2, 3, 16 >> level.number - 1, 16 >> level.number - 1)
        assert torch.equal(level.values, F.max_pool2d(x, 2))
        if level.number != 2:
            return level.values, level.switches.codes
        return level.values + 1, torch.full_like(level.switches.codes, 3)

    plain, found = (record(Model(forward), images(), swap=swap) for swap in (None, swap))
    assert [level.number for level in found.levels] == [1, 2, 3]
    assert torch.equal(found.levels[0].switches.codes, plain.levels[0].switches.codes)
    assert found.levels[1].switches.codes.eq(3).all()
    assert torch.equal(found.levels[1].values, plain.levels[1].values + 1)
    values, indices = found.output
    assert torch.equal(values, plain.output[0] + 1)
    assert torch.equal(indices[1], found.levels[1].switches.indices())


def test_indices_that_leave_the_model_are_noticed():
    def forward(self, x):
        x, first = F.max_pool2d(x, 2, return_indices=True)
        x, second = F.max_pool2d(x, 2, return_indices=True)
        return {"features": F.max_unpool2d(x, second, 2), "more": [first]}

    found = record(Model(forward), images(), trace=True)
    assert found.returned == ["max_pool2d"]
    assert found.unpoolings == 1


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda self, x: F.avg_pool2d(x, 2), "no max pooling: it has no switches, so nothing can leak"),
        (lambda self, x: F.adaptive_max_pool2d(x, 1), "adaptive_max_pool2d in the model itself"),
        (lambda self, x: F.max_pool1d(x[0], 2), "max_pool1d in"),
        (lambda self, x: nn.MaxPool1d(2, return_indices=True)(x[0]), "max_pool1d in"),
        (lambda self, x: F.adaptive_max_pool1d(x[0], 1), "adaptive_max_pool1d in"),
        (lambda self, x: F.max_pool3d(x[None], 2), "max_pool3d in"),
        (lambda self, x: F.fractional_max_pool2d(x, 2, output_size=4), "fractional_max_pool2d in"),
        (lambda self, x: F.max_pool2d(x, 17, padding=8), "289 cells"),
    ],
)
def test_a_model_without_switches_is_told_so(forward, message):
    with pytest.raises(NoSwitches, match=message):
        capture(Model(forward), images())


def test_what_is_not_covered_is_named_beside_what_is(caplog):
    def forward(self, x):
        return F.adaptive_max_pool2d(F.max_pool2d(x, 2), 1)

    assert len(capture(Model(forward), images()).levels) == 1
    assert "adaptive_max_pool2d" in caplog.text


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Model(lambda self, x: F.max_pool2d(x / 0 * 0, 2)), "NaN"),
        (
            Model(lambda self, x: F.max_pool2d(x.flatten(0, 1)[:, None], 2)),
            "batch of 6, but images are 2",
        ),
        (Model(lambda self, x: self.lazy(x), lazy=nn.LazyConv2d(3, 3)), "lazy"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_what_cannot_be_captured_is_explained(model, message):
    with pytest.raises(ValueError, match=message):
        capture(model, images())


@pytest.mark.parametrize(
    ("name", "levels", "kernel"),
    [
        ("monai BasicUNet", 4, (2, 2)),
        ("monai ResNet", 1, (3, 3)),
        ("monai DenseNet", 1, (3, 3)),
        ("monai SEResNet", 1, (3, 3)),
        ("unet UNet2D", 3, (2, 2)),
        ("kornia YuNet", 5, (2, 2)),
    ],
)
def test_third_party_networks(name, levels, kernel, monkeypatch):
    """Every call of PyTorch's function, noted by a plain wrapper, gives what was captured."""
    pytest.importorskip("monai")
    model = third_party_network(name).eval()
    x = images(2, 3, 64, 64)
    code = capture(model, x)
    found, stock = [], torch.max_pool2d

    def noting(x, *args, **kwargs):
        found.append(F.max_pool2d_with_indices(x, *args, **kwargs)[1])
        return stock(x, *args, **kwargs)

    # What F.max_pool2d, and through it nn.MaxPool2d, calls.
    monkeypatch.setattr(torch, "max_pool2d", noting)
    with torch.no_grad():
        model(x)
    assert len(code.levels) == len(found) == levels
    assert {level.window.kernel for level in code.levels} == {kernel}
    for level, indices in zip(code.levels, found, strict=True):
        assert torch.equal(level.indices(), indices)
        assert level.name
    decoder = mirror(levels_of(code), (64, 64), width=8)
    assert decoder([level.codes for level in code.levels]).shape == x.shape


def test_what_is_recorded_is_no_alias():
    """A ReLU, a sum and a NaN written into the model's own values later."""

    def forward(self, x):
        x, indices = F.max_pool2d(x - 0.5, 2, return_indices=True)
        x = F.relu_(x)
        x += 1
        indices.zero_()
        x[:] = torch.nan
        return x

    x = images()
    values, indices = F.max_pool2d(x - 0.5, 2, return_indices=True)
    assert bool((values < 0).any())
    (level,) = record(Model(forward), x).levels
    assert torch.equal(level.values, values)
    assert torch.equal(level.switches.indices(), indices)


def test_a_swap_keeps_what_it_is_given_apart():
    codes = torch.full((2, 3, 8, 8), 3, dtype=torch.uint8)

    def swap(x, level):
        return level.values, codes

    def forward(self, x):
        return F.max_pool2d(x, 2).zero_()

    (level,) = record(Model(forward), images(), swap=swap).levels
    codes.zero_()
    assert level.switches.codes.eq(3).all()
    assert torch.equal(level.values, F.max_pool2d(images(), 2))


def test_values_of_inference_mode_can_be_used_outside():
    model = Model(torch.inference_mode()(lambda self, x: F.max_pool2d(x, 2)))
    (level,) = record(model, images()).levels
    assert not level.values.is_inference()
    assert not level.switches.codes.is_inference()
    level.values.add_(1)


def test_a_level_that_mixes_images_is_left_out():
    def forward(self, x):
        return F.max_pool2d(F.max_pool2d(x, 2).flatten(0, 1)[:, None], 2)

    with pytest.raises(
        ValueError, match=r"level 2\) pools a batch of 6, but images are 2.*leave it out of `levels`"
    ):
        record(Model(forward), images())
    found = record(Model(forward), images(), observed=lambda number: number == 1)
    assert [level.number for level in found.levels] == [1]
    assert found.ran == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([torch.rand(3, 8, 8)], r"`images` is a list: give one tensor"),
        (np.zeros((1, 3, 8, 8)), r"`images` is a ndarray"),
        (torch.rand(3, 8, 8), r"`images` are of shape \(3, 8, 8\): give \(n, c, h, w\)"),
    ],
)
def test_images_that_are_no_batch_are_refused(given, message, monkeypatch):
    # The check of shapes that tests switch on would come first.
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
    with pytest.raises(ValueError, match=message):
        capture(nn.MaxPool2d(2), given)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3).bfloat16(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Conv2d(4, 4, 1).double()),
    ],
)
def test_models_of_several_types(model):
    """The first takes bfloat16, as its convolutions are; the second float32, and fails later in any case."""
    if model[-1].__class__ is nn.MaxPool2d:
        assert capture(model.eval(), images()).levels[0].codes.shape == (2, 4, 7, 7)
        assert record(model, images()).levels[0].values.dtype == torch.bfloat16
    else:
        with pytest.raises(RuntimeError, match="type"):
            capture(model, images())


def test_the_type_of_the_images_is_the_one_that_runs():
    """Its first weight of two dimensions belongs to another input."""

    def forward(self, x):
        return F.max_pool2d(self.stem(x), 2)

    model = Model(forward, table=nn.Embedding(4, 4).bfloat16(), stem=nn.Conv2d(3, 4, 3))
    assert record(model, images()).levels[0].values.dtype == torch.float32
