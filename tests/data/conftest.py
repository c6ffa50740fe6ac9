import pytest
from small_sources import SIZE, picture_classes

from maxtunnel.data import preparation, prepare


@pytest.fixture
def small_shards(monkeypatch):
    """Three images a shard."""
    monkeypatch.setattr(preparation, "SHARD_IMAGES", 3)


@pytest.fixture
def classes(tmp_path):
    """Eleven pictures of several shapes in three classes; in the store's order."""
    return picture_classes(tmp_path / "classes", {"bee": 5, "ant": 4, "cat": 2})


@pytest.fixture
def prepared(classes, tmp_path, small_shards):
    prepare(classes, tmp_path / "out", size=SIZE)
    return tmp_path / "out"
