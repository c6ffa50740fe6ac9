"""Accuracies and mean IoU against torchmetrics, and their intervals."""

import math

import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from maxtunnel.evaluation.segmentation import count_pixels, near_borders, per_image, score

VOID = 11


def maps(count=6, size=(9, 8), classes=11, seed=0):
    """What was found, and labels that it agrees with in half of the pixels; a fifth of them void."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count, *size), generator=generator)
    found = torch.where(
        torch.rand(labels.shape, generator=generator) < 0.5,
        labels,
        torch.randint(classes, labels.shape, generator=generator),
    )
    void = torch.rand(labels.shape, generator=generator) < 0.2
    return found, torch.where(void, VOID, labels).to(torch.uint8)


def oracle(kind, found, labels, **settings):
    return float(kind(num_classes=11, ignore_index=VOID, **settings)(found, labels.long()))


def test_scores_are_those_of_torchmetrics():
    found, labels = maps()
    result = score(count_pixels(found, labels, 11, VOID), draws=20)
    assert result.mean_iou == pytest.approx(oracle(MulticlassJaccardIndex, found, labels))
    assert result.class_accuracy == pytest.approx(oracle(MulticlassAccuracy, found, labels))
    assert result.global_accuracy == pytest.approx(oracle(MulticlassAccuracy, found, labels, average="micro"))
    each = MulticlassJaccardIndex(num_classes=11, ignore_index=VOID, average=None)(found, labels.long())
    assert result.class_iou == pytest.approx(each.tolist())


def test_void_is_not_counted_wherever_it_is_found():
    found, labels = maps()
    other = torch.where(labels == VOID, (found + 1) % 11, found)
    assert not torch.equal(found, other)
    one, same = (count_pixels(each, labels, 11, VOID) for each in (found, other))
    assert torch.equal(one.found, same.found)
    assert int(one.there.sum()) == int((labels != VOID).sum()) == int(one.found.sum())


def test_a_set_is_its_pixels_together_and_not_a_mean_over_images():
    found, labels = maps()
    counts = count_pixels(found, labels, 11, VOID)
    apart = [count_pixels(f[None], m[None], 11, VOID) for f, m in zip(found, labels, strict=True)]
    whole = apart[0]
    for each in apart[1:]:
        whole = whole + each
    assert len(whole) == 6
    assert score(whole, draws=20) == score(counts, draws=20)
    alone = [oracle(MulticlassJaccardIndex, f[None], m[None]) for f, m in zip(found, labels, strict=True)]
    present = [
        set(f[m != VOID].tolist()) | set(m[m != VOID].tolist()) for f, m in zip(found, labels, strict=True)
    ]
    # torchmetrics counts classes that are nowhere as 0.
    expected = [value * 11 / len(classes) for value, classes in zip(alone, present, strict=True)]
    assert per_image(counts).tolist() == pytest.approx(expected)
    assert score(counts, draws=20).mean_iou != pytest.approx(sum(expected) / 6, abs=1e-4)


def test_classes_that_are_nowhere_do_not_count():
    labels = torch.tensor([[[0, 0, 1, 1]]])
    found = torch.tensor([[[0, 0, 1, 2]]])
    result = score(count_pixels(found, labels, 5), draws=20)
    assert result.class_iou[:3] == pytest.approx((1, 0.5, 0))
    assert all(math.isnan(value) for value in result.class_iou[3:])
    assert result.mean_iou == pytest.approx(0.5)
    assert result.class_accuracy == pytest.approx(0.75)
    assert result.global_accuracy == pytest.approx(0.75)


def test_intervals_hold_the_value_and_shrink_with_more_images():
    few, many = (score(count_pixels(*maps(count, seed=3), 11, VOID), draws=300) for count in (5, 80))
    for result in (few, many):
        assert result.global_interval[0] <= result.global_accuracy <= result.global_interval[1]
        assert result.iou_interval[0] < result.iou_interval[1]
        assert result.class_interval[0] < result.class_interval[1]
    assert many.iou_interval[1] - many.iou_interval[0] < few.iou_interval[1] - few.iou_interval[0]


def test_the_interval_is_that_of_images_drawn_with_replacement():
    found, labels = maps(4, seed=1)
    counts = count_pixels(found, labels, 11, VOID)
    low, high = score(counts, draws=400, seed=7).iou_interval
    generator = torch.Generator().manual_seed(7)
    values = []
    for _ in range(400):
        drawn = torch.randint(4, (4,), generator=generator)
        hits, there, said = (part[drawn].sum(0) for part in (counts.hits, counts.there, counts.found))
        union = there + said - hits
        values.append((hits[union > 0] / union[union > 0]).mean())
    expected = torch.quantile(torch.tensor(values).double(), torch.tensor([0.025, 0.975]).double())
    assert (low, high) == pytest.approx(expected.tolist(), rel=1e-6)


@pytest.mark.parametrize(
    ("found", "labels", "message"),
    [
        (
            torch.zeros(1, 2, 2).long(),
            torch.zeros(1, 2, 3).long(),
            r"`found` is \(1, 2, 2\): expected \(1, 2, 3\)",
        ),
        (torch.full((1, 2, 2), 3), torch.zeros(1, 2, 2).long(), "`found` has 3: expected 0 to 2"),
        (torch.zeros(1, 2, 2).long(), torch.full((1, 2, 2), 9), "`labels` has 9: expected 0 to 2"),
    ],
)
def test_what_does_not_fit_is_refused(found, labels, message):
    with pytest.raises(ValueError, match=message):
        count_pixels(found, labels, 3, VOID)


def test_a_set_of_void_has_no_score():
    counts = count_pixels(torch.zeros(2, 2, 2).long(), torch.full((2, 2, 2), VOID), 3, VOID)
    with pytest.raises(ValueError, match="all pixels are void"):
        score(counts)
    assert per_image(counts).isnan().all()


def test_what_is_near_a_border_is_so_on_both_its_sides():
    labels = torch.zeros(2, 7, 9, dtype=torch.uint8)
    labels[0, :, 4:] = 3
    labels[1, 3, 3] = 5
    one, two = near_borders(labels, 1), near_borders(labels, 2)
    assert one[0].any(0).tolist() == [column in (3, 4) for column in range(9)]
    assert two[0].all(0).tolist() == [column in (2, 3, 4, 5) for column in range(9)]
    # A pixel of its own is near, and so are its four neighbours; two away, all around them.
    assert int(one[1].sum()) == 5
    assert int(two[1].sum()) == 21
    # No border lies beside void, and no void is near one.
    labels[0, :, 4] = VOID
    assert not bool(near_borders(labels, 3, VOID)[0].any())
    labels[0, :, 4] = 3
    labels[0, 0] = VOID
    assert near_borders(labels, 1, VOID)[0].sum() == 12
