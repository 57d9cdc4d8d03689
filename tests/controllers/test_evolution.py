"""Regularized evolution: aging, the tournament, and one mutation per child."""

import random

import pytest

from controllers.evolution import RegularizedEvolution, mutate


def test_mutation_changes_exactly_one_decision_evenly() -> None:
    rng = random.Random(0)
    arities, parent = (3, 1, 2), (1, 0, 1)
    children = [mutate(parent, arities, rng=rng) for _ in range(4000)]
    assert all(sum(a != b for a, b in zip(c, parent, strict=True)) == 1 for c in children)
    assert set(children) == {(0, 0, 1), (2, 0, 1), (1, 0, 0)}
    assert children.count((1, 0, 0)) / 4000 == pytest.approx(0.5, abs=0.03)


def test_space_of_one_sequence() -> None:
    controller = RegularizedEvolution((1, 1), seed=0, population_size=1)
    controller.tell([((0, 0), 0.5)])
    assert controller.ask(2) == [(0, 0), (0, 0)]


def test_children_come_from_the_best_of_the_tournament() -> None:
    controller = RegularizedEvolution((9,) * 4, seed=0, population_size=2, sample_size=50)
    controller.tell([((0, 0, 0, 0), 0.1), ((8, 8, 8, 8), 0.9)])
    assert all(tokens.count(8) == 3 for tokens in controller.ask(50))


def test_the_oldest_dies_not_the_worst() -> None:
    controller = RegularizedEvolution((9,) * 4, seed=0, population_size=2, sample_size=50)
    controller.tell([((8, 8, 8, 8), 0.9), ((0, 0, 0, 0), 0.1), ((1, 1, 1, 1), 0.2)])
    assert all(tokens.count(1) == 3 for tokens in controller.ask(50))


def test_random_until_the_population_is_full() -> None:
    controller = RegularizedEvolution((9,) * 4, seed=0, population_size=3)
    controller.tell([((0, 0, 0, 0), 0.1)] * 2)
    assert len(set(controller.ask(20))) > 15


def test_converges_to_the_best_sequence() -> None:
    controller = RegularizedEvolution((3,) * 6, seed=0)
    best = 0
    for _ in range(30):
        asked = controller.ask(10)
        controller.tell([(tokens, float(sum(tokens))) for tokens in asked])
        best = max(best, *map(sum, asked))
    assert best == 12
    assert sum(map(sum, asked)) / 10 > 9  # at random: 6
