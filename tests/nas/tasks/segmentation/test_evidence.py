"""Mean IoU beside torchmetrics and figures worked out by hand, and its intervals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from nas.tasks.segmentation import evidence, logits
from nas.tasks.segmentation.evidence import PixelCounts, PixelMeter


def counted(masks: Tensor, given: Tensor, classes: int) -> PixelCounts:
    """Return the counts of predictions, (N, H, W)."""
    meter = PixelMeter()
    meter.add(functional.one_hot(given.long(), classes).permute(0, 3, 1, 2).float(), masks)
    return meter.evidence()


def drawn(
    seed: int, *, classes: int = 5, absent: int | None = None, count: int = 7
) -> tuple[Tensor, Tensor]:
    """Draw masks with ignored pixels, and predictions of which half are right."""
    draw = torch.Generator().manual_seed(seed)
    masks = torch.randint(classes, (count, 12, 9), generator=draw)
    given = torch.randint(classes, masks.shape, generator=draw)
    right = torch.rand(masks.shape, generator=draw) < 0.5
    given = torch.where(right, masks, given)
    if absent is not None:
        masks, given = (torch.where(one == absent, 0, one) for one in (masks, given))
    masks[torch.rand(masks.shape, generator=draw) < 0.1] = 255
    return masks.to(torch.uint8), given


def four_pixels() -> PixelCounts:
    """One image: class 0 at two pixels, of which one is given to class 1; class 1 at one; one ignored."""
    masks = torch.tensor([[[0, 0], [1, 255]]], dtype=torch.uint8)
    return counted(masks, torch.tensor([[[0, 1], [1, 0]]]), 3)


def test_figures_worked_out_by_hand() -> None:
    found = four_pixels()
    assert found.confusion.tolist() == [[[1, 1, 0], [0, 1, 0], [0, 0, 0]]]
    assert found.iou_by_class()[:2].tolist() == [1 / 2, 1 / 2]
    assert np.isnan(found.iou_by_class()[2])
    assert found.mean_iou == 1 / 2
    assert found.pixel_accuracy == 2 / 3


def test_a_class_that_is_only_predicted_counts_as_zero() -> None:
    masks = torch.zeros(1, 2, 2, dtype=torch.uint8)
    given = torch.tensor([[[0, 0], [0, 2]]])
    assert counted(masks, given, 3).mean_iou == (3 / 4 + 0) / 2


@pytest.mark.parametrize("absent", [None, 2, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_mean_iou_is_torchmetrics(seed: int, absent: int | None) -> None:
    masks, given = drawn(seed, absent=absent)
    found = counted(masks, given, 5)
    options = {"num_classes": 5, "ignore_index": 255}
    theirs = MulticlassJaccardIndex(average="macro", **options)(given, masks.long())
    assert found.mean_iou == pytest.approx(theirs.item(), abs=1e-6)
    each = MulticlassJaccardIndex(average="none", **options)(given, masks.long())
    assert np.nan_to_num(found.iou_by_class()) == pytest.approx(each.numpy(), abs=1e-6)
    pixels = MulticlassAccuracy(average="micro", **options)(given, masks.long())
    assert found.pixel_accuracy == pytest.approx(pixels.item(), abs=1e-6)


def test_loss_is_the_mean_of_the_pixels_that_count() -> None:
    masks, _ = drawn(3)
    small = torch.randn(7, 5, 4, 3, generator=torch.Generator().manual_seed(0))
    meter = PixelMeter()
    meter.add(small[:3], masks[:3])
    meter.add(small[3:], masks[3:])
    full = functional.interpolate(small, size=(12, 9), mode="bilinear")
    wanted = functional.cross_entropy(full, masks.long(), ignore_index=255)
    assert meter.evidence().score().loss == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("room", "shapes"),
    [
        (3 * 12, [(3, 5, 12, 9), (3, 5, 12, 9), (1, 5, 12, 9)]),
        (5, 7 * [(1, 5, 5, 9), (1, 5, 5, 9), (1, 5, 2, 9)]),
    ],
    ids=["three images", "five rows"],
)
def test_maps_are_enlarged_in_parts_that_fit_into_memory(
    monkeypatch: pytest.MonkeyPatch, room: int, shapes: list[tuple[int, ...]]
) -> None:
    masks, _ = drawn(3)
    small = torch.randn(7, 5, 4, 3, generator=torch.Generator().manual_seed(0))

    def found() -> PixelCounts:
        meter = PixelMeter()
        meter.add(small, masks)
        return meter.evidence()

    whole = found()
    sizes: list[tuple[int, ...]] = []
    strips = evidence.strips

    def watched(maps: Tensor, wanted: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        for full, rows in strips(maps, wanted):
            sizes.append(tuple(full.shape))
            yield full, rows

    monkeypatch.setattr(evidence, "strips", watched)
    monkeypatch.setattr(logits, "AT_ONCE", room * 5 * 9)
    assert np.array_equal(found().confusion, whole.confusion)
    assert found().score().loss == pytest.approx(whole.score().loss, rel=1e-5)
    assert sizes[: len(shapes)] == shapes


def test_strips_are_bilinear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logits, "AT_ONCE", 3 * 4 * 31)
    small = torch.randn(1, 4, 6, 5, generator=torch.Generator().manual_seed(0))
    for height in (3, 20, 47):
        masks = torch.zeros(1, height, 31, dtype=torch.uint8)
        rows = [full for full, _ in logits.strips(small, masks)]
        whole = functional.interpolate(small, size=(height, 31), mode="bilinear")
        torch.testing.assert_close(torch.cat(rows, dim=2), whole)


class Masks:
    """Images of different sizes, whose masks are random."""

    sizes = ((30, 20), (12, 9), (7, 40))

    def __init__(self) -> None:
        draw = torch.Generator().manual_seed(1)
        self.masks = [torch.randint(5, (1, h, w), generator=draw).byte() for w, h in self.sizes]

    def size(self, index: int) -> tuple[int, int]:
        return self.sizes[index]

    def target(self, index: int) -> Tensor:
        return self.masks[index]


def test_originals_take_the_place_of_targets() -> None:
    originals = Masks()
    small = torch.randn(3, 5, 4, 3, generator=torch.Generator().manual_seed(0))
    meter = PixelMeter(originals=originals)
    blank = torch.zeros(3, 8, 8, dtype=torch.uint8)
    meter.add(small[:2], blank[:2])
    meter.add(small[2:], blank[2:])
    found = meter.evidence()
    options = {"num_classes": 5, "ignore_index": 255}
    theirs = MulticlassJaccardIndex(average="macro", **options)
    accuracy = MulticlassAccuracy(average="macro", **options)
    for index, mask in enumerate(originals.masks):
        full = functional.interpolate(
            small[index : index + 1], size=mask.shape[-2:], mode="bilinear"
        )
        theirs.update(full, mask.long())
        accuracy.update(full, mask.long())
    assert found.mean_iou == pytest.approx(theirs.compute().item(), abs=1e-6)
    assert found.class_accuracy == pytest.approx(accuracy.compute().item(), abs=1e-6)


def test_each_image_has_a_score() -> None:
    masks = torch.tensor([[[0, 0], [1, 1]], [[0, 1], [1, 255]], [[255, 255], [255, 255]]]).byte()
    given = torch.tensor([[[0, 0], [1, 1]], [[0, 0], [1, 0]], [[0, 1], [0, 1]]])
    # The second: class 0 has 1 of 2 pixels, class 1 has 1 of 2.
    assert counted(masks, given, 3).each().tolist() == [1, 0.5, 1]


def test_details_name_classes_and_leave_out_what_does_not_occur() -> None:
    found = four_pixels().details(("sky", "sea", "sand"))
    assert found["by_class"] == [
        {"class": "sky", "iou": 0.5, "accuracy": 0.5, "pixels": 2},
        {"class": "sea", "iou": 0.5, "accuracy": 1, "pixels": 1},
        {"class": "sand", "iou": None, "accuracy": None, "pixels": 0},
    ]
    assert found["pixel_accuracy"] == 2 / 3
    assert found["class_accuracy"] == 3 / 4  # of the two classes in the mask
    assert found["confusion"] == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_without_pixels_that_count_there_is_nothing_right() -> None:
    masks = torch.full((2, 3, 3), 255, dtype=torch.uint8)
    found = counted(masks, torch.zeros(2, 3, 3, dtype=torch.long), 2)
    assert found.score() == (0.0, 0.0)
    assert found.pixel_accuracy == 0


def test_resamples_are_of_images() -> None:
    """Each resample's mean IoU is that of its images, as often as they are in it."""
    found = counted(*drawn(5, count=4), 5)
    times = evidence.resamples(4)
    assert times.shape == (1000, 4)
    assert (times.sum(axis=1) == 4).all()
    for draw in (0, 17):
        chosen = np.repeat(np.arange(4), times[draw])
        alone = PixelCounts(found.confusion[chosen]).mean_iou
        assert found._resampled()[draw] == pytest.approx(alone)


