"""Train one network and evaluate it."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data.images import Batch, Dataset, Split, require_batch
from nas.training.allocator import keep_freed_memory
from nas.training.augment import augment, normalize
from nas.training.averaging import MeanWeights, statistics_inputs
from nas.training.batch_norm import unbiased_statistics
from nas.training.evaluate import Score, evaluate
from nas.training.isolation import dropout_seed, threads
from nas.training.optimizer import adamw, zero_residual_branches
from nas.training.recipe import Recipe, one_cycle

LOSS_WINDOW = 50  # steps over which a training loss is averaged and checked


class Diverged(RuntimeError):  # noqa: N818 - named for the event
    """The loss is no longer a finite number."""


@dataclass(frozen=True)
class Progress:
    """Progress of a training.

    Attributes:
        step: Finished steps.
        total_steps: All steps.
        train_loss: Mean over the last steps.
        accuracy: Held-out top-1 accuracy, 0..1, if it was just evaluated, else None.
    """

    step: int
    total_steps: int
    train_loss: float
    accuracy: float | None = None


@dataclass(frozen=True)
class TrainResult:
    """Result of a training.

    Attributes:
        accuracy: Top-1 accuracy on val, 0..1.
        loss: Mean cross entropy on val.
        train_loss: Mean over the last steps, with augmentation and label smoothing.
        images_per_s: Training images per second, without evaluation.
        train_s: Seconds of training, without evaluation.
    """

    accuracy: float
    loss: float
    train_loss: float
    images_per_s: float
    train_s: float


@dataclass(frozen=True)
class FirstPart:
    """The first steps of a training, on the same images at another resolution.

    Attributes:
        split: The training images at that resolution.
        steps: Number of the recipe's steps that use them.
    """

    split: Split
    steps: int


def train(
    module: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    first: FirstPart | None = None,
    device: torch.device | str = "cpu",
    from_scratch: bool = True,
    new_statistics: bool | None = None,
    evaluate_every: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> TrainResult:
    """Train `module` in place, and evaluate it on val.

    The caller has initialized the weights; `seed` determines order, augmentation and dropout. On a CPU,
    the same seed and thread count give the same weights. Afterwards the module is on `device` and in eval
    mode. With `recipe.average_fraction` it has, and is evaluated with, averaged weights; an evaluation
    before averaging begins uses the weights of that step.

    Args:
        module: float32 (N, 3, H, W) -> logits (N, classes).
        dataset: Its train and val splits are used, its test split is not.
        recipe: Training settings.
        seed: Random seed.
        first: Images of the first steps, if they have another resolution. Batch norm statistics of a new
            module then come from the remaining steps only.
        device: Where to train.
        from_scratch: False if weights are inherited: residual branches are not initialized to zero.
        new_statistics: Whether to discard the module's batch norm statistics; by default only when
            training from scratch.
        evaluate_every: Steps between evaluations on val; None evaluates once, at the end.
        on_progress: Called every few steps; may stop the training by raising.

    Raises:
        InputError: The training split is smaller than a batch.
        Diverged: The loss became NaN or infinite.
    """
    require_batch(dataset, recipe.batch_size)
    keep_freed_memory()
    report = on_progress or _nobody
    device = torch.device(device)
    # Inherited statistics are worth keeping; a new network's are not.
    anew = from_scratch if new_statistics is None else new_statistics
    statistics = unbiased_statistics(module if anew else nn.Identity())
    with threads(recipe.threads), dropout_seed(seed, device), statistics as weigh:
        if from_scratch and recipe.zero_init_residual:
            zero_residual_branches(module)
        run = _Run(module, dataset, recipe, seed=seed, first=first, device=device)
        for step in range(1, run.total_steps):
            weigh(_at_this_size(step - 1, first))
            run.advance()
            evaluates = evaluate_every is not None and step % evaluate_every == 0
            if evaluates or step % run.report_every == 0:
                report(run.progress(run.score() if evaluates else None))
        weigh(_at_this_size(run.total_steps - 1, first))
        run.advance()
        score = run.score()
        report(run.progress(score))
        return run.finish(score)


def _at_this_size(steps_done: int, first: FirstPart | None) -> int:
    """Return the steps done at the current resolution: a change of it resets batch norm statistics."""
    return steps_done if first is None or steps_done < first.steps else steps_done - first.steps


def _nobody(_: Progress) -> None:
    """Ignore progress."""


class _Run:
    """The state of one training, and its duration."""

    def __init__(
        self,
        module: nn.Module,
        dataset: Dataset,
        recipe: Recipe,
        *,
        seed: int,
        first: FirstPart | None,
        device: torch.device,
    ) -> None:
        module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._module = module.train()
        self._dataset = dataset
        self._recipe = recipe
        self._device = device
        self._optimizer = adamw(
            module, learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.total_steps = recipe.total_steps(len(dataset.train))
        self.report_every = min(LOSS_WINDOW, math.ceil(self.total_steps / 100))
        # Losses stay on the device: reading each one would make a GPU wait for the CPU every step.
        self._losses = torch.zeros(self.total_steps, device=device)
        shuffling = torch.Generator().manual_seed(seed)
        self._batches = _batches(dataset.train, recipe.batch_size, shuffling, first)
        # Two generators with one seed would correlate augmentation and order.
        self._own_seed = int(torch.randint(2**62, (), generator=shuffling))
        self._augmenting = torch.Generator(device).manual_seed(self._own_seed)
        self._mean: MeanWeights | None = None
        self._averaged_from = self.total_steps - recipe.averaged_steps(self.total_steps) + 1
        self._step = 0
        self.train_s = 0.0

    def advance(self) -> None:
        """Take one step."""
        started = time.perf_counter()
        rate = self._recipe.learning_rate * one_cycle(
            self._step, self.total_steps, warmup_fraction=self._recipe.warmup_fraction
        )
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        loss = self._loss(*next(self._batches))
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._losses[self._step] = loss.detach()
        self._step += 1
        if self._averaged_from <= self._step:
            self._average()
        self.train_s += time.perf_counter() - started

    def _average(self) -> None:
        if self._mean is None:
            self._mean = MeanWeights(self._module)
        else:
            self._mean.add(self._module)

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        changed = augment(self._moved(images), self._recipe.augment, generator=self._augmenting)
        inputs = normalize(changed, mean=self._dataset.mean, std=self._dataset.std)
        with self._autocast():
            logits = self._module(inputs)  # (N, classes)
        return functional.cross_entropy(
            logits.float(), self._moved(labels), label_smoothing=self._recipe.label_smoothing
        )

    def _autocast(self) -> torch.autocast:
        on_cuda = self._device.type == "cuda"
        return torch.autocast("cuda", torch.bfloat16, enabled=self._recipe.autocast and on_cuda)

    def _moved(self, tensor: Tensor) -> Tensor:
        # Only copies from pinned memory overlap with a GPU's work.
        pinned = tensor.pin_memory() if self._device.type == "cuda" else tensor
        return pinned.to(self._device, non_blocking=True)

    def progress(self, score: Score | None) -> Progress:
        """Return the current progress.

        Raises:
            Diverged: A loss since the last call, or that on val, is NaN or infinite.
        """
        started = time.perf_counter()
        window = self._losses[max(0, self._step - LOSS_WINDOW) : self._step]
        train_loss = window.mean().item()
        self.train_s += (
            time.perf_counter() - started
        )  # on a GPU this includes waiting for the steps
        worst = train_loss if score is None or math.isfinite(score.loss) else score.loss
        if not math.isfinite(worst):
            raise Diverged(
                f"loss is {worst} at step {self._step} of {self.total_steps} with learning_rate "
                f"{self._recipe.learning_rate}: use a lower rate"
            )
        accuracy = None if score is None else score.accuracy
        return Progress(self._step, self.total_steps, train_loss, accuracy)

    def score(self) -> Score:
        """Evaluate on val."""
        if self._device.type == "cuda":
            started = time.perf_counter()
            torch.cuda.synchronize(
                self._device
            )  # count the steps' work as training, not evaluation
            self.train_s += time.perf_counter() - started
        return evaluate(
            self._network(),
            self._dataset.val,
            mean=self._dataset.mean,
            std=self._dataset.std,
            batch_size=self._recipe.eval_batch_size,
            device=self._device,
            autocast=self._recipe.autocast,
        )

    def _network(self) -> nn.Module:
        """Return the network to evaluate: the module, or one with averaged weights if there are some."""
        if self._mean is None:
            return self._module
        inputs = statistics_inputs(
            self._dataset, self._recipe, seed=self._own_seed + 1, device=self._device
        )
        with self._autocast():
            return self._mean.network(inputs, device=self._device)

    def finish(self, score: Score) -> TrainResult:
        """Return the result; leave the module in eval mode with the evaluated weights."""
        if self._mean is not None:
            self._mean.copy_to(self._module)
        self._module.eval()
        return TrainResult(
            accuracy=score.accuracy,
            loss=score.loss,
            train_loss=self.progress(score).train_loss,
            images_per_s=self._step * self._recipe.batch_size / self.train_s,
            train_s=self.train_s,
        )


def _batches(
    split: Split, batch_size: int, generator: torch.Generator, first: FirstPart | None
) -> Iterator[Batch]:
    if first is not None:
        yield from islice(_endless(first.split, batch_size, generator), first.steps)
    yield from _endless(split, batch_size, generator)


def _endless(split: Split, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
    while True:
        yield from split.batches(batch_size, generator=generator, drop_last=True)
