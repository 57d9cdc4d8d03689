"""How a run searched, a sentence a step: what chose its networks, how they trained, what was returned."""

from __future__ import annotations

from nas.formatting import counted
from nas.searching.estimates import LEAST_TRIALS, distinct
from nas.searching.record import RunRecord
from nas.training.recipe import Recipe

CONTROLLERS = {
    "Screened": "screened REINFORCE (a policy proposes, a model of all results so far chooses)",
    "Reinforce": "plain REINFORCE",
    "RegularizedEvolution": "regularized evolution",
    "Uniform": "uniform sampling",
}
"""In words, by class."""


def procedure(run: RunRecord) -> list[str]:
    """What was used, in the order of use.

    Args:
        run: A search's, also one that has not ended.
    """
    budget, training = run.metadata["budget"], run.metadata.get("training", {})
    chooser = run.metadata.get("controller", "the controller")
    asked = counted(len(run.candidates), "network")
    steps = [
        f"{CONTROLLERS.get(chooser, chooser)} asked for {asked} in batches of {budget['batch_size']}"
    ]
    if run.metadata.get("latency_warmup"):
        steps.insert(0, "latency estimated from MAdds, to start within the target")
    if training:
        steps += _trainings(run)
    if finalists := run.again("final"):
        targets_ms = [device.target_ms for device in run.devices]
        worth = "accuracy" if any(trial.within(targets_ms) for trial in finalists) else "reward"
        told = f"estimated {worth}" if len(distinct(run.good)) >= LEAST_TRIALS else worth
        longer = f"{training['finals_factor']:g} times as long" if training else "longer"
        steps.append(
            f"{counted(len(finalists), 'finalist')} of highest {told}, those within the target first, "
            f"trained {longer} from new weights{_at_deployed_size(run)}"
        )
    if repeats := len(run.again("repeat")):
        steps.append(f"{counted(repeats, 'network')} trained twice told the noise")
    return steps


def _at_deployed_size(run: RunRecord) -> str:
    """What a finalist's training adds to a trial's, where they are of two sizes."""
    part = run.metadata.get("training", {}).get("deployed_part")
    if part is None or not run.sizes.differ:
        return ""
    return f", the last {part:.0%} of the steps at {run.sizes.deployed_px} px"


def _trainings(run: RunRecord) -> list[str]:
    """How a trial trained, as far as that is known of a caller's own way."""
    training, data, steps = run.metadata["training"], run.metadata["data"], list[str]()
    recipe = Recipe.model_validate(training["recipe"])
    by_recipe = training.get("by_recipe", True)
    if by_recipe:
        length = counted(recipe.total_steps(data["train"]), "step")
        steps.append(f"each trained {length} of {recipe.batch_size} images at {data['px']} px")
    if (fidelity := training.get("fidelity")) is not None:
        steps.append(
            f"first for {fidelity['first']:.0%} of that; {len(run.trials)} of {len(run.rungs)}, the better "
            "of each batch, then in full"
        )
    if sources := training.get("warm_start"):
        steps.append(f"from the weights of the most alike of {counted(len(sources), 'network')}")
    if by_recipe and recipe.average_fraction:
        steps.append(
            f"evaluated with the mean of the last {recipe.average_fraction:.0%} of weights"
        )
    return steps
