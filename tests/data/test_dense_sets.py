"""Sets with an answer for every pixel, in the layouts in which they are published."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from maxtunnel.data import bsds, camvid, horses, voc
from maxtunnel.data.dense import count_labels, median_frequency, resize_labels
from maxtunnel.support.files import FormatError


def picture(path: Path, pixels: np.ndarray, mode: str | None = None) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if mode == "P":
        image.putpalette(voc.palette().flatten().tolist())
    image.save(path)
    return pixels


def random(*shape, most=256, seed=0):
    return np.random.default_rng([seed, *shape]).integers(0, most, shape).astype(np.uint8)


@pytest.fixture
def camvid_folder(tmp_path):
    """Three frames of two splits; the lists name paths of another machine."""
    for split, names in (("train", ["b", "a"]), ("test", ["c"])):
        for number, name in enumerate(names):
            picture(tmp_path / split / f"{name}.png", random(4, 6, 3, seed=number))
            picture(tmp_path / f"{split}annot" / f"{name}.png", random(4, 6, most=12, seed=number + 5))
        lines = [
            f"/SegNet/CamVid/{split}/{name}.png /SegNet/CamVid/{split}annot/{name}.png" for name in names
        ]
        (tmp_path / f"{split}.txt").write_text("\n".join(lines) + "\n\n")
    return tmp_path


def test_camvid_is_read_in_the_order_of_its_lists(camvid_folder):
    found = camvid.read_camvid(camvid_folder)
    assert (len(found), found.void, len(found.class_names), found.split) == (2, 11, 11, "train")
    assert [path.name for path in found.images] == ["b.png", "a.png"]
    image, labels = found.pair(1)
    assert torch.equal(image, torch.from_numpy(random(4, 6, 3, seed=1)).permute(2, 0, 1))
    assert torch.equal(labels, torch.from_numpy(random(4, 6, most=12, seed=6))[None])
    assert len(camvid.read_camvid(camvid_folder, "test")) == 1
    assert pickle.loads(pickle.dumps(found)).images == found.images


def test_a_part_of_a_set_and_all_of_it_in_memory(camvid_folder):
    found = camvid.read_camvid(camvid_folder)
    pixels, masks = found.load()
    assert (pixels.shape, masks.shape) == ((2, 3, 4, 6), (2, 4, 6))
    one, one_mask = found.part([1]).load()
    assert torch.equal(one[0], pixels[1])
    assert torch.equal(one_mask[0], masks[1])
    smaller, small_masks = found.load((2, 3))
    assert (smaller.shape, small_masks.shape) == ((2, 3, 2, 3), (2, 2, 3))


def test_resized_labels_are_labels_that_were_there():
    labels = torch.tensor([[[0, 9], [3, 11]]], dtype=torch.uint8)
    larger = resize_labels(labels, (4, 6))
    assert torch.equal(larger, labels.repeat_interleave(2, 1).repeat_interleave(3, 2))
    assert torch.equal(resize_labels(larger, (2, 2)), labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "train.txt").unlink(), "train.txt cannot be read"),
        (lambda f: (f / "train.txt").write_text("\n"), "train.txt is empty"),
        (
            lambda f: (f / "train.txt").write_text("train/a.png\n"),
            "line 1, has 1 parts: expected an image and",
        ),
        (
            lambda f: (f / "train.txt").write_text("a.png b.png\n"),
            "names a.png: expected a folder and a file",
        ),
        (lambda f: (f / "train.txt").write_text("x/../a.png t/b.png\n"), "expected a folder and a file"),
        (lambda f: (f / "trainannot/b.png").unlink(), "b.png is missing: expected the mask of an image"),
        (lambda f: (f / "trainannot/b.png").write_text("no"), "is no image of masks"),
        (lambda f: (f / "train/b.png").unlink(), "b.png cannot be opened"),
        (lambda f: picture(f / "trainannot/b.png", random(4, 6, 3)), "pixels of mode RGB: expected labels"),
        (
            lambda f: picture(f / "trainannot/b.png", random(4, 6) | 128),
            "has a label .*: expected 0 to 10, or 11",
        ),
        (
            lambda f: picture(f / "trainannot/b.png", random(6, 4, most=3)),
            "is of height 6, width 4: expected height 4, width 6, as its image",
        ),
        (
            lambda f: (f / "trainannot/b.png").write_bytes((f / "trainannot/b.png").read_bytes()[:50]),
            "b.png (cannot be read|is no image)",
        ),
    ],
)
def test_a_damaged_camvid_is_refused(camvid_folder, change, message):
    change(camvid_folder)
    with pytest.raises(FormatError, match=message):
        camvid.read_camvid(camvid_folder).load()


def test_images_of_two_sizes_need_a_size(camvid_folder):
    for folder, shape in (("train", (8, 6, 3)), ("trainannot", (8, 6))):
        picture(camvid_folder / folder / "a.png", random(*shape, most=3))
    found = camvid.read_camvid(camvid_folder)
    with pytest.raises(ValueError, match="height 8, width 6, another of height 4, width 6: give a `size`"):
        found.load()
    assert found.load((4, 4))[0].shape == (2, 3, 4, 4)
    with pytest.raises(ValueError, match="`split` is 'all': CamVid has train, val, test"):
        camvid.read_camvid(camvid_folder, "all")


def test_median_frequency_leaves_void_out(camvid_folder):
    labels = np.stack([random(4, 6, most=12, seed=5), random(4, 6, most=12, seed=6)])
    labels[:, 0] = 11
    labels[0, 1:3] = np.arange(12).reshape(2, 6) % 11
    labels[1][labels[1] == 4] = 11
    for name, mask in zip("ba", labels, strict=True):
        picture(camvid_folder / "trainannot" / f"{name}.png", mask)
    counts = count_labels(camvid.read_camvid(camvid_folder))
    assert counts.sum() == (labels != 11).sum()
    frequency = []
    for number in range(11):
        there = [mask for mask in labels if (mask == number).any()]
        frequency.append(sum((mask == number).sum() for mask in there) / sum((m != 11).sum() for m in there))
    expected = np.median(frequency) / np.array(frequency)
    np.testing.assert_allclose(median_frequency(counts).numpy(), expected)
    counts[:, 4] = 0
    with pytest.raises(ValueError, match="class 4 occurs in no image"):
        median_frequency(counts)


def test_frequencies_of_an_even_number_of_classes_have_their_middle_for_a_median():
    counts = torch.tensor([[1, 3]])
    assert median_frequency(counts).tolist() == [0.5 / 0.25, 0.5 / 0.75]


def test_vocs_palette_is_that_of_its_development_kit():
    colours = voc.palette()
    # As the kit's documentation lists them: aeroplane, bicycle, person, tvmonitor, and void.
    for label, colour in {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 15: (192, 128, 128)}.items():
        assert tuple(colours[label]) == colour
    assert tuple(colours[20]) == (0, 64, 128)
    assert tuple(colours[255]) == (224, 224, 192)
    assert len(np.unique(colours, axis=0)) == 256


@pytest.fixture
def voc_folder(tmp_path):
    labels = np.where(random(5, 7, most=22) == 21, 255, random(5, 7, most=21)).astype(np.uint8)
    for name in ("2007_000001", "2007_000002", "2007_000003"):
        picture(tmp_path / "JPEGImages" / f"{name}.jpg", random(5, 7, 3))
    masks = tmp_path / "SegmentationClass"
    picture(masks / "2007_000001.png", labels, "P")
    picture(masks / "2007_000002.png", voc.palette()[labels])
    picture(masks / "2007_000003.png", labels)
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("2007_000003\n2007_000001\n2007_000002\n")
    return tmp_path, labels


def test_voc_is_read_by_its_palette(voc_folder):
    folder, labels = voc_folder
    found = voc.read_voc(folder, "val")
    assert (len(found), found.void, len(found.class_names)) == (3, 255, 21)
    for number in range(3):
        assert torch.equal(found.pair(number)[1], torch.from_numpy(labels)[None])
    assert count_labels(found).sum() == 3 * (labels != 255).sum()


def test_a_damaged_voc_is_refused(voc_folder):
    folder, _ = voc_folder
    picture(folder / "SegmentationClass" / "2007_000001.png", np.full((5, 7, 3), 3, np.uint8))
    with pytest.raises(FormatError, match=r"has the colour \[3, 3, 3\], which is none of VOC's palette"):
        voc.read_voc(folder, "val").labels(1)
    with pytest.raises(FormatError, match=r"train.txt cannot be read"):
        voc.read_voc(folder)
    (folder / "ImageSets" / "Segmentation" / "val.txt").write_text("../x\n")
    with pytest.raises(FormatError, match=r"has the line '../x': expected a name such as"):
        voc.read_voc(folder, "val")


def test_masks_of_horses_that_jpeg_blurred_are_cut_at_half(tmp_path):
    mask = np.zeros((32, 40), np.uint8)
    mask[5:21, 11:30] = 255
    path = tmp_path / "horse001.jpg"
    Image.fromarray(mask).save(path, quality=50)
    assert len(np.unique(np.array(Image.open(path)))) > 2
    assert torch.equal(horses.read_two_values(path)[0], torch.from_numpy(mask // 255))


@pytest.mark.parametrize("horse", [1, 255])
def test_horses_are_read_from_two_folders(tmp_path, horse):
    for name in ("horse001", "horse002"):
        picture(tmp_path / "horse" / f"{name}.png", random(5, 7, 3))
        picture(tmp_path / "mask" / f"{name}.png", random(5, 7, most=2) * np.uint8(horse))
    found = horses.read_horses(tmp_path / "horse", tmp_path / "mask")
    assert (len(found), found.void, found.class_names) == (2, None, ("background", "horse"))
    assert torch.equal(found.load()[1][0], torch.from_numpy(random(5, 7, most=2)))
    picture(tmp_path / "mask" / "horse001.png", random(5, 7, most=3))
    with pytest.raises(FormatError, match=r"grey levels \[0, 1, 2\]: expected 0 and one other"):
        found.labels(0)
    (tmp_path / "mask" / "horse001.png").unlink()
    with pytest.raises(
        FormatError, match=r"horse001.png has 0 masks in .*mask: expected one, called horse001"
    ):
        horses.read_horses(tmp_path / "horse", tmp_path / "mask")


def annotations(path: Path, *planes: np.ndarray) -> None:
    cells = np.empty((1, len(planes)), object)
    for number, plane in enumerate(planes):
        cells[0, number] = {"Segmentation": plane.astype(np.uint16) + 1, "Boundaries": plane}
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"groundTruth": cells}, do_compression=True)


@pytest.fixture
def bsds_folder(tmp_path):
    for number, name in enumerate(("2", "10")):
        shape = (5, 7) if number else (7, 5)
        picture(tmp_path / "images" / "test" / f"{name}.jpg", random(*shape, 3))
        planes = [random(*shape, most=2, seed=seed) for seed in range(2 + number)]
        annotations(tmp_path / "groundTruth" / "test" / f"{name}.mat", *planes)
    return tmp_path


def test_bsds_has_the_contours_of_each_annotator(bsds_folder):
    found = bsds.read_bsds(bsds_folder, "test")
    assert [path.stem for path in found.images] == ["10", "2"]
    assert found.pair(0)[1].shape == (3, 5, 7)
    assert torch.equal(
        found.labels(1), torch.from_numpy(np.stack([random(7, 5, most=2, seed=s) for s in (0, 1)]))
    )
    with pytest.raises(ValueError, match="has 3 annotators: take them one by one"):
        found.load()


def test_a_damaged_bsds_is_refused(bsds_folder):
    found = bsds.read_bsds(bsds_folder, "test")
    path = found.masks[0]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError, match="is cut short, damaged or of another kind"):
        found.labels(0)
    savemat(path, {"other": np.zeros(3)})
    with pytest.raises(FormatError, match="groundTruth"):
        found.labels(0)
    annotations(path, random(5, 7, most=3))
    with pytest.raises(FormatError, match="expected planes of 0 and 1"):
        found.labels(0)
    path.unlink()
    with pytest.raises(FormatError, match="is missing: expected the annotations"):
        found.labels(0)
    with pytest.raises(FormatError, match="has no images/train with photographs"):
        bsds.read_bsds(bsds_folder)
