"""Photographs through PyTorch's own loader, alone and with workers of both kinds."""

import pickle

import pytest
import torch
from torch.utils.data import DataLoader

from maxtunnel.data import PhotographDataset, prepare, read_photographs
from maxtunnel.data.images import to_float
from maxtunnel.support.files import FormatError


@pytest.fixture
def store(tmp_path, photographs_folder):
    prepare(photographs_folder, tmp_path / "store", size=16)
    return tmp_path / "store"


def halved(image):
    return image / 2


def batches(dataset, **options):
    images, labels = zip(*DataLoader(dataset, batch_size=5, **options), strict=True)
    return torch.cat(images), torch.cat(labels)


def test_a_store_and_its_folder_give_what_commands_read(store, photographs_folder):
    expected = read_photographs(photographs_folder, 16)
    for source in (store, photographs_folder):
        dataset = PhotographDataset(source, size=16)
        images, labels = batches(dataset)
        assert torch.equal(images, to_float(expected.pixels))
        assert torch.equal(labels, expected.labels)
        assert torch.equal(dataset.labels, expected.labels)
        assert dataset.class_names == expected.class_names == ("class0", "class1")
        assert len(dataset) == 12
        assert torch.equal(dataset[-1][0], images[-1])
        with pytest.raises(IndexError):
            dataset[12]


@pytest.mark.parametrize("kind", ["fork", "spawn"])
def test_workers_give_the_same(store, photographs_folder, kind):
    # A parent that has computed with several threads, after which a fork could hang.
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.ones(512, 512) @ torch.ones(512, 512)
    torch.set_num_threads(before)
    # One start of Python and PyTorch is enough for the slow kind.
    for source in (store, photographs_folder) if kind == "fork" else (store,):
        dataset = PhotographDataset(source, size=16, transform=halved)
        found = batches(dataset, num_workers=1, multiprocessing_context=kind, timeout=60)
        for mine, theirs in zip(found, batches(dataset), strict=True):
            assert torch.equal(mine, theirs)


def test_a_pickle_holds_no_pixels(store, photographs_folder):
    for source in (store, photographs_folder):
        dataset = PhotographDataset(source, size=16)
        kept = pickle.dumps(dataset)
        # The pixels are 12 x 768 bytes.
        assert len(kept) < 4000
        again = pickle.loads(kept)
        assert torch.equal(again[3][0], dataset[3][0])


def test_what_cannot_be_read_is_named(store, photographs_folder):
    with pytest.raises(ValueError, match="was prepared with `size` 16"):
        PhotographDataset(store)
    with pytest.raises(FormatError, match="cannot be read"):
        PhotographDataset(store / "elsewhere")
    (photographs_folder / "class0" / "00.png").write_bytes(b"no image")
    with pytest.raises(FormatError, match=r"00\.png"):
        PhotographDataset(photographs_folder, size=16)[0]
