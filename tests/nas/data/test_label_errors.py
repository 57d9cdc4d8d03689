"""Labels that look wrong: the thresholds and the rule, in closed form and against flipped labels."""

import numpy as np
import pytest

from nas.data.label_errors import label_errors, thresholds


def found(rows, labels):
    return label_errors(np.array(rows, np.float32), np.array(labels))


def test_thresholds_are_mean_self_confidences():
    rows = np.array([[0.9, 0.1, 0], [0.5, 0.5, 0], [0.4, 0.6, 0]], np.float32)
    assert thresholds(rows, np.array([0, 0, 1])).tolist() == pytest.approx([0.7, 0.6, np.inf])


def test_another_class_must_reach_its_threshold():
    rows = [[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]]  # threshold of class 1: 0.9
    assert found([*rows, [0.2, 0.8]], [0, 0, 1, 1, 0]) == []
    (doubt,) = found([*rows, [0.1, 0.9]], [0, 0, 1, 1, 0])  # just reaches it
    assert (doubt.index, doubt.label, doubt.guess) == (4, 0, 1)
    assert (doubt.label_probability, doubt.guess_probability) == pytest.approx((0.1, 0.9))
    assert doubt.margin == pytest.approx(0.8)


def test_a_hard_class_has_a_low_threshold():
    # The network is at most 40% sure of class 2: an image of class 0 that is 45% class 2 looks like it.
    rows = [[0.9, 0.1, 0], [0.9, 0.1, 0], [0.1, 0.9, 0], [0.3, 0.3, 0.4], [0.3, 0.3, 0.4]]
    (doubt,) = found([*rows, [0.3, 0.25, 0.45]], [0, 0, 1, 2, 2, 0])
    assert (doubt.index, doubt.guess) == (5, 2)


def test_another_class_must_be_likelier_than_the_label():
    # Both images of class 1 reach class 0's threshold of 0.4, but only the last has less of its own.
    rows = [[0.4, 0.6], [0.4, 0.6], [0.45, 0.55], [0.55, 0.45]]
    doubts = found(rows, [0, 0, 1, 1])
    assert [(doubt.index, doubt.guess) for doubt in doubts] == [(0, 1), (1, 1), (3, 0)]


def test_the_likeliest_of_several_classes_is_the_guess_although_a_likelier_one_fails_its_threshold():
    rows = [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0.9, 0.1, 0], [0, 0.3, 0.3, 0.4], [0.2, 0, 0.8, 0]]
    (doubt,) = found([*rows, [0, 0.5, 0, 0.45]], [0, 0, 1, 3, 2, 0])
    assert (doubt.index, doubt.guess) == (5, 3)


def test_a_class_without_images_is_never_guessed():
    assert found([[0.9, 0, 0.1], [0, 0, 1], [0, 1, 0]], [0, 0, 1]) == []


def test_the_largest_margin_is_first():
    rows = [[0.9, 0.1], [0.1, 0.9], [0.3, 0.7], [0.05, 0.95], [0.2, 0.8], [0.4, 0.6]]
    margins = [doubt.margin for doubt in found(rows, [0, 1, 1, 0, 0, 1])]
    assert len(margins) == 2
    assert margins == sorted(margins, reverse=True)


def test_no_images():
    assert label_errors(np.empty((0, 3), np.float32), np.empty(0, np.int64)) == []


def test_flipped_labels_are_found():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 5, 600)
    logits = rng.normal(0, 1, (600, 5))
    logits[np.arange(600), true] += 6
    rows = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    flipped = rng.choice(600, 40, replace=False)
    labels = true.copy()
    labels[flipped] = (true[flipped] + rng.integers(1, 5, 40)) % 5
    doubts = label_errors(rows.astype(np.float32), labels)
    suspects = {doubt.index for doubt in doubts}
    assert len(suspects & set(flipped)) >= 36
    assert len(suspects - set(flipped)) <= 4
    right = [doubt.guess == true[doubt.index] for doubt in doubts if doubt.index in set(flipped)]
    assert all(right)
