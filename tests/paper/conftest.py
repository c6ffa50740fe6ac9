import pytest
import torch
from PIL import Image

from maxtunnel.data import prepare


@pytest.fixture
def stores(photographs_folder, tmp_path):
    """A store to train on and another to measure on, of 16x16 pixels."""
    prepare(photographs_folder, tmp_path / "train", size=16)
    for path in photographs_folder.rglob("*.png"):
        Image.open(path).rotate(90).save(path)
    prepare(photographs_folder, tmp_path / "test", size=16)
    return tmp_path / "train", tmp_path / "test"


@pytest.fixture
def photographs():
    return torch.randint(256, (8, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
