"""A set like BSDS500 for tests: a bright square on dark ground, its outline drawn by two annotators."""

import numpy as np
from PIL import Image
from scipy.io import savemat


def write_bsds(folder, count=2, size=(40, 48)):
    """So many photographs of each split in `folder`, every second one upright; (height, width) `size`."""
    values = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for number in range(count):
            height, width = size if number % 2 == 0 else size[::-1]
            pixels = values.integers(0, 60, (height, width, 3), dtype=np.uint8)
            top, left = values.integers(4, 12, 2)
            pixels[top : top + 18, left : left + 20] += 150
            outline = np.zeros((height, width), np.uint8)
            outline[top : top + 18, left : left + 20] = 1
            outline[top + 1 : top + 17, left + 1 : left + 19] = 0
            _write(folder, split, f"{number}", pixels, [outline, np.roll(outline, 1, 1)])
    return folder


def _write(folder, split, name, pixels, drawn):
    image, truth = (folder / kind / split for kind in ("images", "groundTruth"))
    image.mkdir(parents=True, exist_ok=True)
    truth.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(image / f"{name}.jpg", quality=95)
    cells = np.empty((1, len(drawn)), object)
    for number, plane in enumerate(drawn):
        cells[0, number] = {"Segmentation": plane.astype(np.uint16) + 1, "Boundaries": plane}
    savemat(truth / f"{name}.mat", {"groundTruth": cells})
