"""Engines that are not there, and what is asked of one that is."""

import socket
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from maxtunnel.auditing.samples import Again
from maxtunnel.codec.rows import Encoder
from maxtunnel.data import prepare
from maxtunnel.evaluation.rows import Meter
from maxtunnel.paper.jobs import Runner
from maxtunnel.scale import cluster
from maxtunnel.scale.cluster import RETRIES, start_engine
from maxtunnel.support.parts import here
from tools import command_line


def test_this_process_is_an_engine():
    with start_engine() as spread:
        assert spread is here


@pytest.mark.parametrize("options", [{"ray_address": "auto"}, {"gpus": 1.0}])
def test_options_of_a_cluster_need_one(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` is .*: give `engine` ray as well"):
        start_engine(**options)


def test_without_ray_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"ray, which is not installed: pip install"), start_engine("ray"):
        pass


class FakeRay:
    """As much of Ray as an engine asks for, on one node with one GPU."""

    def __init__(self):
        self.told, self.connected, self.options = [], False, {}
        self.resources = {"CPU": 2.0, "GPU": 1.0}

    def is_initialized(self):
        return self.connected

    def init(self, **options):
        self.told.append("init")
        self.connected = True

    def shutdown(self):
        self.told.append("shutdown")
        self.connected = False

    def nodes(self):
        return [{"Alive": alive, "Resources": self.resources} for alive in (True, True, False)]

    def cluster_resources(self):
        return {name: 2 * value for name, value in self.resources.items()}

    def remote(self, **options):
        self.options = options
        return lambda work: SimpleNamespace(options=lambda **names: self.Task(self))

    def put(self, work):
        return work

    def wait(self, references):
        return references[:1], references[1:]

    def get(self, reference):
        return reference

    def cancel(self, reference):
        self.told.append("cancel")

    class Task:
        def __init__(self, ray):
            self.parts = []

        def remote(self, work, part, *settings):
            return work(part)


@pytest.fixture
def fake(monkeypatch):
    found = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", found)
    return found


def test_gpus_are_counted_a_node(fake):
    with (
        pytest.raises(ValueError, match="`gpus` is 2, and the cluster has no node"),
        start_engine("ray", gpus=2.0),
    ):
        pass
    assert fake.told == ["init", "shutdown"]
    with start_engine("ray", gpus=1.0):
        pass


@pytest.mark.parametrize(
    ("gpus", "node", "whole_node", "options"),
    [
        (0.0, {"CPU": 8.0}, False, {"num_cpus": 1.0, "num_gpus": 0.0, "max_calls": 0}),
        (0.0, {"CPU": 8.0, "GPU": 4.0}, True, {"num_cpus": 8.0, "num_gpus": 0.0}),
        (1.0, {"CPU": 8.0, "GPU": 1.0}, True, {"num_cpus": 8.0, "num_gpus": 1.0, "max_calls": 0}),
        (1.0, {"CPU": 9.0, "GPU": 4.0}, True, {"num_cpus": 2.0, "num_gpus": 1.0}),
        (0.1, {"CPU": 20.0, "GPU": 1.0}, True, {"num_cpus": 2.0, "num_gpus": 0.1, "max_calls": 0}),
        (0.5, {"CPU": 3.0, "GPU": 2.0}, True, {"num_cpus": 1.0, "num_gpus": 0.5}),
        (1.0, {"CPU": 8.0, "GPU": 2.0}, False, {"num_cpus": 1.0, "num_gpus": 1.0}),
    ],
)
def test_what_a_part_takes_of_a_node(fake, gpus, node, whole_node, options):
    """A process is kept, by `max_calls`, only where each of its parts must get the same GPU."""
    fake.resources = node
    with start_engine("ray", gpus=gpus) as spread:
        assert list(spread(str.upper, "ab", whole_node)) == [(0, "A"), (1, "B")]
    assert fake.options == {**options, "max_retries": RETRIES}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_cluster_that_was_only_half_started_is_stopped(fake, error):
    def fail(**options):
        raise error

    fake.init = fail
    with pytest.raises(error), start_engine("ray"):
        pass
    assert fake.told == ["shutdown"]


def test_a_cluster_of_somebody_else_is_left_alone(fake):
    fake.init()
    with pytest.raises(ValueError, match="this process is connected to a cluster"), start_engine("ray"):
        pass
    assert fake.told == ["init"]


def test_parts_are_cancelled_while_there_is_a_cluster_and_never_after(fake):
    with start_engine("ray") as spread:
        rows = spread(str.upper, "abcdefghijkl")
        assert next(rows) == (0, "A")
        rows.close()
        assert fake.told == ["init"] + ["cancel"] * 7
        rows = spread(str.upper, "abcdefghijkl")
        next(rows)
    told = list(fake.told)
    # As when an exception still holds the frame that was listening.
    rows.close()
    assert fake.told == told


def test_where_nobody_answers_is_said_at_once(fake):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with (
            pytest.raises(ValueError, match=r"where no cluster answers .*refused"),
            start_engine("ray", address),
        ):
            pass
    assert "init" not in fake.told


AUDIT = ["--size", 16, "--steps", 1, "--decoder", "mirrored", "--width", 4]


class Seen(Exception):
    """What was to be tried was asked for."""


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("arguments", "work", "device"),
    [
        (["encode", "photographs", "--model", "8-8-8"], Encoder, "cuda"),
        (["evaluate", "8-8-8", "--data", "photographs", "--size", 16], Meter, "cuda"),
        (["audit", "8-8-8", "--data", "photographs", *AUDIT], Again, "cuda"),
        # A training takes the GPU that it sees.
        (
            ["reproduce", "--train", "train", "--test", "test", "--only", "8-8-8", "--out", "out"],
            Runner,
            None,
        ),
    ],
)
def test_every_command_with_gpus_takes_them_and_uses_them(
    arguments, work, device, photographs_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    if work is Runner:
        prepare(photographs_folder / "class0", "train", size=16)
        prepare(photographs_folder / "class1", "test", size=16)
    for number in range(12, 90):
        (photographs_folder / f"{number}.png").symlink_to(photographs_folder / "class0" / "00.png")
    asked = []

    def spread(work, parts, whole_node=False):
        asked.append((type(work), getattr(work, "device", None)))
        raise Seen

    def start(engine, ray_address, gpus):
        asked.append((engine, ray_address, gpus))
        return nullcontext(spread)

    for module in ("photographs", "networks", "audit", "paper"):
        monkeypatch.setattr(f"maxtunnel.commands.{module}.start_engine", start)
    with pytest.raises(Seen):
        command_line.call(*arguments, "--engine", "ray", "--gpus", 0.5)
    assert asked == [("ray", None, 0.5), (work, device)]


def test_an_error_without_words_is_told_by_its_kind():
    assert cluster._lines(RuntimeError(" \n")) == ["RuntimeError"]
    assert cluster._lines(RuntimeError("a\nb")) == ["a", "b"]
