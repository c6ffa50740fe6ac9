"""Adaptive deconvolutional networks: pooling in boxes, inference, and what is kept in a file."""

import pytest
import torch
from torch.nn import functional as F

from maxtunnel.models.adaptive_deconv import AdaptiveDeconv, AdaptiveSettings, unit_length
from maxtunnel.models.adaptive_pooling import Box, pool_boxes, sum_boxes, take_boxes, unpool_boxes
from maxtunnel.support.files import FormatError

RAGGED = (5, 7, 9)  # maps, height, width: no box at an end is whole


def planes_like(shape, count=2, seed=0, dtype=torch.float32):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def learnt(pooling="max", maps=(4, 6), size=(14, 17), sparsity=0.05):
    """A network whose steps are known, and images."""
    network = AdaptiveDeconv(AdaptiveSettings(pooling, maps, 5, sparsity=sparsity), seed=1)
    images = planes_like((1, *size), 3)
    where = []
    for _ in maps:
        network.measure_step(images, where)
        where.append(network.infer(images, where).where)
    return network, images


@pytest.mark.parametrize("box", [Box(), Box(2, 3), Box(1, 2), Box(3, 1)])
def test_a_box_keeps_its_largest_magnitude_with_its_sign(box):
    planes = planes_like(RAGGED)
    values, codes = pool_boxes(planes, box)
    assert values.shape[1:] == box.pooled(RAGGED)
    assert torch.equal(
        values.abs(),
        F.max_pool3d(planes.abs()[:, None], (box.maps, box.side, box.side), ceil_mode=True)[:, 0],
    )
    assert (values < 0).any()
    for place in [(0, 0, 0, 0), (1, *(length - 1 for length in box.pooled(RAGGED)))]:
        one, row, column = (
            divmod(int(codes[place]), box.side**2)[0],
            *divmod(int(codes[place]) % box.side**2, box.side),
        )
        image, k, y, x = place
        cell = (image, k * box.maps + one, y * box.side + row, x * box.side + column)
        assert planes[cell] == values[place]


def test_of_equal_magnitudes_the_first_counts():
    planes = torch.tensor([[[[1.0, -1.0], [1.0, 1.0]], [[-1.0, 1.0], [1.0, 1.0]]]])
    values, codes = pool_boxes(planes, Box())
    assert (values.item(), codes.item()) == (1.0, 0)
    planes[0, 0] = 0.5
    assert pool_boxes(planes, Box())[1].item() == 4


@pytest.mark.parametrize("switches", [True, False])
def test_what_is_taken_is_the_transpose_of_unpooling(switches):
    planes, box = planes_like(RAGGED, dtype=torch.float64), Box()
    codes = pool_boxes(planes, box)[1] if switches else None
    other = planes_like(box.pooled(RAGGED), seed=1, dtype=torch.float64)
    one = (unpool_boxes(other, codes, box, RAGGED) * planes).sum()
    torch.testing.assert_close(one, (take_boxes(planes, codes, box) * other).sum())


def test_unpooling_is_undone_by_pooling_and_averages_stay():
    planes, box = planes_like(RAGGED), Box()
    values, codes = pool_boxes(planes, box)
    put = unpool_boxes(values, codes, box, RAGGED)
    assert (put != 0).sum() == values.numel()
    assert torch.equal(pool_boxes(put, box)[0], values)
    mean = unpool_boxes(sum_boxes(planes, box), None, box, RAGGED)
    torch.testing.assert_close(mean[0, :2, :2, :2], planes[0, :2, :2, :2].mean().expand(2, 2, 2))
    torch.testing.assert_close(mean[0, 4, 6, 8], planes[0, 4, 6, 8])
    torch.testing.assert_close(unpool_boxes(sum_boxes(mean, box), None, box, RAGGED), mean)


