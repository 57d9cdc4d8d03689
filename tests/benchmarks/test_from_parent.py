"""The arithmetic of comparisons from a parent: pairing, intervals, the best rival, points of the curve."""

import doctest
import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

from benchmarks.from_parent import comparison, crops, curve, rank
from benchmarks.from_parent.comparison import Comparison, Contestant, Parent, Row
from benchmarks.from_parent.trainings import with_own_weights
from benchmarks.from_parent.trunk import Trunk, trained_trunk
from benchmarks.trainings import Trained
from nas.comparing.latencies import Read
from nas.comparing.paired import Difference
from nas.searching.from_parent.parent import Parent as Weights
from nas.searching.from_parent.training import Heritage
from nas.tasks.classification import Answers
from nas.tasks.segmentation.evidence import PixelCounts
from nas.training.recipe import Recipe
from netadapt.channel_selection import channel_order
from search_spaces import ElasticSpace
from search_spaces.network import build
from tests.nas.image_sets import random_dataset
from tests.nas.small_parent import small_parent, small_spec

READ = Read(1.0, (0.9, 1.1), 0.5, (0.49, 0.51))


def answers(right):
    """What a network did that classifies these images correctly."""
    right = np.asarray(right)
    return Answers(
        right.astype(np.int64), np.ones(len(right), np.int64), np.ones(len(right), np.float32)
    )


def first(correct, *, images=200):
    """What a network did that classifies only the first images correctly."""
    return answers(np.arange(images) < correct)


def by_seed(*correct):
    return {seed: first(count) for seed, count in enumerate(correct)}


@pytest.mark.parametrize("module", [comparison, rank, crops])
def test_doctests(module):
    assert doctest.testmod(module).failed == 0


def test_seeds_are_paired_whatever_their_order():
    ours, theirs = by_seed(160, 170, 150), by_seed(150, 162, 138)
    difference = Difference.of(dict(reversed(ours.items())), theirs)
    steps = [5.0, 4.0, 6.0]
    assert difference.points == pytest.approx(5.0)
    half = stats.t.ppf(0.975, 2) * np.std(steps, ddof=1) / math.sqrt(3)
    assert difference.over_seeds == pytest.approx(half)


def test_the_interval_over_images_is_mcnemars_for_one_seed():
    ours, theirs = np.zeros((2, 100), bool)
    ours[:20], theirs[10:15] = True, True  # 15 images right for us alone, none for them alone
    difference = Difference.of({0: answers(ours)}, {0: answers(theirs)})
    assert difference.over_seeds is None
    assert difference.over_images == pytest.approx(196 * math.sqrt((0.15 - 0.15**2) / 100))


def test_without_a_common_seed_nothing_is_compared():
    with pytest.raises(ValueError, match=r"no common seed: \[0\] and \[1\]"):
        Difference.of(by_seed(1), {1: first(1)})


def trained(correct, held_out):
    return Trained(held_out, held_out, first(correct))


def compared(*rows):
    parent = Parent(small_spec(3), (READ,), 0.9, 200, "accuracy", ("lab",), (1.0,), (0.5,))
    return Comparison.of("run", parent, rows)


def row(kind, name, *results):
    network = Contestant(kind, name, small_spec(3))
    return Row.of(network, [READ], dict(enumerate(results)))


def kept(result):
    return Trained.from_dict(json.loads(json.dumps(result.to_dict())))


def test_results_survive_their_file():
    assert kept(trained(3, 0.5)).evidence.correct.sum() == 3
    assert kept(trained(3, 0.5)).test == pytest.approx(3 / 200)
    failed = Trained(None, error="diverged: nan")
    assert kept(failed) == failed


def test_segmentation_networks_are_compared_by_mean_iou():
    ours, theirs = (kept(Trained(0.5, 0.5, pixels(right))) for right in (90, 60))
    result = compared(row("search", "ours", ours, ours), row("width", "narrow", theirs, theirs))
    difference = result.minus_best(result.rows[0])
    iou = [right / (200 - right) for right in (90, 60)]  # of both classes: 100 pixels each
    assert difference.points == pytest.approx(100 * (iou[0] - iou[1]))
    assert difference.over_images == 0  # all images are alike


def pixels(right, *, images=10):
    """Evidence of images with two classes of 100 pixels each."""
    one = [[right, 100 - right], [100 - right, right]]
    return PixelCounts(np.array([one] * images, np.int32))


def test_the_best_rival_is_chosen_by_held_out_images_and_failures_are_left_out():
    failed = Trained(None, error="diverged: nan")
    result = compared(
        row("search", "ours", trained(160, 0.8), trained(170, 0.8)),
        row("width", "narrow", trained(150, 0.7), trained(150, 0.7)),
        row("resolution", "64 px", trained(140, 0.75), failed),
    )
    assert result.best_rival.name == "64 px"
    difference = result.minus_best(result.rows[0])
    assert (difference.points, difference.seeds) == (pytest.approx(10.0), 1)
    text = result.markdown()
    assert "64 px: diverged: nan" in text
    assert text.startswith("ours minus 64 px: +10.0 (± 4.2) points, 1 seed.")


