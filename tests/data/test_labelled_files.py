"""The sets' own files: MNIST's idx, CIFAR's and STL-10's binaries, SVHN's .mat."""

import gzip
import pickle
import struct

import numpy as np
import pytest
import torch
from scipy.io import savemat

from maxtunnel.data.binaries import read_stl10, stl10_folds
from maxtunnel.data.idx import read_mnist
from maxtunnel.data.labelled_sets import read_set
from maxtunnel.support.files import FormatError

VALUES = np.random.default_rng(0)


def idx(magic, shape, data):
    return struct.pack(f">{len(shape) + 1}I", magic, *shape) + data


def write_mnist(folder, images=3, side=28, labels=(7, 0, 9), name="t10k-{}-idx{}-ubyte"):
    pixels = VALUES.integers(0, 256, (images, side, side), dtype=np.uint8)
    (folder / name.format("images", 3)).write_bytes(idx(0x803, pixels.shape, pixels.tobytes()))
    (folder / name.format("labels", 1)).write_bytes(idx(0x801, (len(labels),), bytes(labels)))
    return pixels


def zip_up(folder):
    for path in list(folder.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


@pytest.mark.parametrize("name", ["t10k-{}-idx{}-ubyte", "t10k-{}.idx{}-ubyte"])
@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_is_read(tmp_path, name, zipped):
    pixels = write_mnist(tmp_path, name=name)
    if zipped:
        zip_up(tmp_path)
    found = read_set(tmp_path, "mnist", "test")
    assert (found.pixels[:, 0].numpy() == pixels).all()
    assert found.labels.tolist() == [7, 0, 9]
    assert found.labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-1], "should hold 2,352 bytes after its head, and holds 2,351"),
        (lambda data: data + b"x", "and holds more"),
        (lambda data: data[:7], "ends within its head"),
        (lambda data: b"\0\0\x0d\x03" + data[4:], "begins with 0xd03"),
        (lambda data: data[:4] + b"\xff" * 12, "begins with 0x803 and sizes"),
        (lambda data: data[:4] + bytes(12), "begins with 0x803 and sizes"),
    ],
)
def test_damaged_images_of_mnist_are_refused(tmp_path, change, message):
    write_mnist(tmp_path)
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(FormatError, match=message):
        read_mnist(tmp_path, "test")


def test_damaged_gzip_is_refused(tmp_path):
    write_mnist(tmp_path)
    zip_up(tmp_path)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    for damage in (path.read_bytes()[:-40], b"no gzip", path.read_bytes()[:30] + bytes(50)):
        path.write_bytes(damage)
        with pytest.raises(FormatError, match=r"get it again|sizes"):
            read_mnist(tmp_path, "test")


@pytest.mark.parametrize(
    ("labels", "message"), [((1, 2), "3 images, but .* 2 labels"), ((1, 2, 10), "a label 10")]
)
def test_labels_that_do_not_fit_are_refused(tmp_path, labels, message):
    write_mnist(tmp_path, labels=labels)
    with pytest.raises(FormatError, match=message):
        read_mnist(tmp_path, "test")


def test_a_missing_file_of_mnist_is_named(tmp_path):
    write_mnist(tmp_path)
    with pytest.raises(FormatError, match="train-images-idx3-ubyte or train"):
        read_set(tmp_path, "mnist", "train")


def write_cifar(folder, labels, files, images=4):
    """Some records in each file; the pixels of all."""
    found = []
    for file in files:
        records = VALUES.integers(0, 256, (images, labels + 3072), dtype=np.uint8)
        records[:, :labels] %= 10
        (folder / file).write_bytes(records.tobytes())
        found.append(records)
    return np.concatenate(found)


def test_cifar10_is_read_in_the_order_of_its_files(tmp_path):
    whole = write_cifar(tmp_path, 1, [f"data_batch_{number}.bin" for number in range(1, 6)])
    (tmp_path / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n\n")
    found = read_set(tmp_path, "cifar10")
    assert found.labels.tolist() == whole[:, 0].tolist()
    assert found.class_names == tuple("abcdefghij")
    # Channel by channel, row by row.
    assert found.pixels[7, 1, 2, 3] == whole[7, 1 + 1024 + 2 * 32 + 3]


def test_of_cifar100_the_fine_labels_count(tmp_path):
    whole = write_cifar(tmp_path, 2, ["test.bin"])
    found = read_set(tmp_path, "cifar100", "test")
    assert found.labels.tolist() == whole[:, 1].tolist()
    assert len(found.class_names) == 100


@pytest.mark.parametrize("file", ["data_batch_1", "test_batch", "meta"])
def test_pickles_are_refused_unread(tmp_path, file):
    (tmp_path / file).write_bytes(pickle.dumps({"data": []}))
    with pytest.raises(FormatError, match=r"is a pickle, .* get the binary version"):
        read_set(tmp_path, "cifar10")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has 0 bytes: expected whole records of 3,073 bytes"),
        (bytes(3074), "has 3,074 bytes"),
        (bytes([10]) + bytes(3072), "a label 10, expected 0 to 9"),
    ],
)
def test_damaged_files_of_cifar_are_refused(tmp_path, data, message):
    (tmp_path / "test_batch.bin").write_bytes(data)
    with pytest.raises(FormatError, match=message):
        read_set(tmp_path, "cifar10", "test")


def test_names_of_another_number_are_refused(tmp_path):
    write_cifar(tmp_path, 1, ["test_batch.bin"])
    (tmp_path / "batches.meta.txt").write_text("a b")
    with pytest.raises(FormatError, match="has 2 names, expected 10"):
        read_set(tmp_path, "cifar10", "test")


