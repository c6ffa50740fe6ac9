"""Which images are labelled, and the sets by name from folders and stores."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from maxtunnel.data import labelled_sets, prepare
from maxtunnel.data.labelled import LabelledSet, check_pair, held_out, labels_for
from maxtunnel.data.labelled_sets import list_classes, read_class_folders, read_labels, read_set
from maxtunnel.support.files import FormatError

LABELS = torch.tensor([0, 1, 2] * 20 + [0] * 5 + [-1] * 10)


def test_as_many_of_each_class_are_labelled():
    numbers = labels_for(LABELS, 12, seed=3)
    assert torch.bincount(LABELS[numbers]).tolist() == [4, 4, 4]
    assert numbers.tolist() == sorted(set(numbers.tolist()))
    assert labels_for(LABELS, 12, seed=3).tolist() == numbers.tolist()
    assert labels_for(LABELS, 12, seed=4).tolist() != numbers.tolist()


def test_fewer_labels_are_among_more():
    few, more = (set(labels_for(LABELS, count, seed=1).tolist()) for count in (6, 30))
    assert few < more


@pytest.mark.parametrize(
    ("count", "message"),
    [(10, "give a multiple of it"), (0, "give a multiple"), (63, "give at most 60")],
)
def test_counts_that_cannot_be_balanced_are_refused(count, message):
    with pytest.raises(ValueError, match=message):
        labels_for(LABELS, count, seed=0)


def some(first, last):
    """Images whose pixels are their numbers."""
    numbers = torch.arange(first, last)
    pixels = numbers.to(torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    return LabelledSet(pixels, numbers % 2, ("even", "odd"), "train")


def test_a_test_set_that_was_trained_on_is_refused():
    with pytest.raises(ValueError, match="6 of the 10 images to test on are among those to train on"):
        check_pair(some(0, 20), some(14, 24))
    # Published sets have a few images twice.
    check_pair(some(0, 20), some(15, 25))


def test_without_labels_none_can_be_drawn():
    with pytest.raises(ValueError, match="no image has a label"):
        labels_for(torch.full((5,), -1), 10, seed=0)


def test_held_out_images_are_a_share_of_every_class():
    trained, kept = held_out(LABELS[:60], 0.25, seed=0)
    assert torch.bincount(LABELS[kept]).tolist() == [5, 5, 5]
    assert sorted([*trained.tolist(), *kept.tolist()]) == list(range(60))


def draw_digits(folder, side=28, classes=10, grey=True):
    """Two pictures of each class."""
    values = np.random.default_rng(0)
    for label in range(classes):
        (folder / str(label)).mkdir(parents=True)
        for number in range(2):
            pixels = values.integers(0, 256, (side, side) if grey else (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / str(label) / f"{number}.png")
    return folder


def test_grey_class_folders_have_one_channel(tmp_path):
    draw_digits(tmp_path / "test")
    found = read_set(tmp_path, "mnist", "test")
    assert found.pixels.shape == (20, 1, 28, 28)
    assert found.labels.tolist() == [number // 2 for number in range(20)]
    assert found.class_names == tuple("0123456789")
    assert (found.pixels[3, 0].numpy() == np.array(Image.open(tmp_path / "test" / "1" / "1.png"))).all()


def test_coloured_class_folders_have_three(tmp_path):
    draw_digits(tmp_path / "train", side=32, grey=False)
    assert read_set(tmp_path, "cifar10").pixels.shape == (20, 3, 32, 32)


def test_a_store_is_the_folder_that_it_was_made_of(tmp_path):
    folder = read_class_folders(draw_digits(tmp_path / "pictures"), "train")
    prepare(tmp_path / "pictures", tmp_path / "store", size=28)
    stored = read_class_folders(tmp_path / "store", "train")
    assert torch.equal(stored.pixels, folder.pixels)
    assert stored.labels.tolist() == folder.labels.tolist()
    assert stored.class_names == folder.class_names


def test_a_store_for_which_no_memory_is_free_is_refused(tmp_path, monkeypatch):
    prepare(draw_digits(tmp_path / "pictures"), tmp_path / "store", size=28)
    monkeypatch.setattr("maxtunnel.data.labelled.free_memory", lambda: 20 * 3 * 28 * 28 - 1)
    with pytest.raises(ValueError, match=r"store takes 0\.0 GB of memory, which is not free here"):
        read_class_folders(tmp_path / "store", "train")


def test_another_set_is_refused(tmp_path):
    draw_digits(tmp_path / "train", side=20)
    with pytest.raises(
        FormatError, match=r"train has 10 classes, and 0/0.png 20x20 .* give a folder with MNIST"
    ):
        read_set(tmp_path, "mnist")
    prepare(tmp_path / "train", tmp_path / "stores" / "train", size=20)
    with pytest.raises(FormatError, match=r"is no MNIST: it has 1 channels of 20x20 pixels and 10 classes"):
        read_set(tmp_path / "stores", "mnist")


@pytest.mark.parametrize(
    ("name", "split", "names"),
    [
        ("mnist", "train", "train-images-idx3-ubyte, train-labels-idx1-ubyte"),
        ("mnist", "test", "t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"),
        ("cifar10", "train", ", ".join(f"data_batch_{number}.bin" for number in range(1, 6))),
        ("cifar100", "test", "test.bin"),
        ("svhn", "extra", "extra_32x32.mat"),
        ("stl10", "train", "train_X.bin, train_y.bin"),
        ("stl10", "unlabelled", "unlabeled_X.bin"),
    ],
)
def test_a_folder_without_the_split_is_refused_with_the_names_of_its_files(tmp_path, name, split, names):
    with pytest.raises(
        FormatError,
        match=rf"has no {split}, nor [-\w]+'s own files, {re.escape(names)}; it holds nothing: give",
    ):
        read_set(tmp_path, name, split)
    with pytest.raises(FormatError, match="nowhere does not exist: expected a folder with"):
        read_set(tmp_path / "nowhere", name, split)


def test_a_split_that_a_set_has_not_is_refused_without_names_of_files(tmp_path):
    with pytest.raises(
        FormatError, match="has no extra; it holds nothing: give a folder in which extra is a folder of"
    ):
        read_set(tmp_path, "mnist", "extra")


def test_a_folder_without_the_split_is_refused_with_what_it_holds(tmp_path):
    draw_digits(tmp_path / "train")
    (tmp_path / "train" / "read.me").touch()
    above = re.escape(str(tmp_path))
    with pytest.raises(
        FormatError, match=rf"10 folders: 0, 1, 2, … and 1 file: read.me \(is {above} meant, which has train"
    ):
        read_set(tmp_path / "train", "mnist")
    with pytest.raises(FormatError, match=r"has no test.*; it holds 1 folder: train: give"):
        read_set(tmp_path, "mnist", "test")
    with pytest.raises(FormatError, match=r"has no train.*; it is a file: give"):
        read_set(tmp_path / "train" / "0" / "0.png", "mnist")


def test_the_classes_are_those_that_are_read(tmp_path):
    names = read_class_folders(draw_digits(tmp_path / "pictures"), "train").class_names
    prepare(tmp_path / "pictures", tmp_path / "store", size=28)
    assert list_classes(tmp_path / "pictures") == list_classes(tmp_path / "store") == names


def test_labels_are_known_before_the_images_are_decoded(tmp_path, monkeypatch):
    whole = read_set(draw_digits(tmp_path / "train").parent, "mnist")
    prepare(tmp_path / "train", tmp_path / "stores" / "train", size=28)
    monkeypatch.setattr(labelled_sets, "read_files", pytest.fail)
    for folder in (tmp_path, tmp_path / "stores"):
        assert torch.equal(read_labels(folder, "mnist"), whole.labels)


def test_a_damaged_picture_is_no_smaller_set(tmp_path):
    draw_digits(tmp_path / "train")
    (tmp_path / "train" / "3" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    with pytest.raises(FormatError, match=r"0\.png"):
        read_set(tmp_path, "mnist")


def test_pictures_without_classes_are_refused(tmp_path):
    Image.new("L", (28, 28)).save(tmp_path / "one.png")
    with pytest.raises(FormatError, match="has no classes"):
        read_class_folders(tmp_path, "train")
