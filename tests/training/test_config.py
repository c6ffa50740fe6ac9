"""What a run was asked for: saved, read back, and its precision settled when the run starts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.support.progress import Stopped
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.loop import TrainingStopped
from maxtunnel.training.recipes import FAST, FAST_PRETRAIN
from maxtunnel.training.runs import make_config
from maxtunnel.training.train import train_decoder

pytestmark = pytest.mark.usefixtures("one_thread")
PIXELS = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
SHORT = TrainingConfig(recipe=replace(FAST, steps=3, batch=2))


def on_a_machine(monkeypatch, bf16):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)


def small_run(run, config=SHORT, resume=False):
    """The config that a run saved, and the recipe in its network's provenance."""
    network = TunnelNetwork(Architecture((2,)), torch.zeros(3, 8, 8))
    train_decoder(network, PIXELS, run, config, resume=resume)
    saved = json.loads((run / "config.json").read_text())
    loaded = TunnelNetwork.load(run / "model.safetensors").provenance.training.recipe
    return saved, dict(loaded)


def test_two_machines_run_the_same_recipe_but_for_the_precision(tmp_path, monkeypatch):
    found = {}
    for precision in ("32", "bf16"):
        on_a_machine(monkeypatch, precision == "bf16")
        saved, recipe = small_run(tmp_path / precision)
        assert "auto" not in json.dumps(saved)
        assert saved["recipe"].pop("precision") == recipe.pop("precision") == precision
        found[precision] = saved, recipe
    assert found["32"] == found["bf16"]


def test_a_run_goes_on_in_the_precision_it_began_with(tmp_path, monkeypatch):
    on_a_machine(monkeypatch, False)
    small_run(tmp_path)
    on_a_machine(monkeypatch, True)
    saved, recipe = small_run(tmp_path, resume=True)
    assert saved["recipe"]["precision"] == recipe["precision"] == "32"


def test_saved_and_read_back(tmp_path):
    config = TrainingConfig(
        phase="pretrain", recipe=FAST_PRETRAIN, seed=3, decoder="strong", width=8, start="a",
        encoder="16-16-16", data="cats", val="dogs", size=64, resize="antialias", minutes=1.5,
        target_rmse=0.1, devices=2, nodes=3,
    )  # fmt: skip
    config.save(tmp_path)
    assert TrainingConfig.load(tmp_path) == config


def test_there_must_be_a_run_to_resume(tmp_path):
    with pytest.raises(FormatError, match="is no run"):
        TrainingConfig.load(tmp_path)
    with pytest.raises(FormatError, match="is no run"):
        small_run(tmp_path, resume=True)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"recipe": {"betas": [0, 0]}}', b"\xff"])
def test_a_damaged_config_is_named(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(FormatError, match=r"config\.json is not the config of a run") as found:
        TrainingConfig.load(tmp_path)
    assert len(str(found.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("field", "value"), [("seed", "1"), ("size", 1.5), ("phase", "sleep"), ("minutes", "ten"), ("colour", 1)]
)
def test_a_wrong_field_is_named(tmp_path, field, value):
    TrainingConfig().save(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(FormatError, match=rf"config\.json is not the config of a run: .*{field}"):
        TrainingConfig.load(tmp_path)


def test_a_new_config_takes_the_recipes_settings_where_nothing_else_is_asked_for():
    config = make_config("pretrain", "fast", Path("cats"), None)
    assert config == TrainingConfig("pretrain", FAST_PRETRAIN, data=str(Path("cats").resolve()))
    config = make_config(
        "train", "fast", Path("cats"), Path("dogs"), steps=5, precision="32", size=64, seed=1
    )
    assert config.recipe == replace(FAST, steps=5, precision="32")
    assert (config.size, config.seed, config.val) == (64, 1, str(Path("dogs").resolve()))


def test_contradictions_are_refused():
    with pytest.raises(ValueError, match="`steps` and `minutes` both bound the run"):
        make_config("train", "fast", Path("cats"), None, steps=5, minutes=1.0)
    with pytest.raises(ValueError, match="which is `data` too"):
        make_config("train", "fast", Path("cats"), Path("dogs/../cats"))


def test_a_stopped_training_is_stopped_work():
    assert issubclass(TrainingStopped, Stopped)
