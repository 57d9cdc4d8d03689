"""Screened REINFORCE: nothing twice, the whole of a small space, and fewer trials than luck needs."""

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
    """Single decisions and neighbouring pairs; at best 1.0, for all 2."""
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


def test_nothing_that_was_told_or_is_out_is_asked() -> None:
    controller = Screened((2,) * 5, seed=0)
    told = list(itertools.product(range(2), repeat=5))[:20]
    controller.tell([(tokens, score(tokens)) for tokens in told])
    first, second = controller.ask(6), controller.ask(6)
    assert {*first, *second} == set(itertools.product(range(2), repeat=5)) - set(told)


@pytest.mark.parametrize("warmup", [2, 10, 100])
def test_small_space_is_seen_whole_before_it_repeats(warmup: int) -> None:
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


def test_noisy_readings_do_not_mislead_it() -> None:
    """What it asks for in the end is good in truth, with noise of a third of the space's spread."""
    luck = random.Random(0)
    controller = Screened(ARITIES, seed=0)
    for _ in range(16):
        asked = controller.ask(5)
        controller.tell([(tokens, score(tokens) + luck.gauss(0, 0.04)) for tokens in asked])
    assert np.mean([score(tokens) for tokens in asked]) > 0.8  # at random 0.45, at best 1.0


def test_one_after_another_before_any_is_told_is_like_a_batch() -> None:
    """Ten workers that each ask for one do not all get the same idea."""
    apart, together = [], []
    for seed in range(3):
        one, batch = Screened(ARITIES, seed=seed), Screened(ARITIES, seed=seed)
        for controller in (one, batch):
            play(controller, 4)
        apart.append(differing([one.ask(1)[0] for _ in range(8)]))
        together.append(differing(batch.ask(8)))
    assert np.mean(apart) > 0.8 * np.mean(together)


def differing(asked: list[Tokens]) -> float:
    """Decisions in which two of them differ, on average."""
    pairs = itertools.combinations(asked, 2)
    return float(np.mean([sum(a != b for a, b in zip(*pair, strict=True)) for pair in pairs]))


def test_what_is_out_is_looked_at_beside_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize("batch", [1, 50])
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
def test_whatever_scores_look_like(told: Callable[[Tokens], float], batch: int) -> None:
    controller = Screened(ARITIES, seed=0)
    history: list[Tokens] = []
    for _ in range(100 // batch):
        asked = controller.ask(batch)
        controller.tell([(tokens, told(tokens)) for tokens in asked])
        history += asked
    assert len(set(history)) == len(history)
    best = max(map(told, history))
    lucky = random.Random(0)
    assert best >= max(told(tuple(lucky.randrange(3) for _ in ARITIES)) for _ in range(100))


def test_more_than_the_proposals_is_refused_and_changes_nothing() -> None:
    controller, untouched = (Screened(ARITIES, seed=0, proposals=8) for _ in range(2))
    with pytest.raises(InputError, match="batch of 9 cannot be chosen from 8 proposals"):
        controller.ask(9)
    assert play(controller, 4, batch=8) == play(untouched, 4, batch=8)


def test_replay_continues_alike() -> None:
    """Resume is replay: a fresh controller asked and told the same asks the same next."""
    first, second = Screened(ARITIES, seed=3), Screened(ARITIES, seed=3)
    assert play(first, 6) == play(second, 6)
    assert first.ask(5) == second.ask(5)


def test_policy_learns_from_what_was_trained() -> None:
    controller = Screened((3,), seed=0)
    for _ in range(30):
        controller.tell([((0,), 0.4), ((1,), 0.5), ((2,), 0.6)])
    assert controller.choice_probabilities()[0][2] > 0.6


class TwoIdeas(Surrogate):
    """Candidates 0 and 1 are one idea, good in half of the cases; 2 is good in the other half."""

    def __init__(self) -> None:
        pass

    def sample(self, tokens: object, count: int, *, generator: torch.Generator) -> torch.Tensor:
        one = torch.tensor([3.0, 0.0], dtype=torch.float64)
        other = torch.tensor([0.0, 2.0], dtype=torch.float64)
        return torch.stack([one, 0.9 * one, other, torch.ones(2)])


def test_batch_is_chosen_together() -> None:
    """The second idea comes before the first again, which would add nothing to itself."""
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


def test_where_proposals_are_too_few_the_nearest_to_the_bound_come_first() -> None:
    """All but the forty dearest of a space were told, and ten proposals find few of these."""
    space = list(itertools.product(range(3), repeat=5))
    dear = sorted(space, key=lambda tokens: (-sum(tokens), tokens))
    controller = Screened((3,) * 5, seed=0, proposals=10)
    controller.keep_within(lambda tokens: -float(sum(tokens)), least=-4.0)
    controller.tell([(tokens, score(tokens)) for tokens in sorted(set(space) - set(dear[:40]))])
    asked = controller.ask(10)
    assert sorted(map(sum, asked)) == sorted(sum(tokens) for tokens in dear[:40])[:10]


def test_the_model_is_fitted_once_for_all_that_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
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
    """Where the first choice is 0, the next four mean nothing."""
    return (0,) * 5 + tokens[5:] if tokens[0] == 0 else tokens


def test_of_sequences_that_are_one_only_one_is_asked() -> None:
    """The best that luck has found lies where 81 sequences are one: no copy of it is a new idea."""
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


def test_all_that_are_not_one_are_asked_before_any_again() -> None:
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
