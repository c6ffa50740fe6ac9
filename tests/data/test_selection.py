import os

import numpy as np
import pytest
import torch
from small_sources import SIZE, one_line

from maxtunnel.data import open_store, prepare
from maxtunnel.data.folders import read_files
from maxtunnel.data.preparation import find_source
from maxtunnel.data.selection import draw


def test_the_draw_is_the_papers(tmp_path):
    folder = tmp_path / "classes"
    counts = {"e": 9, "d": 5, "c": 7, "b": 6, "a": 8}
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"{number}.jpg").touch()
    source = find_source(folder)

    old = np.random.RandomState(3)
    names = [name for name in sorted(counts) if counts[name] >= 6]
    wanted = []
    for name in old.choice(names, 10):
        wanted += [f"{name}/{file}" for file in old.choice(sorted(os.listdir(folder / name)), 6)]
    drawn = source.keys.take(draw(source, "10x6", False, 3)).to_pylist()
    assert drawn == wanted
    assert len(set(drawn)) < 60

    distinct = source.keys.take(draw(source, "4x6", True, 3)).to_pylist()
    assert len(set(distinct)) == 24
    assert {key[0] for key in distinct} == set("abce")


def test_a_selection_is_stored_in_its_order_with_the_classes_it_has(classes, tmp_path, small_shards):
    prepare(classes, tmp_path / "out", size=SIZE, select="1x4", seed=1)
    prepared = open_store(tmp_path / "out")
    source = find_source(classes)
    keys = source.keys.take(draw(source, "1x4", False, 1)).to_pylist()
    assert list(prepared.paths) == keys
    assert prepared.class_names == (keys[0].split("/")[0],)
    assert prepared.labels.tolist() == [0] * 4
    for key, image in zip(keys, prepared.pixels.load(), strict=True):
        assert torch.equal(image, read_files([classes / key], SIZE).pixels[0])
    assert (prepared.manifest.select, prepared.manifest.seed) == ("1x4", 1)


@pytest.mark.parametrize("select", ["", "100", "100x", "0x4", "3X4", "-1x4", "1x4x2", "٣x٤", "1e3x2"])
def test_a_wrong_selection_is_refused(classes, tmp_path, select):
    with pytest.raises(ValueError, match="CLASSESxIMAGES") as error:
        prepare(classes, tmp_path / "out", select=select)
    one_line(error, repr(select))


@pytest.mark.parametrize(("select", "distinct"), [("1x6", False), ("3x4", True)])
def test_too_few_classes_to_draw_from(classes, tmp_path, select, distinct):
    with pytest.raises(ValueError, match=r"only [02] of 3 have so many"):
        prepare(classes, tmp_path / "out", select=select, distinct=distinct)


def test_a_draw_that_cannot_be_made_says_why(classes, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "a.jpg").touch()
    with pytest.raises(ValueError, match="`select` draws classes, and the source has none"):
        draw(find_source(flat), "1x1", False, 0)
    for seed in (-1, 2**32):
        with pytest.raises(ValueError, match=f"`seed` is {seed}: expected 0 to 4294967295"):
            draw(find_source(classes), "1x1", False, seed)