def test_points_of_several_runs_are_joined_by_kind():
    rows = [
        row("search", "ours", trained(160, 0.8), trained(164, 0.8)),
        row("width", "width 0.7 at 96 px", trained(150, 0.7)),
        row("width", "width 0.9 at 64 px", trained(156, 0.6)),
        row("file", "v3 at 96 px", trained(100, 0.5)),
    ]
    document = compared(*rows).to_dict()
    kinds = curve.points([document, document])
    assert set(kinds) == {"search", "width", "v3"}
    assert [point.accuracy for point in kinds["search"]] == [81.0, 81.0]
    assert [point.best for point in kinds["width"]] == [True, False, True, False]
    assert kinds["width"][0].half is None
    assert kinds["search"][0].of_parent == 50.0


def test_trials_that_rank_like_long_trainings_have_a_tau_of_1():
    readings = [0.5, 0.6, 0.7, 0.8]
    way, aside = rank.Way(0, "finals", False), rank.Way(10, "trials", True)
    tried = {
        way: [Trained(one, one, cpu_s=2.0) for one in readings],
        aside: [Trained(1 - one, one, cpu_s=4.0) for one in readings],
    }
    longs = [[trained(correct, 0.9), trained(correct + 4, 0.9)] for correct in (80, 90, 100, 110)]
    table = list(rank.rows(tried, longs, [small_spec(3)] * 4))
    assert [(row[0], row[2][:5].strip(" ("), row[3]) for row in table] == [
        ("no training", "1.00", "2.0"),
        ("10 steps, teacher", "1.00", "4.0"),
        ("10 steps, teacher", "-1.00", "4.0"),
        ("MAdds", "none", "0"),
        ("long, one seed", "1.00", "0"),
    ]


def small_heritage():
    own = small_parent()
    order = channel_order(own.spec, own.weights)
    return Heritage(Weights(own.spec, own.weights, order), {64: random_dataset(size_px=64)})


def test_a_sub_network_of_the_trunk_is_what_it_inherits():
    parent = small_heritage().parent
    space = ElasticSpace(name="elastic", parent=parent.spec, resolutions=(64, 32))
    child = space.decode(tuple(arity - 1 for arity in space.arities))
    trunk = Trunk(parent)
    state, inherited = trunk.state(child), parent.state_dict(child)
    assert state
    assert all(tensor.equal(inherited[name]) for name, tensor in state.items())
    assert all(trunk.weights()[name].equal(tensor) for name, tensor in parent.weights.items())


def test_gradients_reach_the_parents_weights_that_a_sub_network_has():
    parent = small_heritage().parent
    space = ElasticSpace(name="elastic", parent=parent.spec, resolutions=(64, 32))
    child = space.decode(tuple(arity - 1 for arity in space.arities))
    trunk = Trunk(parent)
    images = torch.randn(4, 3, child.resolution, child.resolution)
    torch.manual_seed(0)  # of dropout
    logits = trunk.logits(child, images)
    network = build(child)
    network.load_state_dict(parent.state_dict(child))
    torch.manual_seed(0)
    assert torch.allclose(logits, network.train()(images), atol=1e-6)
    logits.square().sum().backward()
    places = torch.cat([trunk.places(child)[name].flatten() for name in trunk.state(child)])
    others = torch.ones(len(trunk.vector), dtype=torch.bool)
    others[places] = False
    assert trunk.vector.grad[places].any()
    assert not trunk.vector.grad[others].any()
    with torch.no_grad():
        trunk.vector[others] += 1.0  # the sub-network does not have these
    torch.manual_seed(0)
    assert torch.allclose(trunk.logits(child, images), logits)


def test_a_trunk_trains_all_of_its_parents_weights():
    begins = small_heritage()
    space = ElasticSpace(name="elastic", parent=begins.parent.spec, resolutions=(64, 32))
    trunk = trained_trunk(begins, space, Recipe(batch_size=4), steps=2, seed=0)
    again = trained_trunk(begins, space, Recipe(batch_size=4), steps=2, seed=0)
    convolutions = [name for name, weight in trunk.weights.items() if weight.ndim > 1]
    for name in convolutions:
        assert not trunk.weights[name].equal(begins.parent.weights[name])
        assert torch.allclose(trunk.weights[name], again.weights[name], atol=1e-6)


def test_a_network_keeps_all_of_its_own_weights():
    own = small_parent()
    other = Heritage(Weights(own.spec, {}, {}), {64: random_dataset(size_px=64)})
    begins = with_own_weights(own, other)
    inherited = begins.parent.state_dict(own.spec)
    assert all(inherited[name].equal(tensor) for name, tensor in own.weights.items())
    assert begins.images[64].mean == own.usage.mean
