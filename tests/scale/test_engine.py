"""Engines that are not there, and what is asked of one that is."""

import socket
import sys
from types import SimpleNamespace

import pytest

from maxtunnel.scale.cluster import start_engine
from maxtunnel.support.parts import here


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
        self.told, self.connected = [], False

    def is_initialized(self):
        return self.connected

    def init(self, **options):
        self.told.append("init")
        self.connected = True

    def shutdown(self):
        self.told.append("shutdown")
        self.connected = False

    def nodes(self):
        return [{"Alive": alive, "Resources": {"CPU": 2.0, "GPU": 1.0}} for alive in (True, True, False)]

    def cluster_resources(self):
        return {"CPU": 4.0, "GPU": 2.0}

    def remote(self, **options):
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