def test_the_interval_narrows_with_the_number_of_images() -> None:
    few, many = (counted(*drawn(6, count=count), 5) for count in (10, 160))
    widths = [high - low for low, high in (few.interval(), many.interval())]
    assert widths[0] == pytest.approx(4 * widths[1], rel=0.5)
    low, high = many.interval()
    assert low < many.mean_iou < high


def test_a_difference_is_paired() -> None:
    """Images that are hard for both widen each interval, but not that of the difference."""
    masks, given = drawn(7, count=40)
    given[:20] = (given[:20] + 1) % 5
    better = given.clone()
    better[:, :3] = torch.where(masks[:, :3] == 255, 0, masks[:, :3]).long()
    ours, theirs = counted(masks, better, 5), counted(masks, given, 5)
    found = ours.minus(theirs)
    assert found.points == pytest.approx(100 * (ours.mean_iou - theirs.mean_iou))
    assert 0 < found.low < found.points < found.high
    low, high = ours.interval()
    assert found.high - found.low < 100 * (high - low)


def test_a_process_without_images_joins_in() -> None:
    found = counted(*drawn(8), 5)
    for joined in (
        found.joined([PixelMeter().evidence()]),
        PixelMeter().evidence().joined([found]),
    ):
        assert np.array_equal(joined.confusion, found.confusion)
        assert joined.score() == found.score()
