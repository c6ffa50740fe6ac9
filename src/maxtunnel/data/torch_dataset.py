"""Photographs as PyTorch takes them: a `Dataset` for a `DataLoader`, with workers or without."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.utils.data import Dataset

from maxtunnel.data.arrow import ArrowArray, as_arrow
from maxtunnel.data.folders import label_by_folder
from maxtunnel.data.image_set import check_prepared
from maxtunnel.data.images import read_image, to_float
from maxtunnel.data.images import resize as warp
from maxtunnel.data.manifest import is_store
from maxtunnel.data.store import MappedPixels, open_store
from maxtunnel.data.survey import survey
from maxtunnel.support.choices import Resize

Image = Float32[Tensor, "3 _ _"]


class PhotographDataset(Dataset[tuple[Image, int]]):
    """The photographs of a store, or of a folder, each with the number of its class; none is kept in memory.

    It pickles in a few bytes a photograph, pixels of a store not at all, so workers may be spawned or forked:
    `DataLoader(PhotographDataset("stores/train"), batch_size=16, shuffle=True, num_workers=2)`.

    Args:
        source: a store, whose pixels are read as they are asked for; or a folder (its folders are the
            classes), whose files are then decoded and warped, each time anew.
        size: side of the square images in pixels; a store must have been prepared at it.
        resize: how to warp; a store must have been prepared so.
        transform: what becomes of each image, float32 RGB in [0, 1], (3, size, size); with workers that are
            spawned it must pickle, so be no lambda.

    Attributes:
        class_names: the name of each label; empty without classes.
        labels: the number of each photograph's class, -1 where there are no classes.

    Raises:
        FormatError: it is neither store nor folder, or damaged; when it is asked for, a file that cannot be
            read. A store holds only what could be read.
        ValueError: the store was prepared at another size or otherwise.
    """

    class_names: tuple[str, ...]
    labels: Int64[Tensor, " n"]

    def __init__(
        self,
        source: str | Path,
        size: int = 128,
        resize: Resize = "bilinear",
        transform: Callable[[Image], Tensor] | None = None,
    ) -> None:
        self._folder, self._size, self._resize = Path(source).absolute(), size, resize
        self._transform = transform
        self._pixels: MappedPixels | None = None
        # An Arrow array is shared with workers that are forked; a list would be copied name by name.
        self._names: ArrowArray = ()
        if is_store(source):
            store = open_store(source)
            check_prepared(store, size, resize)
            self._pixels, self.labels, self.class_names = store.pixels, store.labels, store.class_names
        else:
            names = survey(source).images
            labels, self.class_names = label_by_folder(names)
            self._names, self.labels = as_arrow(names, self._folder), torch.from_numpy(labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        return self.__getitems__([range(len(self))[number]])[0]

    def __getitems__(self, numbers: Sequence[int]) -> list[tuple[Tensor, int]]:
        """Several at once, as a `DataLoader` asks for the images of a batch."""
        if self._pixels is not None:
            images = list(to_float(self._pixels[torch.tensor(numbers)]))
        else:
            images = [self._read(self._names[number].as_py()) for number in numbers]
        if self._transform is not None:
            images = [self._transform(image) for image in images]
        return list(zip(images, self.labels[torch.tensor(numbers)].tolist(), strict=True))

    def _read(self, name: str) -> Image:
        size = self._size, self._size
        return to_float(warp(read_image(self._folder / name), size, self._resize))
