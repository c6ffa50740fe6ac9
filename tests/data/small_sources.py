"""Small sources of every kind, and what the tests of prepared data share."""

import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from maxtunnel.data.folders import list_images

SIZE = 16


def picture_classes(folder, counts, seed=0):
    """So many pictures of several shapes in each class folder."""
    values = np.random.default_rng(seed)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            shape = (*values.integers(12, 40, 2), 3)
            picture = Image.fromarray(values.integers(0, 256, shape, dtype=np.uint8))
            picture.save(folder / name / f"{number:03d}.png")
    return folder


def as_tar(folder, tar, files=None):
    """WebDataset shards of a folder of class folders."""
    tar.parent.mkdir(exist_ok=True, parents=True)
    names = sorted({file.parent.name for file in list_images(folder)})
    with tarfile.open(tar, "w") as archive:
        for file in files or list_images(folder):
            key = f"{file.parent.name}/{file.stem}"
            add(archive, f"{key}.png", file.read_bytes())
            add(archive, f"{key}.cls", str(names.index(file.parent.name)).encode())
            add(archive, f"{key}.json", b"{}")
    return tar


def add(archive, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def make_tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            add(archive, name, data)
    return path


def as_parquet(folder, out, files=None, rows=2):
    """Parquet in the Hugging Face layout of a folder of class folders."""
    out.parent.mkdir(exist_ok=True, parents=True)
    names = sorted({file.parent.name for file in list_images(folder)})
    files = files or list_images(folder)
    images = [{"bytes": f.read_bytes(), "path": f.relative_to(folder).as_posix()} for f in files]
    labels = [names.index(file.parent.name) for file in files]
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    table = pa.table({"image": images, "label": pa.array(labels, pa.int32())})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, out, row_group_size=rows)
    return out


def contents(folder):
    """The bytes of every file."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def one_line(error, *words):
    """The error says all of this in one line."""
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert str(word) in text, text


def interrupt_at(count):
    """A listener that presses Ctrl-C when so many images are done."""

    def stop(phase, done, total, note):
        if done == count:
            raise KeyboardInterrupt

    return stop


PICTURE = io.BytesIO()


Image.new("RGB", (20, 20), "red").save(PICTURE, "PNG")


PNG = PICTURE.getvalue()
