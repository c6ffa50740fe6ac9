"""Photographs read from folders, or prepared once: decoded, warped and kept as raw pixels in a store.

A folder of class folders, a flat folder, Parquet files in the Hugging Face image layout or WebDataset
tar shards become a store: `shard-00000.arrow`, ... with pixels, label and source path of every image,
`mean.npy` and `manifest.json`. The shards are memory-mapped.
"""

from maxtunnel.data.image_set import ImageSet, read_photographs
from maxtunnel.data.manifest import Manifest, Shard, is_store
from maxtunnel.data.parquet import export
from maxtunnel.data.preparation import prepare
from maxtunnel.data.store import MappedPixels, Store, open_store, verify
from maxtunnel.data.torch_dataset import PhotographDataset

__all__ = [
    "ImageSet",
    "Manifest",
    "MappedPixels",
    "PhotographDataset",
    "Shard",
    "Store",
    "export",
    "is_store",
    "open_store",
    "prepare",
    "read_photographs",
    "verify",
]
