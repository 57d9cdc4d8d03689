"""Train one network and evaluate it."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from nas.data.images import Dataset, require_batch
from nas.data.share import WHOLE, Share
from nas.training.batch_norm import unbiased_statistics
from nas.training.data_parallel.layers import whole_batch_layers
from nas.training.isolation import layer_settings, restored_generators, threads
from nas.training.keeping import Keeper as Keeper
from nas.training.machine.allocator import keep_freed_memory
from nas.training.machine.memory import is_out_of_memory, what_fits
from nas.training.optimization.optimizer import zero_residual_branches
from nas.training.order import FirstPart as FirstPart
from nas.training.progress import BatchTooLarge as BatchTooLarge
from nas.training.progress import Diverged as Diverged
from nas.training.progress import Progress as Progress
from nas.training.progress import TrainResult as TrainResult
from nas.training.recipe import Recipe
from nas.training.run import TrainingRun
from nas.training.teacher import Teacher
from search_spaces.errors import InputError

_log = logging.getLogger(__name__)


def train(
    module: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    first: FirstPart | None = None,
    teacher: Teacher | None = None,
    share: Share = WHOLE,
    keeper: Keeper | None = None,
    device: torch.device | str = "cpu",
    from_scratch: bool = True,
    new_statistics: bool | None = None,
    evaluate_every: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> TrainResult:
    """Train `module` in place, and evaluate it on val.

    The caller has initialized the weights; `seed` determines order, augmentation and dropout. On a CPU,
    the same seed and thread count give the same weights, also if the training is interrupted and resumed
    by a `keeper`. Afterwards the module is on `device` and in eval mode. With `recipe.average_fraction` or
    `recipe.ema_decay` it has, and is evaluated with, averaged weights; an evaluation before averaging
    begins uses the weights of that step.

    Args:
        module: float32 (N, 3, H, W) -> logits (N, classes).
        dataset: Its train and val splits are used, its test split is not.
        recipe: Training settings.
        seed: Random seed.
        first: Images for the first steps, if at another resolution. Batch norm statistics of a new
            module then come from the remaining steps only.
        teacher: A network to learn from beside the labels.
        share: This process's part of every batch, if torch's process group trains the network together:
            all processes call this alike, and end with the same weights.
        keeper: Keeps the state of the training; what it has kept is resumed.
        device: Where to train.
        from_scratch: False if weights are inherited: residual branches are not initialized to zero.
        new_statistics: Whether to discard the module's batch norm statistics; by default only when
            training from scratch.
        evaluate_every: Steps between evaluations on val; None evaluates once, at the end.
        on_progress: Called every few steps; may stop the training by raising.

    Raises:
        InputError: The training split is smaller than a batch.
        Diverged: The loss became NaN or infinite. With a keeper the training first goes back to the last
            state kept, or to its start, and continues at half of the learning rate, once.
        BatchTooLarge: Memory ran out; the message says which batch fits, or that the teacher does not.
    """
    require_batch(dataset, recipe.batch_size)
    keep_freed_memory()
    report = on_progress or _nobody
    device = torch.device(device)
    # Inherited statistics are worth keeping; a new network's are not.
    anew = from_scratch if new_statistics is None else new_statistics
    settings = layer_settings(
        module, dropout=recipe.dropout, batch_norm_decay=recipe.batch_norm_decay
    )
    together = whole_batch_layers(module, share)
    with threads(recipe.threads), restored_generators(device), settings, together:
        if from_scratch and recipe.zero_init_residual:
            zero_residual_branches(module)
        run = TrainingRun(
            module,
            dataset,
            recipe,
            seed=seed,
            first=first,
            device=device,
            teacher=teacher,
            share=share,
        )
        with unbiased_statistics(module if anew else nn.Identity()) as weigh:
            if keeper is None:
                return _steps(run, weigh, report, None, evaluate_every, recipe, share)
            kept = keeper.load()
            begun = copy.deepcopy(run.state()) if kept is None else kept
            if kept is not None:
                run.restore(kept)
            while True:
                try:
                    return _steps(run, weigh, report, keeper, evaluate_every, recipe, share)
                except Diverged as error:
                    if not run.slow_down(keeper.load() or begun):
                        raise
                    _log.warning("%s; going on from step %d at half of the rate", error, run.step)


def _steps(
    run: TrainingRun,
    weigh: Callable[[int], bool],
    report: Callable[[Progress], None],
    keeper: Keeper | None,
    evaluate_every: int | None,
    recipe: Recipe,
    share: Share,
) -> TrainResult:
    """Take all remaining steps, and evaluate the result."""
    while run.step < run.total_steps and not run.stalled:
        settled = weigh(run.steps_at_this_size())
        _advance(run, recipe, share, compiled=settled)
        last = run.step == run.total_steps
        evaluates = last or (evaluate_every is not None and run.step % evaluate_every == 0)
        # Several processes do this at the same steps, but only one of them has a clock to keep by.
        if evaluates or run.step % run.report_every == 0 or run.step % run.epoch_steps == 0:
            progress = run.progress(evaluates=evaluates)
            report(progress)
            if keeper is not None and (last or keeper.due(run.step, run.epoch_steps)):
                keeper.keep(run.state(), progress)
    return run.finish()


def _advance(run: TrainingRun, recipe: Recipe, share: Share, *, compiled: bool) -> None:
    """Take one step.

    Raises:
        BatchTooLarge: Memory ran out.
        InputError: The network cannot be compiled here.
    """
    failed = False
    try:
        run.advance(compiled=compiled)
    except Exception as error:
        if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise InputError(
                f"compile: torch.compile failed: {reason[0]}: leave it out, or install a C++ compiler"
            ) from error
        if not is_out_of_memory(error):
            raise
        failed = True
    if failed:  # the error is gone, and with its traceback the tensors of the step
        untaught = partial(run.try_batch, taught=False) if run.is_taught else None
        raise BatchTooLarge(what_fits(run.try_batch, recipe, share, px=run.px, untaught=untaught))


def _nobody(_: Progress) -> None:
    """Ignore progress."""
