"""Screened REINFORCE: a surrogate ranks many proposals, and only the best are trained.

    ask:   proposals ~ p_theta, then a few rounds of mutations of the most promising sequences so far;
           of all these the batch of highest expected improvement (surrogate.py, acquisition.py)
    tell:  a step of REINFORCE on the trained batch (reinforce.py)

The step treats the batch as drawn from the policy, although screening biases it towards the surrogate's
favourites: the policy follows good networks rather than the gradient of its own expected reward.

Training a network takes minutes, evaluating the surrogate microseconds. The mutations matter in a large
space: with 42 decisions an early policy rarely proposes a neighbour of the best known network.

Ranking by a model of all trials so far: PNAS (Liu et al. 2018), BANANAS (White et al. 2021).

Start with ``Screened.ask``.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import nlargest
from itertools import islice
from math import prod
from typing import Any

import torch

from controllers.acquisition import most_improving, upper_bounds
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
from controllers.evolution import mutate
from controllers.memo import Memo
from controllers.reinforce import Reinforce
from controllers.saved_policy import SavedPolicy
from controllers.surrogate import Surrogate, fit, recent_and_best
from search_spaces.errors import InputError

ROUNDS = 4  # of mutations
PARENTS = 10  # per round
SHORTLIST = 400  # most promising sequences whose expected improvement is computed
MOST_PENDING = 100  # latest sequences in flight that count as incumbents
LOOKED_AT = 1000  # unseen sequences that are scored when proposals are too few


class Screened:
    """REINFORCE with screening: only the most promising proposals are asked for, none twice."""

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
        """Draw the initial policy.

        Args:
            arities: number of choices of each decision.
            seed: of everything drawn.
            proposals: sequences drawn from the policy per batch, and mutations per round.
            warmup: trials without screening: distinct sequences of the initial policy.
            learning_rate: see ``Reinforce``.
            entropy_weight: see ``Reinforce``.

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
        # All in canonical form; the policy learns from the sequences as drawn.
        self._trials: list[tuple[Tokens, float]] = []
        self._seen: dict[Tokens, None] = {}  # asked or told, in order
        self._pending: dict[Tokens, None] = {}  # asked and not yet told
        self._walked = 0  # in lexicographic order, all sequences before this one have been seen
        self._model: Surrogate | None = None  # fitted lazily
        self._canonical: Callable[[Tokens], Tokens] = identity
        self._score: Callable[[Tokens], float] = unbounded
        self._least = 0.0

    def ask(self, n: int) -> list[Tokens]:
        """Return the ``n`` most promising proposals, distinct and new as long as the space has new ones.

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
            asked = self._screen(list(filter(within, proposed)), n, within=within)
        rest = [tokens for tokens in new if tokens not in asked] if len(asked) < n else []
        asked += nlargest(n - len(asked), rest, key=self._score)
        asked += self._rest_of_space(n - len(asked), exclude=asked)
        self._seen.update(dict.fromkeys(asked))
        self._pending.update(dict.fromkeys(asked))
        asked = [drawn.get(tokens, tokens) for tokens in asked]
        return asked + (self._policy.ask(n - len(asked)) if len(asked) < n else [])

    def tell(self, scored: Scored) -> None:
        """Store the batch for the surrogate, and update the policy."""
        batch = checked_scored(scored, self.arities)
        self._policy.tell(batch)
        for tokens, score in batch:
            known = self._canonical(tokens)
            self._trials.append((known, score))
            self._seen[known] = None
            self._pending.pop(known, None)
            self._model = None

    def warm_up(self, score: Callable[[Tokens], float], *, enough: float) -> float:
        """Warm up the policy; the surrogate learns from trials only (see CanWarmUp)."""
        return self._policy.warm_up(score, enough=enough)

    def saved_policy(self) -> SavedPolicy:
        """Return the policy, which ``Reinforce`` can begin with too (see CanTransfer)."""
        return self._policy.saved_policy()

    def begin_with(self, policy: SavedPolicy) -> None:
        """Take over a policy; the surrogate learns from this search's trials only (see CanTransfer)."""
        self._policy.begin_with(policy)

    def constrain(self, score: Callable[[Tokens], float], *, least: float) -> None:
        """Skip proposals and mutations that score less (see CanConstrain)."""
        self._score, self._least = Memo(score), least

    def merge_aliases(self, canonical: Callable[[Tokens], Tokens]) -> None:
        """Merge aliases in the surrogate and in what counts as new (see CanMergeAliases)."""
        self._canonical = Memo(canonical)

    def _within(self, new: list[Tokens], n: int) -> Callable[[Tokens], bool]:
        """Return the constraint, relaxed so that ``n`` of the new proposals satisfy it."""
        nearest = nlargest(n, map(self._score, new))
        least = min([self._least, *nearest[n - 1 :]])
        return lambda tokens: self._score(tokens) >= least

    def choice_probabilities(self) -> list[list[float]]:
        """Return those of the policy before screening (see HasPolicy)."""
        return self._policy.choice_probabilities()

    def _screen(
        self, proposed: list[Tokens], n: int, *, within: Callable[[Tokens], bool]
    ) -> list[Tokens]:
        """Choose among proposals and mutations; fewer than ``n`` if few are new."""
        trials = recent_and_best(self._trials)
        if self._model is None:
            self._model = fit(self.arities, [t for t, _ in trials], [value for _, value in trials])
        model = self._model
        tried = list(dict.fromkeys(tokens for tokens, _ in trials))
        tried = list(filter(within, tried)) or tried  # if none is, use them all
        promise = upper_bounds(model, [*tried, *proposed])
        for _ in range(ROUNDS):
            parents = nlargest(PARENTS, promise, key=promise.__getitem__)
            children = [
                self._canonical(mutate(self._rng.choice(parents), self.arities, rng=self._rng))
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

    def _rest_of_space(self, count: int, *, exclude: list[Tokens]) -> list[Tokens]:
        """Return up to ``count`` unseen sequences of the space, by constraint score, then in order.

        Needed only at the end of a small space, when proposals yield too few new sequences.
        """
        if not count:
            return []
        unseen = (tokens for tokens in self._unseen() if tokens not in exclude)
        return nlargest(count, islice(unseen, LOOKED_AT), key=self._score)

    def _unseen(self) -> Iterator[Tokens]:
        for index in range(self._walked, prod(self.arities)):
            tokens = nth_sequence(index, self.arities)
            if tokens not in self._seen and self._canonical(tokens) == tokens:
                yield tokens
            elif index == self._walked:
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


def identity(tokens: Tokens) -> Tokens:
    """Return the canonical form in a space without aliases."""
    return tokens


def unbounded(_tokens: Tokens) -> float:
    """Return the constraint score without a constraint."""
    return 0.0


def nth_sequence(index: int, arities: tuple[int, ...]) -> Tokens:
    """Return the sequence at an index in lexicographic order.

    >>> nth_sequence(4, (2, 3))  # (0, 0), (0, 1), (0, 2), (1, 0), ...
    (1, 1)
    """
    tokens = []
    for arity in reversed(arities):
        index, token = divmod(index, arity)
        tokens.append(token)
    return tuple(reversed(tokens))
