"""The log of a run, whatever was left of it."""

from typing import ClassVar

import pytest

from maxtunnel.training import engine
from maxtunnel.training.log import Log
from maxtunnel.training.runs import make_config

HEAD = b"step,loss,rmse,learning_rate,images_per_second\r\n"
ROWS = b"50,1.5,0.2,0.01,80\r\n100,1.25,0.1,0.02,81\r\n"


@pytest.mark.parametrize(
    "left", [b"", b"1", b"150,", b"150,1.0,0.1,0.02", b"\x00" * 30, b"\r\n\r\n", b"150,a,b,c,d\r\n"]
)
def test_what_a_power_cut_left_of_a_row_is_dropped(tmp_path, left):
    path = tmp_path / "metrics.csv"
    path.write_bytes(HEAD + ROWS + left)
    log = Log(tmp_path, 100, "rmse")
    log.row(150, 1.0, 0.1, 0.02, 82.0)
    log.close()
    assert path.read_bytes() == HEAD + ROWS + b"150,1,0.1,0.02,82\r\n"


def test_rows_after_the_step_that_is_resumed_are_dropped(tmp_path):
    (tmp_path / "metrics.csv").write_bytes(HEAD + ROWS)
    Log(tmp_path, 50, "rmse").close()
    assert (tmp_path / "metrics.csv").read_bytes() == HEAD + ROWS.split(b"100,")[0]


class Recorder:
    """In the place of a logger of Lightning's that needs an account, or a server."""

    made: ClassVar[list] = []

    def __init__(self, **options):
        self.options, self.metrics, self.ended = options, [], None
        self.made.append(self)

    def log_metrics(self, metrics, step):
        self.metrics.append((metrics, step))

    def finalize(self, status):
        self.ended = status


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("wandb", "WandbLogger", {"name": "mine", "project": "maxtunnel"}),
        ("mlflow", "MLFlowLogger", {"experiment_name": "maxtunnel", "run_name": "mine"}),
    ],
)
def test_another_logger_gets_every_row(tmp_path, monkeypatch, name, kind, options):
    from lightning.pytorch import loggers

    run = tmp_path / "mine"
    monkeypatch.setattr(Recorder, "made", [])
    monkeypatch.setattr(engine, "find_spec", lambda name: name)
    monkeypatch.setattr(loggers, kind, Recorder)
    log = Log(run, 0, "rmse", logger=name)
    log.row(50, 1.0, 0.1, 0.02, 82.0)
    log.close()
    (other,) = Recorder.made
    assert other.options == options | ({"save_dir": run} if name == "wandb" else {})
    figures = {"loss": 1.0, "rmse": 0.1, "learning_rate": 0.02, "images_per_second": 82.0}
    assert other.metrics == [(figures, 50)]
    assert other.ended == "success"
    # A run that ends with an error is not noted as one that came to its end.
    with pytest.raises(KeyError), Log(run, 50, "rmse", logger=name):
        raise KeyError
    assert Recorder.made.pop().ended == "failed"
    # Of several processes one writes.
    Log(run, 50, "rmse", writes=False, logger=name).row(100, 1.0)
    assert len(Recorder.made) == 1


def test_a_logger_that_is_not_installed_is_named_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"is mlflow, which is not installed: .*maxtunnel\[mlflow\]"):
        make_config("train", "fast", tmp_path / "nowhere", None, logger="mlflow")