def test_shapes_are_those_of_the_paper():
    settings = AdaptiveSettings()
    assert settings.planes((150, 150)) == ((15, 156, 156), (50, 84, 84), (100, 48, 48), (150, 30, 30))
    weights = [filters.numel() for filters in AdaptiveDeconv(settings).filters]
    assert weights == [735, 50 * 8 * 49, 100 * 25 * 49, 150 * 50 * 49]
    with pytest.raises(ValueError, match="`maps` are"):
        AdaptiveSettings(maps=())
    with pytest.raises(ValueError, match=r"`sparsity` is -1\.0"):
        AdaptiveSettings(sparsity=-1.0)
    with pytest.raises(ValueError, match="a box is 0 maps"):
        Box(0)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_up_is_the_transpose_of_down(pooling):
    network, images = learnt(pooling)
    network.double()
    where = [network.see(images.double())[0].where]
    planes = planes_like(network.settings.planes((14, 17))[1], 3, seed=2, dtype=torch.float64)
    with torch.no_grad():
        one = (network.down(planes, where, (14, 17)) * images).sum()
        torch.testing.assert_close(one, (planes * network.up(images.double(), where)).sum())


def test_iterations_leave_less_and_choose_switches_anew():
    network, images = learnt()
    below = [network.infer(images).where]
    left, chosen = [], []
    for iterations in (1, 3, 10):
        found = network.infer(images, below, iterations)
        drawn = network.decode(found.what, [*below, found.where], (14, 17))
        left.append(float((drawn - images).square().sum() / images.square().sum()))
        chosen.append(found.where)
    assert left[0] > left[1] > left[2]
    assert left[2] < 0.3
    assert not torch.equal(chosen[0], chosen[2])


def test_what_a_layer_sees_depends_on_the_image_through_switches_alone():
    network, images = learnt()
    first, second = network.see(images)
    again = network.infer(images, [first.where])
    assert torch.equal(again.what, second.what)
    other = network.infer(images, [first.where.roll(1, 0)])
    assert not torch.equal(other.what, second.what)


def test_more_sparsity_leaves_fewer_features():
    counts = []
    for sparsity in (0.0, 0.2, 1.0):
        network, images = learnt(sparsity=sparsity)
        counts.append(int((network.see(images, 1)[0].what != 0).sum()))
    assert counts[0] > counts[1] > counts[2] > 0


def test_the_step_is_by_the_strongest_pattern_on_the_chosen_cells():
    network, images = learnt(maps=(3,), size=(6, 6))
    network.measure_step(images[:1], rounds=200)
    codes = pool_boxes(network.up(images[:1], []).detach(), Box())[1]
    shape = network.settings.planes((6, 6))[0]
    columns = torch.eye(codes.numel()).view(-1, *codes.shape[1:])
    cells = unpool_boxes(columns, codes.expand_as(columns), Box(), shape)
    with torch.no_grad():
        drawn = network.down(cells, [], (6, 6)).flatten(1)
        strongest = torch.linalg.eigh(drawn @ drawn.T).eigenvectors[:, -1]
        pattern = (strongest @ cells.flatten(1)).view(1, *shape)
        length = network.up(network.down(pattern, [], (6, 6)), []).norm()
    torch.testing.assert_close(network.steps[0], 1.5 / length, rtol=1e-3, atol=0)


def test_what_cannot_be_is_refused():
    network, images = learnt()
    fresh = AdaptiveDeconv(network.settings)
    with pytest.raises(ValueError, match="layer 1 has not been learnt"):
        fresh.infer(images)
    first = network.see(images, 1)[0]
    with pytest.raises(ValueError, match="there is no layer 3: this network has 2"):
        network.infer(images, [first.where] * 2)
    with pytest.raises(ValueError, match="there is no layer 0"):
        network.decode(first.what, [], (14, 17))
    with pytest.raises(ValueError, match=r"values are \(3, 2, 9, 11\).*expected \(n, 2, 9, 10\)"):
        network.decode(first.what, [first.where], (14, 16))


def test_a_file_holds_it_all(tmp_path):
    network, images = learnt()
    network.save(tmp_path / "network.safetensors")
    again = AdaptiveDeconv.load(tmp_path / "network.safetensors")
    assert again.settings == network.settings
    assert torch.equal(again.see(images)[1].what, network.see(images)[1].what)
    (tmp_path / "other.safetensors").write_bytes(b"no such file")
    with pytest.raises(FormatError, match="cannot be read as a safetensors file"):
        AdaptiveDeconv.load(tmp_path / "other.safetensors")


def test_filters_of_a_map_have_length_one_together():
    filters = unit_length(planes_like((3, 5, 5), 4))
    torch.testing.assert_close(filters.square().sum((0, 2, 3)), torch.ones(3))
    assert torch.equal(unit_length(torch.zeros(1, 2, 3, 3)), torch.zeros(1, 2, 3, 3))
