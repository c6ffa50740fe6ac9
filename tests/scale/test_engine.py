"""Engines that are not there."""

import sys

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
