"""Screened REINFORCE: no repeats, small spaces exhausted, fewer trials than random search."""

import itertools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from controllers import Controller, make_controller, surrogate
from controllers.controller import Tokens
from controllers.screened import Screened, most_improving
from controllers.surrogate import Surrogate
from search_spaces.errors import InputError

ARITIES = (3,) * 10


def score(tokens: Tokens) -> float:
    """Scores single decisions and neighbouring pairs; the maximum is 1.0, for all 2."""
    pairs = sum(a == b for a, b in itertools.pairwise(tokens))
    return (sum(tokens) + pairs) / (3 * len(tokens) - 1)


def play(controller: Controller, batches: int, batch: int = 5) -> list[Tokens]:
    history: list[Tokens] = []
    for _ in range(batches):
        asked = controller.ask(batch)
        controller.tell([(tokens, score(tokens)) for tokens in asked])
        history += asked
    return history


def test_nothing_is_asked_twice() -> None:
    history = play(Screened(ARITIES, seed=0), 12)
    assert len(set(history)) == len(history)


def test_no_told_or_pending_sequence_is_asked() -> None:
    controller = Screened((2,) * 5, seed=0)
    told = list(itertools.product(range(2), repeat=5))[:20]
    controller.tell([(tokens, score(tokens)) for tokens in told])
    first, second = controller.ask(6), controller.ask(6)
    assert {*first, *second} == set(itertools.product(range(2), repeat=5)) - set(told)


@pytest.mark.parametrize("warmup", [2, 10, 100])
def test_a_small_space_is_exhausted_before_it_repeats(warmup: int) -> None:
    controller = Screened((2, 3, 2), seed=0, warmup=warmup)
    history = play(controller, 4)
    assert set(history[:12]) == set(itertools.product(range(2), range(3), range(2)))
    assert len(history) == 20  # then as the other controllers do: the loop decides when to end


def test_finds_the_best_of_59049_within_60_trials() -> None:
    best = [max(map(score, play(Screened(ARITIES, seed=seed), 12))) for seed in range(3)]
    lucky = [
        max(map(score, play(make_controller("uniform", ARITIES, seed=seed), 12)))
        for seed in range(3)
    ]
    assert np.mean(best) > 0.98
    assert np.mean(best) > np.mean(lucky) + 0.1


def test_robust_against_noise() -> None:
    """The last proposals are truly good, with noise of a third of the space's spread."""
    luck = random.Random(0)
    controller = Screened(ARITIES, seed=0)
    for _ in range(16):
        asked = controller.ask(5)
        controller.tell([(tokens, score(tokens) + luck.gauss(0, 0.04)) for tokens in asked])
    assert np.mean([score(tokens) for tokens in asked]) > 0.8  # at random 0.45, at best 1.0


def test_single_asks_in_flight_are_like_a_batch() -> None:
    """Ten workers that each ask for one get different proposals."""
    apart, together = [], []
    for seed in range(3):
        one, batch = Screened(ARITIES, seed=seed), Screened(ARITIES, seed=seed)
        for controller in (one, batch):
            play(controller, 4)
        apart.append(differing([one.ask(1)[0] for _ in range(8)]))
        together.append(differing(batch.ask(8)))
    assert np.mean(apart) > 0.8 * np.mean(together)


def differing(asked: list[Tokens]) -> float:
    """Return the mean number of decisions in which two sequences differ."""
    pairs = itertools.combinations(asked, 2)
    return float(np.mean([sum(a != b for a, b in zip(*pair, strict=True)) for pair in pairs]))


def test_sequences_in_flight_are_incumbents(monkeypatch: pytest.MonkeyPatch) -> None:
    beside: list[object] = []

    def spy(*given: Any, **options: Any) -> list[Tokens]:
        beside.append(options["best"])
        return most_improving(*given, **options)

    monkeypatch.setattr("controllers.screened.most_improving", spy)
    controller = Screened(ARITIES, seed=0)
    play(controller, 2)
    out = controller.ask(5)
    controller.ask(5)
    controller.tell([(tokens, score(tokens)) for tokens in out])
    controller.ask(5)
    first, second, third = beside
    assert not {*out} & {*first}
    assert {*out} <= {*second}
    assert len(third) == len(first) + 5


