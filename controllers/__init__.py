"""Controllers: search policies that decide which architectures to try next.

Every controller implements ``Controller`` in ``controller.py``: ``ask(n)`` for token sequences, then
``tell`` their scores. Read that file first, then ``reinforce.py`` (with ``policy.py``, the RNN, and
``baseline.py``). The default, ``screened.py``, trains only the most promising proposals according to
``surrogate.py``. ``uniform.py`` and ``evolution.py`` are the baselines.

A search is a loop of two calls. Here a sequence of three decisions, with 4, 2 and 3 choices, scores its
sum, at most 6. To minimize, tell the negative. A failed trial scores 0, or the lowest score so far if that
is negative. Large batches cost less per trial than sequences asked for one by one.

>>> controller = make_controller("screened", (4, 2, 3), seed=0)
>>> trials = []
>>> for _ in range(3):
...     scored = [(tokens, float(sum(tokens))) for tokens in controller.ask(5)]
...     controller.tell(scored)
...     trials += scored
>>> max(trials, key=lambda trial: trial[1])
((3, 1, 2), 6.0)

Plug-ins register through entry points of the group ``mobile_nas.controllers``; test yours with
``check_controller``.
"""

import inspect
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from controllers.checks import checked_seed
from controllers.conformance import check_controller
from controllers.controller import (
    CanConstrain,
    CanMergeAliases,
    CanTransfer,
    CanWarmUp,
    Controller,
    HasPolicy,
    Tokens,
)
from controllers.saved_policy import SavedPolicy
from search_spaces.errors import InputError
from search_spaces.nearest import did_you_mean

__all__ = [
    "CONTROLLERS",
    "CanConstrain",
    "CanMergeAliases",
    "CanTransfer",
    "CanWarmUp",
    "Controller",
    "HasPolicy",
    "SavedPolicy",
    "Tokens",
    "check_controller",
    "make_controller",
]

GROUP = "mobile_nas.controllers"

# Import paths instead of classes: `import controllers` must not load torch.
CONTROLLERS: Mapping[str, str] = {
    "rnn": "controllers.reinforce:Reinforce",
    "uniform": "controllers.uniform:Uniform",
    "evolution": "controllers.evolution:RegularizedEvolution",
    "screened": "controllers.screened:Screened",
}

OTHER_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("random", "grid"), "uniform"),
    **dict.fromkeys(("rl", "reinforce", "ppo", "lstm", "policy"), "rnn"),
    **dict.fromkeys(("ea", "genetic", "ga", "evolutionary", "nsga2"), "evolution"),
    **dict.fromkeys(("bo", "bayes", "bayesian", "tpe", "surrogate"), "screened"),
}
"""Our controller by common names of similar ones."""


def make_controller(
    name: str,
    arities: Sequence[int],
    *,
    seed: int,
    options: Mapping[str, object] = MappingProxyType({}),
) -> Controller:
    """Create a controller by name.

    Args:
        name: a key of ``CONTROLLERS`` or of an entry point in the group ``mobile_nas.controllers``,
            which must be callable as ``(arities, *, seed, **options)``.
        arities: number of choices of each decision.
        seed: of everything random in the controller, 0 to 2**32 - 1.
        options: further keyword arguments of the controller.

    Raises:
        InputError: unknown name or option, or a value out of range.

    >>> make_controller("uniform", (2, 2), seed=0, options={"tempo": 3})
    Traceback (most recent call last):
        ...
    search_spaces.errors.InputError: unknown option tempo of controller uniform: it has no options
    """
    make = _find(name)
    known = _option_names(make)
    for option in options:
        if known is not None and option not in known:
            choices = f"choose from {', '.join(known)}" if known else "it has no options"
            raise InputError(f"unknown option {option} of controller {name}: {choices}")
    controller: Controller = make(tuple(arities), seed=checked_seed(seed), **options)
    return controller


def _find(name: str) -> Any:
    if name in CONTROLLERS:
        return EntryPoint(name=name, value=CONTROLLERS[name], group=GROUP).load()
    plugins = {plugin.name: plugin for plugin in entry_points(group=GROUP)}
    if name not in plugins:
        known = ", ".join([*CONTROLLERS, *sorted(plugins)])
        hint = did_you_mean(OTHER_NAMES.get(name.lower(), name), [*CONTROLLERS, *plugins])
        raise InputError(f"unknown controller {name}: choose from {known}{hint}")
    return plugins[name].load()


def _option_names(make: Any) -> list[str] | None:
    """Return the names of its options; None if it accepts any."""
    parameters = inspect.signature(make).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "seed"]
