"""What a store says of itself: the record of its settings, its files and their hashes."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from maxtunnel.data.survey import Ignored, tell
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import FormatError, replacing
from maxtunnel.support.records import Json, from_json, to_json

MANIFEST = "manifest.json"
_FORMAT = "maxtunnel store"
_VERSION = 2
# Where the images came from, and what else was there, is no part of what they are.
_NOT_CONTENT = ("content_sha256", "source", "fingerprint", "found", "ignored", "repeated")
# Of stores with masks alone: others are called what they were before there were any.
_OF_MASKS = ("mask_classes", "padded")


@dataclass(frozen=True)
class Shard:
    """One Arrow file of a store: how many images and bytes it holds, and their hash."""

    images: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a store holds and how it was made.

    Attributes:
        size: side of the square images in pixels.
        resize: how they were warped to it.
        select: the draw, such as `100x400`; None for all images.
        distinct: the draw was without replacement.
        seed: of the draw; None where there was none.
        source: what was prepared, as it was given.
        fingerprint: hash of the settings and of the names, sizes and times of the source files.
        images: how many there are.
        class_names: the name of each label; empty without labels.
        skipped: the images that could not be read, each with the reason.
        shards: the files, in order.
        mean_sha256: hash of mean.npy.
        found: how many files, members or rows the source held; with `repeated`, they are the `images`, the
            `skipped` and the `ignored`.
        ignored: what was found and is no image or was not drawn, counted by kind, such as (".txt", 3).
        repeated: how many images were drawn that had been drawn before.
        content_sha256: hash of all that decides the images, so of every pixel too: not of where they came
            from, and of what else was there.
        mask_classes: the name of each label of a pixel, where the images have masks; otherwise empty.
        padded: whether images keep their proportions, and what lies beside them in the square is black.
    """

    size: int
    resize: Resize
    select: str | None
    distinct: bool
    seed: int | None
    source: str
    fingerprint: str
    images: int
    class_names: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    shards: tuple[Shard, ...]
    mean_sha256: str
    found: int
    ignored: Ignored
    repeated: int
    content_sha256: str = ""
    mask_classes: tuple[str, ...] = ()
    padded: bool = False

    @property
    def adds_up(self) -> bool:
        """Whether all that was found is used, skipped or ignored."""
        used = self.images + len(self.skipped) + sum(count for _, count in self.ignored)
        return self.found + self.repeated == used

    def account(self) -> str:
        """What became of all that was found: `13 found: 10 images, 1 skipped, 2 ignored (2 .txt)`."""
        ignored = sum(count for _, count in self.ignored)
        parts = [
            f"{self.images:,} image{'s' * (self.images != 1)}",
            f"{self.repeated:,} of them drawn again" * bool(self.repeated),
            f"{len(self.skipped):,} skipped" * bool(self.skipped),
            f"{ignored:,} ignored ({tell(self.ignored)})" * bool(ignored),
        ]
        return f"{self.found:,} found: {', '.join(part for part in parts if part)}"

    def hashed(self) -> str:
        """What `content_sha256` must be."""
        without = _NOT_CONTENT if self.mask_classes else _NOT_CONTENT + _OF_MASKS
        return hash_of({key: value for key, value in to_json(self).items() if key not in without})

    def save(self, path: Path) -> "Manifest":
        """Write it as JSON; returns it with its hash."""
        manifest = replace(self, content_sha256=self.hashed())
        with replacing(path) as temporary:
            text = json.dumps({"format": _FORMAT, "version": _VERSION, **to_json(manifest)}, indent=1)
            temporary.write_text(text + "\n", encoding="utf-8")
        return manifest

    @classmethod
    def load(cls, path: Path) -> "Manifest":
        """Read what `save` wrote; FormatError if it is missing, damaged, altered or of another version."""
        try:
            values = json.loads(path.read_bytes())
            kind, version = values.pop("format"), values.pop("version")
            if (kind, version) != (_FORMAT, _VERSION):
                raise FormatError(
                    f"{path} is of {kind!r}, version {version!r}: expected {_FORMAT!r}, version {_VERSION}; "
                    "prepare the store again, or take the maxtunnel that made it"
                )
            manifest = from_json(cls, values)
        except FormatError:
            raise
        except OSError as error:
            raise FormatError(
                f"{path.parent} is no store ({path.name}: {error.strerror}): prepare one"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{path} is damaged ({error!r}): prepare the store again") from None
        counts = (manifest.size, manifest.images, *(shard.images for shard in manifest.shards))
        if manifest.hashed() != manifest.content_sha256 or min(counts) < 0:
            raise FormatError(f"{path} was altered: its hash is another; prepare the store again")
        return manifest


def is_store(path: str | Path) -> bool:
    """Whether the folder is a store, whole or not."""
    manifest = Path(path) / MANIFEST
    if not manifest.is_file():
        return False
    with open(manifest, "rb") as file:
        return _FORMAT.encode() in file.read(100)


def hash_of(values: Json) -> str:
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
