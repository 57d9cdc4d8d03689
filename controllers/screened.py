"""Screened REINFORCE: many proposals, a model of the reward ranks them, only the best are trained.

    ask:   proposals ~ p_theta, then some rounds of children of the most promising sequences so far;
           of all these the batch of highest expected improvement under the model (surrogate.py)
    tell:  a step of REINFORCE on the trained batch (reinforce.py)

The step takes the batch as if the policy had drawn it, which the screening bends towards what the model
prefers: the policy follows good networks rather than a gradient of its own expected reward.

Training a network takes minutes and looking one up in the model microseconds. The rounds matter in
a large space: of 42 decisions a young policy rarely proposes a neighbour of the best network known.

Ranking by a model of all trials so far: PNAS (Liu et al. 2018), BANANAS (White et al. 2021). The
improvement of a batch, by sampling: Wilson et al. 2018 ("Maximizing acquisition functions for
Bayesian optimization", section 3).

Start with ``Screened.ask``.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import nlargest
from itertools import islice
from math import prod
from typing import Any

import torch

from controllers.checks import (
    checked_arities,
    checked_count,
    checked_scored,
    checked_seed,
    checked_state,
    checked_whole,
    plain,
    stamped,
)
from controllers.controller import Scored, Tokens
from controllers.evolution import mutated
from controllers.reinforce import Reinforce
from controllers.surrogate import Surrogate, fit, that_count
from search_spaces.errors import InputError

ROUNDS = 4  # of children
PARENTS = 10  # of each round
SHORTLIST = 400  # sequences whose expected improvement is looked at, the most promising
SAMPLES = 64  # behind each expected improvement
MOST_PENDING = 100  # sequences asked for and not told yet that a batch is chosen beside, the latest
LOOKED_AT = 1000  # of the rest of a space, where proposals are too few
MOST_REMEMBERED = 10_000  # sequences whose score by the bound, or canonical form, is remembered


class Screened:
    """REINFORCE of whose proposals only the most promising are asked for, and none twice."""

    def __init__(
        self,
        arities: Sequence[int],
        *,
        seed: int,
        proposals: int = 200,
        warmup: int = 10,
        learning_rate: float = 1.5e-2,
        entropy_weight: float = 0.5,
    ) -> None:
        """Draw the initial policy; there is no model yet.

        Args:
            arities: number of choices of each decision.
            seed: of everything drawn.
            proposals: sequences drawn from the policy a batch, and children a round.
            warmup: trials without screening: distinct sequences of the initial policy.
            learning_rate: of the policy, see ``Reinforce``.
            entropy_weight: of the policy, see ``Reinforce``.

        Raises:
            InputError: an arity or option is out of range.
        """
        self.arities = checked_arities(arities)
        self._proposals = checked_whole("proposals", proposals)
        self._warmup = checked_whole("warmup", warmup)
        of_policy = plain(
            {"warmup": warmup, "learning_rate": learning_rate, "entropy_weight": entropy_weight}
        )
        self._policy = Reinforce(self.arities, seed=seed, **of_policy)
        self._stamp = {
            "controller": "screened",
            "arities": self.arities,
            "proposals": self._proposals,
            **of_policy,
        }
        self._rng = random.Random(checked_seed(seed))
        # All in canonical form, but for what the policy learns from: that is as it was drawn.
        self._trials: list[tuple[Tokens, float]] = []
        self._seen: dict[Tokens, None] = {}  # asked or told, in order
        self._pending: dict[Tokens, None] = {}  # of these asked and not told yet
        self._walked = 0  # of the space in its own order: what lies before has been seen
        self._model: Surrogate | None = None  # of the trials; fitted when it is wanted
        self._canonical: Callable[[Tokens], Tokens] = itself
        self._score: Callable[[Tokens], float] = unbounded
        self._least = 0.0

    def ask(self, n: int) -> list[Tokens]:
        """The ``n`` most promising proposals, distinct and new as long as the space has new ones.

        Raises:
            InputError: ``n`` is below 1 or above the number of proposals.
        """
        if checked_count(n) > self._proposals:
            raise InputError(
                f"a batch of {n} cannot be chosen from {self._proposals} proposals: "
                "raise the option proposals, or make the batch smaller"
            )
        if max(len(self._seen), self._walked) >= prod(self.arities):  # nothing is new
            return self._policy.ask(n)
        drawn: dict[Tokens, Tokens] = {}
        for tokens in self._policy.ask(self._proposals):
            drawn.setdefault(self._canonical(tokens), tokens)
        proposed = list(drawn)
        new = [tokens for tokens in proposed if tokens not in self._seen]
        within = self._within(new, n)
        if len(self._trials) < self._warmup:
            asked = [tokens for tokens in new if within(tokens)][:n]
        else:
            asked = self._screened(list(filter(within, proposed)), n, within=within)
        rest = [tokens for tokens in new if tokens not in asked] if len(asked) < n else []
        asked += nlargest(n - len(asked), rest, key=self._score)
        asked += self._rest_of_space(n - len(asked), besides=asked)
        self._seen.update(dict.fromkeys(asked))
        self._pending.update(dict.fromkeys(asked))
        asked = [drawn.get(tokens, tokens) for tokens in asked]
        return asked + (self._policy.ask(n - len(asked)) if len(asked) < n else [])

    def tell(self, scored: Scored) -> None:
        """Remember the batch for the model and let the policy learn from it."""
        batch = checked_scored(scored, self.arities)
        self._policy.tell(batch)
        for tokens, score in batch:
            known = self._canonical(tokens)
            self._trials.append((known, score))
            self._seen[known] = None
            self._pending.pop(known, None)
            self._model = None

    def warm_up(self, score: Callable[[Tokens], float], *, enough: float) -> float:
        """Of the policy; the model hears of trials alone (see CanWarmUp)."""
        return self._policy.warm_up(score, enough=enough)

    def keep_within(self, score: Callable[[Tokens], float], *, least: float) -> None:
        """Proposals and children that score less are passed over (see CanKeepWithin)."""
        self._score, self._least = Remembered(score), least

    def merge_aliases(self, canonical: Callable[[Tokens], Tokens]) -> None:
        """For the model, and for what counts as new (see CanMergeAliases)."""
        self._canonical = Remembered(canonical)

    def _within(self, new: list[Tokens], n: int) -> Callable[[Tokens], bool]:
        """Tells what is within the bound, or comes as near as ``n`` of the new proposals do."""
        nearest = nlargest(n, map(self._score, new))
        least = min([self._least, *nearest[n - 1 :]])
        return lambda tokens: self._score(tokens) >= least

    def choice_probabilities(self) -> list[list[float]]:
        """Of the policy before screening (see HasPolicy)."""
        return self._policy.choice_probabilities()

    def _screened(
        self, proposed: list[Tokens], n: int, *, within: Callable[[Tokens], bool]
    ) -> list[Tokens]:
        """The best of the proposals and of their children; fewer than ``n`` if few are new."""
        trials = that_count(self._trials)
        if self._model is None:
            self._model = fit(self.arities, [t for t, _ in trials], [value for _, value in trials])
        model = self._model
        tried = list(dict.fromkeys(tokens for tokens, _ in trials))
        tried = list(filter(within, tried)) or tried  # none is: then from what there is
        promise = upper_bounds(model, [*tried, *proposed])
        for _ in range(ROUNDS):
            parents = nlargest(PARENTS, promise, key=promise.__getitem__)
            children = [
                self._canonical(mutated(self._rng.choice(parents), self.arities, rng=self._rng))
                for _ in range(self._proposals)
            ]
            distinct = [c for c in dict.fromkeys(children) if c not in promise and within(c)]
            promise |= upper_bounds(model, distinct)
        new = [tokens for tokens in promise if tokens not in self._seen]
        return most_improving(
            model,
            nlargest(max(SHORTLIST, 2 * n), new, key=promise.__getitem__),
            n=n,
            best=[
                *nlargest(PARENTS, tried, key=promise.__getitem__),
                *islice(reversed(self._pending), MOST_PENDING),
            ],
            generator=torch.Generator().manual_seed(self._rng.getrandbits(63)),
        )

    def _rest_of_space(self, count: int, *, besides: list[Tokens]) -> list[Tokens]:
        """Up to ``count`` of the space's unseen sequences: within the bound first, then in their own order.

        Only the last of a space come this way: proposals gave fewer than were asked for.
        """
        if not count:
            return []
        unseen = (tokens for tokens in self._unseen() if tokens not in besides)
        return nlargest(count, islice(unseen, LOOKED_AT), key=self._score)

    def _unseen(self) -> Iterator[Tokens]:
        for place in range(self._walked, prod(self.arities)):
            tokens = nth(place, self.arities)
            if tokens not in self._seen and self._canonical(tokens) == tokens:
                yield tokens
            elif place == self._walked:
                self._walked += 1

    def state_dict(self) -> dict[str, Any]:
        """See Controller."""
        content = {
            "policy": self._policy.state_dict(),
            "rng": self._rng.getstate(),
            "trials": self._trials,
            "seen": list(self._seen),
            "pending": list(self._pending),
            "walked": self._walked,
        }
        return stamped(self._stamp, content)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See Controller."""
        content = checked_state(state, self._stamp)
        self._policy.load_state_dict(content["policy"])
        self._rng.setstate(content["rng"])
        self._trials = content["trials"]
        self._seen = dict.fromkeys(content["seen"])
        self._pending = dict.fromkeys(content["pending"])
        self._model = None
        self._walked = content["walked"]