def write_stl10(folder, part="train", images=2, labels=(10, 1)):
    pixels = VALUES.integers(0, 256, (images, 3, 96, 96), dtype=np.uint8)
    # As MATLAB lies in memory: column by column.
    (folder / f"{part}_X.bin").write_bytes(pixels.swapaxes(2, 3).tobytes())
    if labels:
        (folder / f"{part}_y.bin").write_bytes(bytes(labels))
    return pixels


def test_stl10_lies_column_by_column(tmp_path):
    pixels = write_stl10(tmp_path)
    found = read_set(tmp_path, "stl10")
    assert (found.pixels.numpy() == pixels).all()
    assert found.labels.tolist() == [9, 0]


def test_the_unlabelled_of_stl10_have_no_labels(tmp_path):
    write_stl10(tmp_path, "unlabeled", labels=())
    assert read_set(tmp_path, "stl10", "unlabelled").labels.tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("labels", "message"), [((0, 1), "a label 0, expected 1 to 10"), ((1,), "1 labels, expected 2")]
)
def test_labels_of_stl10_that_do_not_fit_are_refused(tmp_path, labels, message):
    write_stl10(tmp_path, labels=labels)
    with pytest.raises(FormatError, match=message):
        read_stl10(tmp_path)


def test_the_folds_of_stl10_are_read(tmp_path):
    folds = VALUES.integers(0, 5000, (10, 1000))
    path = tmp_path / "fold_indices.txt"
    path.write_text("\n".join(" ".join(map(str, fold)) for fold in folds) + "\n")
    assert (stl10_folds(tmp_path).numpy() == folds).all()
    for text, message in [("1 2", "10 lines"), ("1 x", "cannot be read"), ("", "10 lines")]:
        path.write_text(text)
        with pytest.raises(FormatError, match=message):
            stl10_folds(tmp_path)
    folds[3, 4] = 5000
    path.write_text("\n".join(" ".join(map(str, fold)) for fold in folds))
    with pytest.raises(FormatError, match="not among the 5000"):
        stl10_folds(tmp_path)


def write_svhn(folder, images=3, labels=(10, 1, 9), shape=(32, 32, 3), compress=False):
    pixels = VALUES.integers(0, 256, (*shape, images), dtype=np.uint8)
    values = {"X": pixels, "y": np.array(labels, np.uint8)[:, None]}
    savemat(folder / "test_32x32.mat", values, do_compression=compress)
    return pixels


@pytest.mark.parametrize("compress", [False, True])
def test_svhn_is_read(tmp_path, compress):
    pixels = write_svhn(tmp_path, compress=compress)
    found = read_set(tmp_path, "svhn", "test")
    assert (found.pixels.numpy() == pixels.transpose(3, 2, 0, 1)).all()
    assert found.labels.tolist() == [0, 1, 9]


def test_other_contents_of_svhn_are_refused(tmp_path):
    write_svhn(tmp_path, shape=(16, 16, 3))
    with pytest.raises(FormatError, match=r"holds X \(16, 16, 3, 3\)"):
        read_set(tmp_path, "svhn", "test")
    write_svhn(tmp_path, labels=(0, 1, 2))
    with pytest.raises(FormatError, match="a label 0, expected 1 to 10"):
        read_set(tmp_path, "svhn", "test")
    write_svhn(tmp_path, labels=(1, 2))
    with pytest.raises(FormatError, match=r"y \(2, 1\)"):
        read_set(tmp_path, "svhn", "test")


def test_pixels_of_svhn_that_are_no_bytes_are_refused_unread(tmp_path, monkeypatch):
    values = {"X": np.zeros((32, 32, 3, 2)), "y": np.ones((2, 1), np.uint8)}
    savemat(tmp_path / "test_32x32.mat", values)
    monkeypatch.setattr("scipy.io.loadmat", lambda *_, **__: pytest.fail("it was expanded"))
    with pytest.raises(FormatError, match="holds X as double: expected uint8"):
        read_set(tmp_path, "svhn", "test")


@pytest.mark.parametrize("name", ["mnist", "cifar10", "stl10", "svhn"])
def test_more_than_the_free_memory_is_refused_before_it_is_taken(tmp_path, monkeypatch, name):
    monkeypatch.setattr("maxtunnel.data.labelled.free_memory", lambda: 1000)
    {
        "mnist": write_mnist,
        "cifar10": lambda folder: write_cifar(folder, 1, ["test_batch.bin"]),
        "stl10": lambda folder: write_stl10(folder, "test"),
        "svhn": write_svhn,
    }[name](tmp_path)
    with pytest.raises(ValueError, match="GB of memory, which is not free here"):
        read_set(tmp_path, name, "test")


@pytest.mark.parametrize("compress", [False, True])
def test_cut_and_altered_files_of_svhn_are_refused(tmp_path, compress):
    write_svhn(tmp_path, compress=compress)
    path = tmp_path / "test_32x32.mat"
    whole = path.read_bytes()
    for end in (0, 10, 130, 1000, len(whole) // 2):
        path.write_bytes(whole[:end])
        with pytest.raises(FormatError, match=r"test_32x32\.mat"):
            read_set(tmp_path, "svhn", "test")
    path.write_bytes(whole[:128] + b"\xff" * 64 + whole[192:])
    with pytest.raises(FormatError, match="get it again"):
        read_set(tmp_path, "svhn", "test")


def test_splits_that_a_set_has_not_are_refused(tmp_path):
    write_svhn(tmp_path)
    write_stl10(tmp_path)
    write_mnist(tmp_path)
    write_cifar(tmp_path, 1, ["test_batch.bin"])
    for name, split in [("mnist", "extra"), ("cifar10", "extra"), ("stl10", "extra"), ("svhn", "unlabelled")]:
        with pytest.raises(ValueError, match="has train"):
            read_set(tmp_path, name, split)
