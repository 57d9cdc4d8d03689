"""Drawn scenes: boxes and masks agree, are reproducible, and are read back as drawn."""

import numpy as np

from nas.data.annotations.folder import read_box_folder
from nas.data.drawn import CLASSES, scenes, write_scenes
from nas.data.masks.folder import read_mask_folder


def test_boxes_enclose_what_the_mask_shows():
    for scene in scenes(12, split="train", px=96, seed=3):
        assert 1 <= len(scene.boxes) <= 4
        inside = np.zeros_like(scene.mask, bool)
        for box in scene.boxes:
            x1, y1, x2, y2 = box.corners
            assert 0 <= x1 < x2 <= 96
            assert 0 <= y1 < y2 <= 96
            own = scene.mask[y1:y2, x1:x2] == 1 + CLASSES.index(box.name)
            assert own.mean() > 0.15  # the rest is ground, edge, or another garment over it
            inside[y1:y2, x1:x2] = True
        assert not ((scene.mask > 0) & (scene.mask < 255) & ~inside).any()


def test_scenes_are_a_function_of_the_seed_and_the_split():
    def drawn(split, seed):
        return np.stack([scene.image for scene in scenes(3, split=split, px=64, seed=seed)])

    assert np.array_equal(drawn("train", 0), drawn("train", 0))
    assert not np.array_equal(drawn("train", 0), drawn("train", 1))
    assert not np.array_equal(drawn("train", 0), drawn("test", 0))


def test_a_written_folder_has_the_boxes_and_the_masks_that_were_drawn(tmp_path):
    list(write_scenes(tmp_path, {"train": 20, "test": 3}, px=64, seed=1))
    boxes = read_box_folder(tmp_path, max_megapixels=1)
    masks = read_mask_folder(tmp_path, max_megapixels=1)
    assert masks.classes == ("background", *CLASSES)
    for split, count in (("train", 20), ("test", 3)):
        drawn = list(scenes(count, split=split, px=64, seed=1))
        for index, scene in enumerate(drawn):
            rows = boxes.splits[split].objects[index]
            assert [boxes.classes[int(row[0])] for row in rows] == [box.name for box in scene.boxes]
            corners = [box.corners for box in scene.boxes]
            np.testing.assert_allclose(64 * rows[:, 1:5], corners, atol=1e-4)
            assert np.array_equal(masks.splits[split].original(index), scene.mask)
