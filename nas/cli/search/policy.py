"""The policy of an earlier search, with which a search's controller begins."""

from __future__ import annotations

from controllers import CanTransfer, Controller
from nas.cli.search.job import open_controller
from nas.searching.config import SearchConfig
from nas.searching.run_policy import FIRST, RunPolicy
from search_spaces import InputError, SearchSpace


def open_policy(config: SearchConfig, controller: Controller) -> RunPolicy | None:
    """Read the policy in the settings of a search by this controller; None without one.

    Raises:
        InputError: There is none, it is damaged, or the controller has no policy.
    """
    chosen = config.controller
    if chosen.policy is None:
        return None
    if not isinstance(controller, CanTransfer):
        raise InputError(
            f"--policy {chosen.policy} is for a controller with a policy, and {chosen.name} has none: "
            "choose rnn or screened, or leave it out"
        )
    return RunPolicy.read(chosen.policy)


def require_policy_fits(policy: RunPolicy | None, config: SearchConfig, space: SearchSpace) -> None:
    """Check that the controller can begin with the policy.

    Raises:
        InputError: It is of another space, or damaged.
    """
    if policy is not None:
        try:
            policy.begin(open_controller(config, space.arities), space)
        except InputError as error:
            raise InputError(f"--policy {config.controller.policy}: {error}") from error


def policy_copy(policy: RunPolicy | None) -> dict[str, bytes]:
    """Return the run's copy of the policy that it begins with, by name."""
    return {} if policy is None else {FIRST: policy.to_bytes()}
