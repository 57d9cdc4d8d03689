"""The state of one training: takes steps, evaluates, and can be kept and resumed."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from nas.data.images import Dataset
from nas.data.share import Share
from nas.randomness import CHANGES, LAYERS, derived_seed
from nas.tasks.outputs import spec_of
from nas.tasks.task import Score
from nas.training.data_parallel.reductions import average_gradients
from nas.training.evaluate import evaluate
from nas.training.isolation import seed_layers
from nas.training.machine.half import autocast, loss_scaler
from nas.training.machine.memory import WITHOUT_TEACHER, is_out_of_memory
from nas.training.objective import Forward, Objective
from nas.training.optimization.averaging import (
    Average,
    MeanWeights,
    MovingWeights,
    statistics_inputs,
)
from nas.training.optimization.optimizer import head_parameters, make_optimizer
from nas.training.optimization.schedule import rate_factor
from nas.training.order import FirstPart, Order
from nas.training.progress import BatchTooLarge, Best, Diverged, Progress, TrainResult
from nas.training.recipe import Recipe
from nas.training.teacher import Teacher

LOSS_WINDOW = 50  # steps over which a training loss is averaged and checked


class TrainingRun:
    """A training between its first and its last step.

    All randomness of a step is a function of the seed and the step, so the state has no generators.

    Args:
        module: Moved to `device`, and trained in place.
        dataset: The images.
        recipe: Training settings.
        seed: Random seed.
        first: Images for the first steps, if at another resolution.
        device: Where to train.
        teacher: A network to learn from beside the targets.
        share: This process's part of every batch.
    """

    def __init__(
        self,
        module: nn.Module,
        dataset: Dataset,
        recipe: Recipe,
        *,
        seed: int,
        first: FirstPart | None,
        device: torch.device,
        teacher: Teacher | None,
        share: Share,
    ) -> None:
        module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.step = 0
        self.epoch_steps = recipe.epoch_steps(len(dataset.train))
        self.total_steps = recipe.total_steps(len(dataset.train))
        self._module = module.train()
        self._recipe = recipe
        moved = None if teacher is None else _moved(teacher, device)
        self._objective = Objective(dataset, recipe, seed, device, moved, share, spec_of(module))
        self._order = Order(dataset.train, recipe.batch_size, seed, first, share)
        self._batches = self._order.batches(0)
        self._optimizer = make_optimizer(module, recipe)
        self._scaler = loss_scaler(recipe.autocast, device)
        self._compiled: Forward = torch.compile(module) if recipe.compile else module
        self._forward: Forward = module
        self._rate_scale = 1.0
        self._average: Average | None = None
        self._best: Best | None = None
        self._scored: tuple[int, Score, Score | None] | None = None
        # Losses stay on the device: reading each one would make a GPU wait for the CPU every step.
        self._losses = torch.zeros(self.total_steps, device=device)
        self._train_s = 0.0

    @property
    def report_every(self) -> int:
        """Steps between two reports of progress."""
        return min(LOSS_WINDOW, math.ceil(self.total_steps / 100))

    def steps_at_this_size(self) -> int:
        """Return the steps done at the next one's resolution: its change resets batch norm statistics."""
        return self._order.steps_at_this_size(self.step)

    def advance(self, *, compiled: bool = True) -> None:
        """Take one step.

        Args:
            compiled: Whether to use the compiled network, if the recipe compiles it: while a setting of its
                layers changes from step to step, each change would compile it anew.
        """
        self._forward = self._compiled if compiled else self._module
        started = time.perf_counter()
        objective = self._objective
        self._set_rates()
        self._choose_layers()
        images, given = next(self._batches)
        seed_layers(derived_seed(objective.seed, LAYERS, self.step), objective.device)
        self._optimizer.zero_grad(set_to_none=True)
        pixels, targets = objective.prepared(images, given, step=self.step, px=self.px)
        loss = average_gradients(self._module, self._backward(pixels, targets), objective.share)
        if self._recipe.clip_norm is not None:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._module.parameters(), self._recipe.clip_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._losses[self.step] = loss
        self.step += 1
        self._add_to_average()
        self._train_s += time.perf_counter() - started

    def _backward(self, pixels: Tensor, targets: Tensor) -> Tensor:
        """Add the gradients of a batch, part by part; return its mean loss."""
        count = self._recipe.accumulate
        total = torch.zeros((), device=pixels.device)
        parts = pixels.tensor_split(count), targets.tensor_split(count)
        for part, wanted in zip(*parts, strict=True):
            loss = self._objective.loss(self._forward, part, wanted) * (len(part) / len(pixels))
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    @property
    def is_taught(self) -> bool:
        """Whether there is a teacher."""
        return self._objective.teacher is not None

    def try_batch(self, count: int, *, taught: bool = True) -> None:
        """Compute the gradients of a batch of this many images, as a step does, and drop them.

        Args:
            count: Number of images.
            taught: Whether the teacher, if there is one, has a part in the loss.
        """
        objective = self._objective if taught else replace(self._objective, teacher=None)
        images, given = next(objective.dataset.train.batches(count))
        try:
            pixels, targets = objective.prepared(images, given, step=0, px=self.px)
            objective.loss(self._forward, pixels, targets).backward()  # type: ignore[no-untyped-call]
        finally:
            self._optimizer.zero_grad(set_to_none=True)

    @property
    def px(self) -> int | None:
        """Side that the next step trains at; None is that of the stored images."""
        first = self._order.first
        at_first = first is not None and self.step < first.steps
        return first.px if at_first and first else self._objective.dataset.resolution_px

    def _set_rates(self) -> None:
        factor = rate_factor(
            self._recipe, self.step, total=self.total_steps, epoch_steps=self.epoch_steps
        )
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.peak_rate * factor * group["scale"] * self._rate_scale

    def _choose_layers(self) -> None:
        """Train the head alone at first, on the body's own batch norm statistics; then all layers.

        Frozen statistics stay what they are throughout.
        """
        head_steps = round(self._recipe.head_fraction * self.total_steps)
        frozen = self._recipe.frozen_norms
        if head_steps == 0 and not frozen:
            return
        head = {id(p) for p in head_parameters(self._module)}
        whole = self.step >= head_steps
        if head_steps:
            for parameter in self._module.parameters():
                parameter.requires_grad_(whole or id(parameter) in head)
        for layer in self._module.modules():
            if isinstance(layer, nn.BatchNorm2d) and id(layer.weight) not in head:
                layer.train(whole and not frozen)

    def _add_to_average(self) -> None:
        first_averaged = self.total_steps - self._recipe.averaged_steps(self.total_steps) + 1
        if self._average is not None:
            self._average.add(self._module)
        elif self._recipe.ema_decay is not None:
            self._average = MovingWeights(self._module, self._recipe.ema_decay)
        elif self.step >= first_averaged:
            self._average = MeanWeights(self._module)

    def progress(self, *, evaluates: bool) -> Progress:
        """Return the current progress, with an evaluation on val if wanted.

        Raises:
            Diverged: A loss since the last call, that on val, or a weight is NaN or infinite.
        """
        score, last = self._scores() if evaluates else (None, None)
        started = time.perf_counter()
        window = self._losses[max(0, self.step - LOSS_WINDOW) : self.step]
        train_loss = window.mean().item()  # on a GPU this waits for the steps
        self._train_s += time.perf_counter() - started
        worst = train_loss if score is None or math.isfinite(score.loss) else score.loss
        if not math.isfinite(worst):
            raise Diverged(
                f"loss is {worst} at step {self.step} of {self.total_steps} with learning_rate "
                f"{self._recipe.learning_rate * self._rate_scale}: use a lower rate"
            )
        if not all(weight.isfinite().all() for weight in self._module.parameters()):
            raise Diverged(f"weights are no longer finite at step {self.step}: use a lower rate")
        return Progress(
            self.step,
            self.total_steps,
            train_loss,
            images_per_s=self.step * self._recipe.batch_size / self._train_s,
            accuracy=None if score is None else score.accuracy,
            loss=None if score is None else score.loss,
            last_accuracy=None if last is None else last.accuracy,
        )

    def _scores(self) -> tuple[Score, Score | None]:
        """Evaluate the network after this step on val, once.

        Returns:
            The score of the result so far; and that of the last weights, if the result is their moving
            average.
        """
        if self._scored is None or self._scored[0] != self.step:
            score = self._score()
            last = None if self._recipe.ema_decay is None else self._evaluated(self._module)
            self._scored = self.step, score, last
        return self._scored[1:]

    def _score(self) -> Score:
        """Evaluate the result so far on val: averaged weights if there are some."""
        network = self._result()
        score = self._evaluated(network)
        if self._best is None or score.accuracy > self._best.accuracy:
            weights = {name: value.clone() for name, value in network.state_dict().items()}
            self._best = Best(self.step, score.accuracy, score.loss, weights)
        return score

    @property
    def stalled(self) -> bool:
        """Whether the recipe's patience is over."""
        patience = self._recipe.patience
        if patience is None or self._best is None:
            return False
        return self.step - self._best.step >= patience * self.epoch_steps

    def _result(self) -> nn.Module:
        """Return the network that the training would end with now."""
        objective = self._objective
        if self._average is None:
            return self._module
        seed = derived_seed(objective.seed, CHANGES, self.total_steps)
        inputs = statistics_inputs(
            objective.dataset,
            self._recipe,
            seed=seed,
            device=objective.device,
            share=objective.share,
        )
        with autocast(self._recipe.autocast, objective.device):
            return self._average.network(inputs, device=objective.device)

    def _evaluated(self, network: nn.Module) -> Score:
        device, dataset = self._objective.device, self._objective.dataset
        if device.type == "cuda":
            started = time.perf_counter()
            torch.cuda.synchronize(device)  # count the steps' work as training, not evaluation
            self._train_s += time.perf_counter() - started
        return evaluate(
            network,
            dataset.val,
            mean=dataset.mean,
            std=dataset.std,
            task=dataset.task,
            batch_size=self._recipe.eval_batch_size,
            device=device,
            half=self._recipe.autocast,
            share=self._objective.share,
        )

    def state(self) -> dict[str, Any]:
        """Return all that resuming at this step needs; call `progress` first, which checks it."""
        return {
            "step": self.step,
            "total_steps": self.total_steps,
            "rate_scale": self._rate_scale,
            "train_s": self._train_s,
            "losses": self._losses[max(0, self.step - LOSS_WINDOW) : self.step].cpu(),
            "module": self._module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "average": None if self._average is None else self._average.state_dict(),
            "best": None if self._best is None else vars(self._best),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state that `state` returned."""
        self.step, self._train_s = state["step"], state["train_s"]
        self._rate_scale, losses = state["rate_scale"], state["losses"]
        self._losses[self.step - len(losses) : self.step] = losses.to(self._losses.device)
        self._module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        self._best = None if state["best"] is None else Best(**state["best"])
        self._average = None
        if state["average"] is not None:
            self._add_to_average()
            assert self._average is not None
            self._average.load_state_dict(state["average"])
        self._batches = self._order.batches(self.step)
        self._scored = None

    def slow_down(self, state: dict[str, Any]) -> bool:
        """Go back to a state, at half of the learning rate; False if the rate was already halved."""
        if self._rate_scale < 1:
            return False
        self.restore(state)
        self._rate_scale = 0.5
        return True

    def finish(self) -> TrainResult:
        """Return the result; leave the module in eval mode with the evaluated weights."""
        score, last = self._scores()
        if self._average is not None:
            self._average.copy_to(self._module)
        if self._recipe.patience is not None and self._best is not None:
            self._module.load_state_dict(self._best.weights)
            score, last = Score(self._best.accuracy, self._best.loss), None
        self._module.requires_grad_(True).eval()
        progress = self.progress(evaluates=False)
        return TrainResult(
            accuracy=score.accuracy,
            loss=score.loss,
            train_loss=progress.train_loss,
            images_per_s=progress.images_per_s,
            train_s=self._train_s,
            last_accuracy=None if last is None else last.accuracy,
            best=self._best,
            steps=self.step,
            slowed=self._rate_scale < 1,
        )


def _moved(teacher: Teacher, device: torch.device) -> Teacher:
    """Move a teacher to a device.

    Raises:
        BatchTooLarge: The device's memory does not hold it.
    """
    try:
        return teacher.to(device)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        size = sum(parameter.numel() for parameter in teacher.module.parameters())
        raise BatchTooLarge(
            f"the teacher of {size:,} parameters does not fit into the memory of {device}: "
            f"{WITHOUT_TEACHER}"
        ) from error
