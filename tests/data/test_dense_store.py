"""Stores with masks beside their pixels: what is in them, void, hashes, and a training from one."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from maxtunnel.data.dense import (
    DenseSet,
    balance_classes,
    consensus,
    crop_objects,
    load_contours,
    read_label_image,
    resize_contours,
)
from maxtunnel.data.dense_store import prepare_dense
from maxtunnel.data.store import open_store, verify
from maxtunnel.support.files import FormatError

CLASSES = ("sky", "road")


def random(*shape, most=256, seed=0):
    return np.random.default_rng(seed).integers(0, most, shape, np.uint8)


@pytest.fixture
def dense(tmp_path):
    """Five images of 12x8 pixels whose red is bright where the mask has class 1; void is 11."""
    folder, images, masks = tmp_path / "set", [], []
    folder.mkdir()
    for number in range(5):
        mask = np.kron(random(4, 6, most=2, seed=number), np.ones((2, 2), np.uint8)).astype(np.uint8)
        image = np.stack([mask * 255, mask * 0, mask * 0 + 40], -1)
        mask[:2] = 11
        images.append(folder / f"{number}.png")
        masks.append(folder / f"{number}-mask.png")
        Image.fromarray(image).save(images[-1])
        Image.fromarray(mask).save(masks[-1])
    return DenseSet(tuple(images), tuple(masks), CLASSES, 11, "train", read_label_image)


def test_masks_lie_beside_the_pixels_and_void_around_them(dense, tmp_path):
    told = []
    prepare_dense(dense, tmp_path / "store", size=24, on_progress=lambda *it: told.append(it))
    verify(tmp_path / "store")
    store = open_store(tmp_path / "store")
    assert told[-1] == ("prepare", 5, 5, "")
    assert store.masks is not None
    assert (store.masks.shape, store.pixels.shape) == ((5, 24, 24), (5, 3, 24, 24))
    assert (store.manifest.mask_classes, store.manifest.padded, len(store.masks)) == (CLASSES, True, 5)
    pixels, masks = store.pixels.load(), store.masks.load()
    # 12x8 pixels become 24x16, between two bars of four rows.
    assert not pixels[:, :, :4].any()
    assert not pixels[:, :, 20:].any()
    assert (masks[:, :8] == 255).all()
    assert (masks[:, 20:] == 255).all()
    inside = masks[:, 8:20]
    assert set(inside.unique().tolist()) == {0, 1}
    assert ((pixels[:, 0, 8:20] > 127) == (inside == 1)).float().mean() > 0.97


def test_warped_masks_fill_the_square(dense, tmp_path):
    prepare_dense(dense, tmp_path / "store", size=24, padded=False)
    masks = open_store(tmp_path / "store").masks.load()
    assert (masks[:, :6] == 255).all()
    assert set(masks[:, 6:].unique().tolist()) == {0, 1}


def test_masks_are_read_where_they_are_asked_for_and_survive_a_pickle(dense, tmp_path, monkeypatch):
    # Three images of 16x16 with masks a shard.
    monkeypatch.setattr("maxtunnel.data.dense_store.SHARD_BYTES", 3 * 4 * 16 * 16)
    prepare_dense(dense, tmp_path / "store", size=16)
    store = open_store(tmp_path / "store")
    assert len(store.manifest.shards) == 2
    whole, some = store.masks.load(), torch.tensor([4, 0, 3])
    assert torch.equal(store.masks[some], whole[some])
    assert torch.equal(pickle.loads(pickle.dumps(store.masks.select(some)))[:], whole[some])
    assert torch.equal(pickle.loads(pickle.dumps(store.pixels))[:], store.pixels[:])


def test_the_same_again_is_nothing_to_do_and_another_is_refused(dense, tmp_path):
    first = prepare_dense(dense, tmp_path / "store", size=16)
    assert prepare_dense(dense, tmp_path / "store", size=16) == first
    with pytest.raises(ValueError, match="was prepared with other settings or from other files"):
        prepare_dense(dense, tmp_path / "store", size=16, padded=False)
    with pytest.raises(ValueError, match="is there already and is no store"):
        prepare_dense(dense, tmp_path / "set", size=16)
    with pytest.raises(ValueError, match="`size` is 0"):
        prepare_dense(dense, tmp_path / "other", size=0)


def test_what_was_interrupted_leaves_no_store(dense, tmp_path):
    dense.masks[3].write_bytes(dense.masks[3].read_bytes()[:30])
    with pytest.raises(FormatError, match=r"3-mask.png"):
        prepare_dense(dense, tmp_path / "store", size=16)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_an_altered_mask_is_found(dense, tmp_path):
    prepare_dense(dense, tmp_path / "store", size=16)
    file = tmp_path / "store" / "shard-00000.arrow"
    masks = open_store(tmp_path / "store").masks.load().numpy().tobytes()
    data = bytearray(file.read_bytes())
    data[data.index(masks) + 70] ^= 1
    file.write_bytes(data)
    with pytest.raises(FormatError, match="was altered: its hash is another"):
        verify(tmp_path / "store")


def test_contours_of_several_annotators_become_their_consensus(dense, tmp_path):
    drawn = torch.zeros(3, 8, 12, dtype=torch.uint8)
    drawn[:, 2] = 1
    drawn[0, 5] = 1
    both = replace(
        dense, class_names=("no contour", "contour"), void=None, read=lambda _: drawn, contours=True
    )
    prepare_dense(both, tmp_path / "store", size=12, agreed=0.6)
    masks = open_store(tmp_path / "store").masks.load()[:, 2:10]
    expected = torch.zeros(8, 12, dtype=torch.uint8)
    expected[2], expected[5] = 1, 255
    assert all(torch.equal(mask, expected) for mask in masks)


def test_a_consensus_is_a_contour_none_or_neither():
    drawn = torch.tensor([[[1, 1, 1, 0]], [[1, 1, 0, 0]], [[1, 0, 0, 0]], [[1, 0, 0, 0]]], dtype=torch.uint8)
    assert consensus(drawn).tolist() == [[1, 1, 255, 0]]
    assert consensus(drawn, least=1.0).tolist() == [[1, 255, 255, 0]]
    assert consensus(drawn, least=0.2).tolist() == [[1, 1, 1, 0]]
    with pytest.raises(ValueError, match=r"`least` is 0\.0: expected a share above 0"):
        consensus(drawn, least=0.0)


def test_contours_are_not_torn_where_they_shrink():
    line = torch.zeros(1, 30, 30, dtype=torch.uint8)
    line[0, 11] = 1
    shrunk = resize_contours(line, (10, 10))
    assert shrunk[0].sum(1).tolist() == [0, 0, 0, 10, 0, 0, 0, 0, 0, 0]


def test_upright_images_are_turned_with_their_contours(dense):
    upright = torch.zeros(1, 12, 8, dtype=torch.uint8)
    upright[0, :, 2] = 1
    image = torch.zeros(3, 12, 8, dtype=torch.uint8)
    image[0, :, 2] = 255

    class Upright(DenseSet):
        def pair(self, number):
            return image, upright

    given = Upright(dense.images, dense.masks, CLASSES, None, "train", read_label_image)
    images, targets = load_contours(given, (8, 12))
    assert images.shape == (5, 3, 8, 12)
    assert torch.equal(images[:, 0] > 127, targets == 1)
    assert targets.sum((1, 2)).tolist() == [12] * 5


def test_objects_are_cut_out_and_all_else_is_background():
    masks = torch.zeros(2, 40, 50, dtype=torch.uint8)
    masks[0, 10:20, 10:30], masks[0, 10:20, 30:44], masks[0, 12, 12] = 1, 2, 255
    masks[1, 3:9, 3:9] = 2
    images = torch.stack([masks, masks, masks], 1) * 40
    cut, found = crop_objects(images, masks, (12, 24), margin=1.2)
    # The object of the second image is too small.
    assert (cut.shape, found.shape) == ((2, 3, 12, 24), (2, 12, 24))
    assert [set(each.unique().tolist()) - {255} for each in found] == [{0, 1}, {0, 2}]
    # 20 of 24 columns and 10 of 12 rows are the object, less what of it is void.
    assert abs(int((found[0] == 1).sum()) - 200) <= 4
    assert ((cut[0, 0] >= 30) & (cut[0, 0] <= 50))[found[0] == 1].float().mean() > 0.8
    with pytest.raises(ValueError, match="no object has 60 pixels a side"):
        crop_objects(images, masks, (12, 24), least=60)


def test_classes_that_are_nowhere_weigh_nothing():
    masks = torch.tensor([[[0, 0, 0, 2]], [[0, 0, 0, 255]]], dtype=torch.uint8)
    weights = balance_classes(masks, 4)
    # Frequencies are 6/7 and 1/4, and their median lies between.
    middle = (6 / 7 + 1 / 4) / 2
    torch.testing.assert_close(weights, torch.tensor([middle * 7 / 6, 0, middle * 4, 0]))
