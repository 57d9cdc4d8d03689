"""Other libraries' searches, as controllers: Optuna's samplers, BoTorch, and evolution as in its paper.

`pip install -e '.[benchmarks]'` installs Optuna and BoTorch. As with ours, a whole batch is
proposed before its first score is reported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from benchmarks.controllers.botorch_peer import BoTorchPeer
from controllers import Tokens, make_controller
from controllers.controller import Scored


class Peer(Protocol):
    """What a comparison needs of a controller."""

    def ask(self, n: int) -> list[Tokens]:
        """Propose `n` sequences."""
        ...

    def tell(self, scored: Scored) -> None:
        """Learn from a batch."""
        ...


class OptunaPeer:
    """A sampler of Optuna over categorical decisions.

    Args:
        arities: Number of choices of each decision.
        seed: Random seed.
        sampler: Makes the sampler from a seed.
    """

    def __init__(self, arities: Sequence[int], *, seed: int, sampler: Callable[[int], Any]) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(direction="maximize", sampler=sampler(seed))
        self._choices = {
            f"{place:03d}": optuna.distributions.CategoricalDistribution(tuple(range(arity)))
            for place, arity in enumerate(arities)
        }
        self._asked: dict[Tokens, list[Any]] = defaultdict(list)

    def ask(self, n: int) -> list[Tokens]:
        """Ask the study for `n` trials."""
        proposed = []
        for _ in range(n):
            trial = self._study.ask(self._choices)
            tokens = tuple(trial.params[name] for name in self._choices)
            self._asked[tokens].append(trial)
            proposed.append(tokens)
        return proposed

    def tell(self, scored: Scored) -> None:
        """Tell the study the values of trials that it was asked for."""
        for tokens, score in scored:
            self._study.tell(self._asked[tokens].pop(0), score)


def _tpe(seed: int, *, multivariate: bool) -> Any:
    import optuna

    # Without a constant liar the trials of a batch would resemble each other.
    return optuna.samplers.TPESampler(seed=seed, multivariate=multivariate, constant_liar=True)


def _gp(seed: int) -> Any:
    import optuna

    return optuna.samplers.GPSampler(seed=seed)


def _evolution(arities: Sequence[int], *, seed: int) -> Peer:
    """Regularized evolution with a population of 100 and tournaments of 25, as in the paper and in NNI."""
    options = {"population_size": 100, "sample_size": 25}
    return make_controller("evolution", arities, seed=seed, options=options)


PEERS: dict[str, Callable[..., Peer]] = {
    "optuna-tpe": partial(OptunaPeer, sampler=partial(_tpe, multivariate=False)),
    "optuna-tpe-multivariate": partial(OptunaPeer, sampler=partial(_tpe, multivariate=True)),
    "optuna-gp": partial(OptunaPeer, sampler=_gp),
    "botorch": BoTorchPeer,
    "evolution-100": _evolution,
}


def make_peer(name: str, arities: Sequence[int], *, seed: int) -> Peer:
    """Return one of `PEERS`, or one of our controllers."""
    if name in PEERS:
        return PEERS[name](arities, seed=seed)
    return make_controller(name, arities, seed=seed)