class Remembered(dict[Tokens, Any]):
    """A function whose values are kept, until there are too many; can be pickled if the function can."""

    def __init__(self, function: Callable[[Tokens], Any]) -> None:
        super().__init__()
        self._function = function

    def __call__(self, tokens: Tokens) -> Any:
        """Its value."""
        return self[tokens]

    def __missing__(self, tokens: Tokens) -> Any:
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        value = self[tokens] = self._function(tokens)
        return value


def itself(tokens: Tokens) -> Tokens:
    """The canonical form where no two sequences are one."""
    return tokens


def unbounded(_tokens: Tokens) -> float:
    """The score where nothing is out of the question."""
    return 0.0


def nth(place: int, arities: tuple[int, ...]) -> Tokens:
    """The sequence at a place in lexicographic order.

    >>> nth(4, (2, 3))  # (0, 0), (0, 1), (0, 2), (1, 0), ...
    (1, 1)
    """
    tokens = []
    for arity in reversed(arities):
        place, token = divmod(place, arity)
        tokens.append(token)
    return tuple(reversed(tokens))


def upper_bounds(model: Surrogate, tokens: Sequence[Tokens]) -> dict[Tokens, float]:
    """How good each sequence may be: its estimate and one standard deviation."""
    distinct = list(dict.fromkeys(tokens))
    mean, std = model.estimate(distinct)
    return {t: m + s for t, m, s in zip(distinct, mean, std, strict=True)}


def most_improving(
    model: Surrogate,
    candidates: Sequence[Tokens],
    *,
    n: int,
    best: Sequence[Tokens],
    generator: torch.Generator,
) -> list[Tokens]:
    """Up to ``n`` candidates whose best is expected to exceed the present best the most.

    One candidate after another: the next is the one that adds most to those before it, so that a
    batch does not hold the same idea ten times. The present best is as uncertain as the rest:
    each sample of the true function decides which of ``best`` it is.

    Args:
        model: what is known of the reward.
        candidates: most promising first, which decides where no sample shows an improvement.
        n: size of the batch.
        best: sequences tried, or being tried, of which one is the best.
        generator: of the samples.
    """
    if not candidates:
        return []
    functions = model.sample([*candidates, *best], SAMPLES, generator=generator)
    values, record = functions[: len(candidates)], functions[len(candidates) :].amax(dim=0)
    chosen: list[int] = []
    for _ in range(min(n, len(candidates))):
        gain = (values - record).clamp(min=0.0).mean(dim=1)  # (candidates,)
        gain[chosen] = -1.0
        chosen.append(int(gain.argmax()))
        record = torch.maximum(record, values[chosen[-1]])  # (samples,)
    return [candidates[index] for index in chosen]
