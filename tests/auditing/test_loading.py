"""Models by name: files, packages, networks of ours and the examples."""

import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import maxtunnel
from maxtunnel.auditing import Target, load_target
from maxtunnel.auditing.loading import find, read_preprocess
from maxtunnel.auditing.samples import sample
from maxtunnel.data.batches import PIECE

pytestmark = pytest.mark.usefixtures("one_thread")

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("example", "levels", "returned", "unpoolings"),
    [("vgg", 3, 0, 0), ("segnet", 3, 0, 3), ("unet", 2, 0, 0), ("split_inference", 2, 2, 0)],
)
def test_the_examples(example, levels, returned, unpoolings):
    target = load_target(f"{EXAMPLES / example}.py:build")
    found = target.try_out(torch.rand(2, 3, 32, 32))
    assert (len(found.levels), len(found.returned), found.unpoolings) == (levels, returned, unpoolings)


def test_the_metric_of_the_segnet_example_knows_its_own_model():
    target = load_target(f"{EXAMPLES / 'segnet'}.py:build")
    with torch.no_grad():
        assert find(f"{EXAMPLES / 'segnet'}.py:agreement")(target.model) == 1


def test_a_network_of_ours_is_its_encoder():
    target, network = load_target("8-8-8"), maxtunnel.load("8-8-8")
    images = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    found, expected = target.record(images), network.encode(images)
    assert [level.switches.name for level in found.levels] == ["pool", "pool#2", "pool#3"]
    for level, wanted in zip(found.levels, expected.levels, strict=True):
        assert torch.equal(level.switches.codes, wanted.codes)
        assert level.switches.size == wanted.size
    what, _ = network.encoder(network.normalise(images))
    torch.testing.assert_close(found.output, what)
    torch.testing.assert_close(found.levels[2].values, what)


def test_preprocessing():
    images = torch.rand(2, 3, 4, 4)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    assert torch.allclose(read_preprocess("imagenet")(images), expected)
    assert torch.equal(read_preprocess("0,0,0/1,1,1")(images), images)
    assert torch.equal(read_preprocess(None)(images), images)


def test_the_library_names_arguments_and_no_flags():
    with pytest.raises(ValueError, match=r"leave `preprocess` out"):
        load_target("8-8-8", preprocess="imagenet")
    with pytest.raises(ValueError, match=r"`preprocess` is '1/2': expected MEAN/STD"):
        read_preprocess("1/2")
    with pytest.raises(ValueError, match=r"the `size` and `preprocess` that it was made for"):
        load_target(f"{EXAMPLES / 'unet'}.py:build").try_out(torch.rand(1, 3, 31, 31))


REPRO = """
import torch
{change}
from torch import nn

def build():
    {in_build}
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
"""
CHANGES = {
    "grad": "torch.set_grad_enabled(False)",
    "dtype": "torch.set_default_dtype(torch.float64)",
    "inference": "global mode; mode = torch.inference_mode(); mode.__enter__()",
    "threads": "torch.set_num_threads(torch.get_num_threads() + 1)",
    "deterministic": "torch.use_deterministic_algorithms(True)",
    "filters": "import warnings; warnings.simplefilter('ignore')",
    "path": "import sys; sys.path.insert(0, 'elsewhere')",
}


def process():
    return (
        torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype(),
        torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), list(warnings.filters),
        sys.path[:], torch.get_rng_state().tolist(),
    )  # fmt: skip


@pytest.mark.parametrize("where", ["change", "in_build"])
@pytest.mark.parametrize("name", CHANGES)
def test_what_a_file_changes_in_the_process_is_its_own(name, where, tmp_path):
    change = CHANGES[name] if where == "in_build" else CHANGES[name].removeprefix("global mode; ")
    text = REPRO.format(**{"change": "", "in_build": "pass", where: change})
    (tmp_path / "theirs.py").write_text(text)
    images = torch.rand(2, 3, 16, 16)
    before = process()
    target = load_target(f"{tmp_path / 'theirs.py'}:build")
    assert process() == before
    found = target.try_out(images)
    assert process() == before
    assert found.levels[0].values.dtype == (torch.float64 if name == "dtype" else torch.float32)
    # What is made of its weights can be trained and drawn anew.
    assert not target.model[0].weight.is_inference()
    target.untrained(0, images)
    (target.model[0].weight.sum() * torch.ones(1, requires_grad=True)).sum().backward()
    assert process() == before


