"""Parts of a work on many photographs whose network runs on a GPU."""

import pytest
from PIL import Image

from maxtunnel.codec import loads
from maxtunnel.codec.rows import Encoder, cut_bunches, name_all
from maxtunnel.data.finding import find_sources
from maxtunnel.evaluation.rows import Album, Meter, cut_handfuls
from maxtunnel.zoo.names import load

pytestmark = pytest.mark.gpu


def test_a_bunch_is_encoded_there(device, pieces, tmp_path, few_differ):
    for number in range(4):
        Image.fromarray(pieces[number].permute(1, 2, 0).numpy()).save(tmp_path / f"{number}.png")
    sources = find_sources([tmp_path])
    bunch = cut_bunches(sources, name_all(sources), 10)[0]
    there = Encoder(load("8-8-8"), "packed", device.type)(bunch)
    for row, alone in zip(there, Encoder(load("8-8-8"), "packed")(bunch), strict=True):
        assert (row.name, row.error) == (alone.name, "")
        few_differ(loads(row.data), loads(alone.data))


def test_a_handful_is_measured_there(device, pieces):
    handful = cut_handfuls(Album(pieces[:8]), [1, 5], 8)[0]
    there = Meter((load("8-8-8"),), 64, "bilinear", 4, device.type)(handful).reached[0]
    alone = Meter((load("8-8-8"),), 64, "bilinear", 4)(handful).reached[0]
    assert there.metrics[0].tolist() == pytest.approx(alone.metrics[0].tolist(), rel=1e-3)
    assert there.stored.tolist() == pytest.approx(alone.stored.tolist(), rel=0.01)


def test_pictures_are_refined_there(device, pieces):
    handful = cut_handfuls(Album(pieces[:4]), [], 4)[0]
    there, alone, plain = (
        Meter((load("8-8-8-learned"),), 64, "bilinear", 4, where, refine=rounds)(handful)
        .reached[0]
        .metrics[0]
        for where, rounds in ((device.type, 40), (None, 40), (None, 0))
    )
    assert bool((there < plain).all())
    assert float(there.mean()) == pytest.approx(float(alone.mean()), rel=0.02)