@pytest.mark.parametrize(("batch", "trials"), [(1, 20), (50, 100)])
@pytest.mark.parametrize(
    "told",
    [
        lambda _tokens: 0.5,
        lambda tokens: score(tokens) - 10.0,
        lambda tokens: 1e3 * score(tokens),
        lambda tokens: 0.0 if tokens[0] else 0.7 + 0.02 * score(tokens),  # two of three fail
    ],
    ids=["constant", "negative", "large", "failing"],
)
def test_scores_of_any_scale(told: Callable[[Tokens], float], batch: int, trials: int) -> None:
    controller = Screened(ARITIES, seed=0)
    history: list[Tokens] = []
    for _ in range(trials // batch):
        asked = controller.ask(batch)
        controller.tell([(tokens, told(tokens)) for tokens in asked])
        history += asked
    assert len(set(history)) == len(history)
    best = max(map(told, history))
    lucky = random.Random(0)
    assert best >= max(told(tuple(lucky.randrange(3) for _ in ARITIES)) for _ in range(trials))


def test_more_than_the_proposals_is_rejected_and_changes_nothing() -> None:
    controller, untouched = (Screened(ARITIES, seed=0, proposals=8) for _ in range(2))
    with pytest.raises(InputError, match="batch of 9 cannot be chosen from 8 proposals"):
        controller.ask(9)
    assert play(controller, 4, batch=8) == play(untouched, 4, batch=8)


def test_replay() -> None:
    """Resume is replay: a new controller with the same calls makes the same proposals."""
    first, second = Screened(ARITIES, seed=3), Screened(ARITIES, seed=3)
    assert play(first, 6) == play(second, 6)
    assert first.ask(5) == second.ask(5)


def test_the_policy_learns_from_trained_sequences() -> None:
    controller = Screened((3,), seed=0)
    for _ in range(30):
        controller.tell([((0,), 0.4), ((1,), 0.5), ((2,), 0.6)])
    assert controller.choice_probabilities()[0][2] > 0.6


class TwoIdeas(Surrogate):
    """Candidates 0 and 1 are equivalent, good in half of the samples; 2 is good in the other half."""

    def __init__(self) -> None:
        pass

    def sample(self, tokens: object, count: int, *, generator: torch.Generator) -> torch.Tensor:
        one = torch.tensor([3.0, 0.0], dtype=torch.float64)
        other = torch.tensor([0.0, 2.0], dtype=torch.float64)
        return torch.stack([one, 0.9 * one, other, torch.ones(2)])


def test_a_batch_is_chosen_jointly() -> None:
    """Candidate 2 is chosen before 1, which adds nothing to 0."""
    chosen = most_improving(
        TwoIdeas(), [(0,), (1,), (2,)], n=3, best=[(3,)], generator=torch.Generator()
    )
    assert chosen == [(0,), (2,), (1,)]


@pytest.mark.parametrize(
    ("option", "value"),
    [("proposals", 0), ("proposals", 2.5), ("warmup", 0), ("learning_rate", -1.0)],
)
def test_bad_options(option: str, value: object) -> None:
    with pytest.raises(InputError, match=f"option {option} .*{value}"):
        make_controller("screened", (2,), seed=0, options={option: value})


def test_with_too_few_proposals_the_nearest_to_the_bound_come_first() -> None:
    """All but the forty costliest of a space were told; ten proposals find few of these."""
    space = list(itertools.product(range(3), repeat=5))
    dear = sorted(space, key=lambda tokens: (-sum(tokens), tokens))
    controller = Screened((3,) * 5, seed=0, proposals=10)
    controller.constrain(lambda tokens: -float(sum(tokens)), least=-4.0)
    controller.tell([(tokens, score(tokens)) for tokens in sorted(set(space) - set(dear[:40]))])
    asked = controller.ask(10)
    assert sorted(map(sum, asked)) == sorted(sum(tokens) for tokens in dear[:40])[:10]


def test_the_surrogate_is_fitted_once_per_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = []
    monkeypatch.setattr(
        "controllers.screened.fit", lambda *given: fits.append(given) or surrogate.fit(*given)
    )
    controller, other = Screened(ARITIES, seed=0), Screened(ARITIES, seed=0)
    play(controller, 3)
    play(other, 3)
    fits.clear()
    one_by_one = [controller.ask(1)[0] for _ in range(4)]
    assert len(fits) == 1
    controller.tell([(one_by_one[0], 0.5)])
    controller.ask(1)
    assert len(fits) == 2
    for tokens in one_by_one:
        other.load_state_dict(other.state_dict())  # forgets the fit, and asks the same
        assert other.ask(1) == [tokens]


def merged(tokens: Tokens) -> Tokens:
    """If the first choice is 0, the next four have no effect."""
    return (0,) * 5 + tokens[5:] if tokens[0] == 0 else tokens


def test_only_one_of_several_aliases_is_asked() -> None:
    """The best trial has 81 aliases: none of them is proposed again."""
    controller = Screened(ARITIES, seed=0)
    controller.merge_aliases(merged)
    history: list[Tokens] = []
    for _ in range(12):
        asked = controller.ask(5)
        told = [(tokens, 1.0 - tokens[0] + score(merged(tokens))) for tokens in asked]
        controller.tell(told)
        history += asked
    assert len({merged(tokens) for tokens in history}) == len(history)
    assert any(tokens != merged(tokens) for tokens in history)  # the policy learns of what it drew


def test_all_distinct_networks_are_asked_before_any_repeats() -> None:
    controller = Screened((2, 3, 2), seed=0, warmup=3)
    controller.merge_aliases(lambda tokens: (tokens[0], tokens[0] * tokens[1], tokens[2]))
    networks = {(a, a * b, c) for a, b, c in itertools.product(range(2), range(3), range(2))}
    history = play(controller, 2, batch=4)
    assert {(a, a * b, c) for a, b, c in history} == networks
    state = controller.state_dict()
    repeated = controller.ask(4)
    again = Screened((2, 3, 2), seed=1, warmup=3)
    again.merge_aliases(lambda tokens: (tokens[0], tokens[0] * tokens[1], tokens[2]))
    again.load_state_dict(state)
    assert again.ask(4) == repeated
    assert again.ask(4) == controller.ask(4)