def test_a_file_that_imports_late_finds_its_neighbours(tmp_path):
    (tmp_path / "neighbour.py").write_text("size = 2\n")
    (tmp_path / "late.py").write_text(
        "from torch import nn\nfrom torch.nn import functional as F\n\n"
        "class Model(nn.Module):\n    def forward(self, x):\n"
        "        import neighbour\n        return F.max_pool2d(x, neighbour.size)\n"
    )
    before = sys.path[:]
    target = load_target(f"{tmp_path / 'late.py'}:Model")
    assert len(target.record(torch.rand(2, 3, 16, 16)).levels) == 1
    assert sys.path == before


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """What repro/exports.py writes, and more: the folder, and the model inside."""
    folder = tmp_path_factory.mktemp("exported")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)).eval()

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.m = model

        def forward(self, x, scale):
            return self.m(x) * scale

    class Keyword(Two):
        def forward(self, *, pixel_values):
            return {"y": self.m(pixel_values)}

    class Listed(Two):
        def forward(self, images):
            return self.m(images[0])

    x, dim = torch.rand(4, 3, 32, 32), torch.export.Dim
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, *program in (
            ("max8", model, (x,), None, ({0: dim("b", max=8)},)),
            ("least3", model, (x,), None, ({0: dim("b", min=3)},)),
            ("any", model, (x,), None, ({0: dim("b")},)),
            ("twice", model, (x,), None, ({0: 2 * dim("b", max=300)},)),
            ("four", model, (x,), None, None),
            ("two", Two(), (x, torch.ones(1)), None, None),
            ("keyword", Keyword(), (), {"pixel_values": x}, None),
            ("list", Listed(), ([x],), None, None),
            ("vector", nn.ReLU(), (x[0, 0],), None, None),
        ):
            module, args, kwargs, shapes = program
            made = torch.export.export(module, args, kwargs, dynamic_shapes=shapes)
            torch.export.save(made, folder / f"{name}.pt2")
        torch.jit.save(torch.jit.freeze(torch.jit.script(model)), folder / "frozen.pt")
        torch.jit.save(torch.jit.trace(model, x), folder / "traced.pt")
    torch.save(model, folder / "pickled.pt")
    (folder / "torn.pth").write_bytes((folder / "traced.pt").read_bytes()[:500])
    return folder, model


@pytest.mark.parametrize(
    ("name", "batch"),
    [
        ("max8.pt2", 8), ("least3.pt2", PIECE), ("any.pt2", None), ("twice.pt2", 4), ("four.pt2", 4),
        ("keyword.pt2", 4), ("list.pt2", 4), ("frozen.pt", None), ("traced.pt", None),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_programs_are_sampled_as_the_model_inside(exported, name, batch):
    folder, model = exported
    target = load_target(str(folder / name))
    assert target.batch == batch
    pixels = (torch.rand(21, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)
    target.try_out(pixels[:2] / 255)
    found, wanted = sample(target, pixels), sample(Target(model, "plain"), pixels)
    assert all(torch.equal(a, b) for a, b in zip(found.packed, wanted.packed, strict=True))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("two.pt2", r"takes 2 inputs \(x, scale\), an audit gives images alone: export a model of one input"),
        ("vector.pt2", r"takes a tensor of shape \(32, 32\): export a model of images \(n, 3, h, w\)"),
        ("pickled.pt", "is no TorchScript file: give file.py:callable that builds the model"),
        ("torn.pth", "is no TorchScript file"),
    ],
)
def test_programs_that_no_audit_takes_are_refused_in_one_line(exported, name, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_target(str(exported[0] / name))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_frozen_program_keeps_its_weights_and_says_so(exported):
    target = load_target(str(exported[0] / "frozen.pt"))
    with pytest.raises(ValueError, match="frozen: none of its 0 weights can be drawn anew"):
        target.untrained(0)
    # It has no mode, before and after.
    assert not hasattr(target.model, "training")
