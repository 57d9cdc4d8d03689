"""Describe how a run searched: which controller proposed networks, how they were trained and compared."""

from __future__ import annotations

from nas.formatting import counted
from nas.searching.results.estimates import LEAST_TRIALS, distinct
from nas.searching.results.metadata import TrainingMetadata
from nas.searching.results.record import RunRecord

CONTROLLERS = {
    "Screened": "screened REINFORCE (a policy proposes, a model of all results so far chooses)",
    "Reinforce": "plain REINFORCE",
    "RegularizedEvolution": "regularized evolution",
    "Uniform": "uniform sampling",
}
"""Names for people, by class."""


def procedure(run: RunRecord) -> list[str]:
    """Return the parts of the procedure, in order.

    Args:
        run: A search, finished or not.
    """
    budget, training = run.metadata.budget, run.metadata.training
    chooser = run.metadata.controller or "the controller"
    asked = counted(len(run.candidates), "network")
    steps = [
        f"{CONTROLLERS.get(chooser, chooser)} proposed {asked} in batches of {budget.batch_size}"
    ]
    if run.metadata.latency_warmup:
        steps.insert(
            0, "policy warmed up with latency estimates from MAdds, to start near the target"
        )
    if run.metadata.policy is not None:
        steps.insert(0, f"policy begun with that of run {run.metadata.policy.run}")
    if training is not None:
        steps += _trainings(run, training)
    if finalists := run.again("final"):
        targets_ms = [device.target_ms for device in run.devices]
        worth = run.metric if any(trial.within(targets_ms) for trial in finalists) else "reward"
        told = f"estimated {worth}" if len(distinct(run.good)) >= LEAST_TRIALS else worth
        longer = f"{training.finals_factor:g} times as long" if training else "longer"
        parent = run.metadata.parent
        of_curve = min(parent.curve, len(finalists) - 1) if parent is not None else 0
        curve = f", and {of_curve} at further latencies," if of_curve else ""
        steps.append(
            f"{counted(len(finalists) - of_curve, 'finalist')} with the highest {told}, those within the "
            f"target first,{curve} trained {longer} from {_beginning(run)}{_at_deployed_size(run)}"
        )
    if repeats := len(run.again("repeat")):
        steps.append(f"{counted(repeats, 'network')} trained twice to estimate the noise")
    return steps


def _beginning(run: RunRecord) -> str:
    training = run.metadata.training
    if training is not None and training.weights_from is not None:
        return "the pretrained network's weights"
    return "new weights" if run.metadata.parent is None else "the parent's weights"


def _at_deployed_size(run: RunRecord) -> str:
    """Describe the end of a finalist's training, if trials have another image size."""
    training = run.metadata.training
    if training is None or training.deployed_part is None or not run.sizes.differ:
        return ""
    return f", the last {training.deployed_part:.0%} of the steps at {run.sizes.deployed_px} px"


def _trainings(run: RunRecord, training: TrainingMetadata) -> list[str]:
    """Describe how trials were trained; little is known of a user's own evaluator."""
    recipe, data, steps = training.recipe, run.metadata.data, list[str]()
    if training.by_recipe:
        length = counted(recipe.total_steps(data.train), "step")
        at = "its own size" if run.sizes.searched else f"{data.px} px"
        steps.append(f"each trained for {length} of {recipe.batch_size} images at {at}")
    if (parent := run.metadata.parent) is not None:
        taught = ", and taught by it" if parent.teacher_weight else ""
        steps.append(f"initialized from the parent's weights{taught}")
    if training.fidelity is not None:
        steps.append(
            f"first for {training.fidelity.first:.0%} of that; the best of each batch "
            f"({len(run.trials)} of {len(run.rungs)}) then at full length"
        )
    if sources := training.warm_start:
        steps.append(
            f"initialized from the most similar of {counted(len(sources), 'trained network')}"
        )
    if training.weights_from is not None:
        steps.append("initialized from a pretrained network's weights, where they overlap")
    if training.by_recipe and recipe.average_fraction:
        steps.append(
            f"evaluated with weights averaged over the last {recipe.average_fraction:.0%} of steps"
        )
    return steps
