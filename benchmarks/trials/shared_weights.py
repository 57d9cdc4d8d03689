"""Does a supernet rank the networks of the space as separate trainings do?

    python -m benchmarks.trials.rank_correlation --data FOLDER --resolution 64 --networks 20 --long 40
        --kept FILE
    python -m benchmarks.trials.shared_weights --data FOLDER --resolution 64 --alone FILE --long 40
        --minutes 26

For every layer (stage, position, operation and role) the supernet has the largest tensor of any network of
the space; each network uses its first channels, the centre of its kernels and the first layers of a stage,
as in once-for-all, BigNAS and TuNAS. With `--rule sandwich` each step trains the largest network on the
labels, and the smallest and random ones on the largest one's outputs (in-place distillation, BigNAS). With
`--rule single` each step trains one random network on the labels (single-path one-shot, Guo et al. 2020;
TuNAS without its policy): the largest network costs 3.4 times a random one. Networks are evaluated with
batch norm's statistics recomputed on training images.

Reported are the supernet's accuracies of the networks that `rank_correlation` has trained separately, and
Kendall's tau between the two with a 95% bootstrap interval over networks. The weights are saved to the file
of --kept every two minutes; a second start resumes.
"""

import argparse
import json
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.optim.swa_utils import update_bn

from benchmarks.trials.rank_correlation import (
    LONG_SEEDS,
    Way,
    dataset,
    setting_of,
    setting_parser,
    space,
    tau,
    tokens,
)
from nas.data.images import Dataset
from nas.searching.from_scratch.inheritance import layers, window
from nas.searching.planning.forecast import extreme
from nas.tasks.augmentation.augment import augment, normalize
from nas.training.evaluate import evaluate
from nas.training.machine.allocator import keep_freed_memory
from nas.training.optimization.schedule import one_cycle
from nas.training.recipe import Recipe
from search_spaces import FactorizedSpace, Tokens
from search_spaces.network import Network, build

RANDOM_NETWORKS = 2  # a step, beside the largest and the smallest
STATISTICS_BATCHES = 20
SAMPLED = (
    600  # random networks whose layers fit too: without a stage, the next is fed more channels
)
PROBED_STEPS = 8
CHECKPOINT_S = 120.0

Place = tuple[object, ...]
"""A layer's stage, position, operation and role, and what of it a tensor is."""


class Shared(nn.Module):
    """A supernet.

    Args:
        space: The space.
        seed: Seed of the initial weights.
    """

    def __init__(self, space: FactorizedSpace, *, seed: int) -> None:
        super().__init__()
        self.space = space
        generator = torch.Generator().manual_seed(seed)
        largest: dict[Place, Tensor] = {}
        for chosen in _one_decision_changed(space):
            network = build(space.decode(chosen), generator=generator)
            parameters = dict(network.named_parameters())
            for place, name in self._places(chosen, parameters):
                drawn = parameters[name].detach()
                largest[place] = _united(largest.get(place, drawn), drawn.shape, generator)
        luck = random.Random(seed)
        for _ in range(SAMPLED):
            chosen = tuple(luck.randrange(arity) for arity in space.arities)
            _, shapes = self.skeleton(chosen)
            for place, name in self._places(chosen, shapes):
                largest[place] = _united(largest[place], shapes[name].shape, generator)
        self._names = {place: f"t{index}" for index, place in enumerate(largest)}
        for place, tensor in largest.items():
            self.register_parameter(self._names[place], nn.Parameter(tensor.clone()))

    def _places(self, chosen: Tokens, names: Iterable[str]) -> Iterator[tuple[Place, str]]:
        spec = self.space.decode(chosen)
        for layer, prefix in layers(spec, self.space.places(chosen)).items():
            for name in names:
                if name.startswith(prefix):
                    yield (*layer, name.removeprefix(prefix)), name

    def parameters_of(self, chosen: Tokens, shapes: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return a network's part of the weights, by its own names; gradients reach the supernet."""
        taken = {}
        for place, name in self._places(chosen, shapes):
            whole = getattr(self, self._names[place])
            taken[name] = whole[window(whole.shape, shapes[name].shape)]
        return taken

    def skeleton(self, chosen: Tokens) -> tuple[Network, dict[str, Tensor]]:
        """Return a network without weights, and the shapes of its tensors."""
        with torch.device("meta"):
            network = Network(self.space.decode(chosen))
        return network, dict(network.named_parameters())

    def logits(self, chosen: Tokens, images: Tensor) -> Tensor:
        """Compute logits in training mode: (N, classes)."""
        network, shapes = self.skeleton(chosen)
        fresh = {name: _fresh(name, buffer) for name, buffer in network.named_buffers()}
        state = self.parameters_of(chosen, shapes) | fresh
        answer: Tensor = functional_call(network.train(), state, (images,))
        return answer

    def network(self, chosen: Tokens) -> Network:
        """Make a separate network with a copy of its weights."""
        network = build(self.space.decode(chosen))
        parameters = self.parameters_of(chosen, dict(network.named_parameters()))
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(parameters[name])
        return network


def _united(tensor: Tensor, other: torch.Size, generator: torch.Generator) -> Tensor:
    """Return a tensor like this one that is large enough for the other shape too."""
    shape = tuple(map(max, tensor.shape, other))
    if shape == tuple(tensor.shape):
        return tensor
    if tensor.ndim == 1:  # batch norm's scales and shifts, and biases, are all alike
        return tensor.new_full(shape, tensor[0].item())
    return tensor.std() * torch.randn(shape, generator=generator)


def _fresh(name: str, buffer: Tensor) -> Tensor:
    made = torch.ones if name.endswith("running_var") else torch.zeros
    return made(buffer.shape, dtype=buffer.dtype)


def _one_decision_changed(space: FactorizedSpace) -> Iterator[Tokens]:
    """Yield the largest network, and those with one decision changed: together they have every layer."""
    largest = extreme(space, largest=True)
    yield largest
    for position, arity in enumerate(space.arities):
        for choice in range(arity):
            yield (*largest[:position], choice, *largest[position + 1 :])


@dataclass
class Training:
    """A training of the supernet and its progress."""

    shared: Shared
    data: Dataset
    recipe: Recipe
    total_steps: int
    seed: int
    rule: str
    step: int = 0
    spent_s: float = 0.0

    def __post_init__(self) -> None:
        weights = list(self.shared.parameters())
        groups = [
            {
                "params": [w for w in weights if w.ndim > 1],
                "weight_decay": self.recipe.weight_decay,
            },
            {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=self.recipe.learning_rate)
        self.largest = extreme(self.shared.space, largest=True)
        self.smallest = extreme(self.shared.space, largest=False)

    def advance(self) -> float:
        """Take a step; return the loss of the network trained on the labels."""
        begin = time.perf_counter()
        rate = one_cycle(self.step, self.total_steps, warmup_fraction=self.recipe.warmup_fraction)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * rate
        # A function of the step alone: so a training that is gone on with is the same one.
        luck = random.Random(f"{self.seed} {self.step}")
        images, labels = self._batch(luck.randrange(2**62))
        self.optimizer.zero_grad(set_to_none=True)
        sandwich = self.rule == "sandwich"
        teacher = self.largest if sandwich else self._random(luck)
        answer = self.shared.logits(teacher, images)
        loss = functional.cross_entropy(answer, labels, label_smoothing=self.recipe.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        if sandwich:
            wanted = answer.detach().softmax(dim=1)
            for chosen in (
                self.smallest,
                *(self._random(luck) for _ in range(RANDOM_NETWORKS)),
            ):
                functional.cross_entropy(self.shared.logits(chosen, images), wanted).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.shared.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.spent_s += time.perf_counter() - begin
        return loss.item()

    def _random(self, luck: random.Random) -> Tokens:
        return tuple(luck.randrange(arity) for arity in self.shared.space.arities)

    def _batch(self, seed: int) -> tuple[Tensor, Tensor]:
        order = torch.Generator().manual_seed(seed)
        images, labels = next(
            iter(self.data.train.batches(self.recipe.batch_size, generator=order))
        )
        changed = augment(images, self.recipe.augment, generator=order)
        return normalize(changed, mean=self.data.mean, std=self.data.std), labels

    def save(self, path: Path) -> None:
        """Save the progress."""
        kept = {
            "weights": self.shared.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "spent_s": self.spent_s,
            "total_steps": self.total_steps,
        }
        torch.save(kept, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def restore(self, path: Path) -> None:
        """Load the progress."""
        kept = torch.load(path, weights_only=True)
        self.shared.load_state_dict(kept["weights"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.step, self.spent_s = kept["step"], kept["spent_s"]
        self.total_steps = kept["total_steps"]


def accuracy(shared: Shared, chosen: Tokens, data: Dataset, recipe: Recipe) -> float:
    """Return top-1 on val of a network with the shared weights, 0..1."""
    network = shared.network(chosen)
    order = torch.Generator().manual_seed(0)
    batches = data.train.batches(recipe.batch_size, generator=order, drop_last=True)
    inputs = [
        normalize(images, mean=data.mean, std=data.std)
        for images, _ in (
            batch for _, batch in zip(range(STATISTICS_BATCHES), batches, strict=False)
        )
    ]
    update_bn(inputs, network)
    return evaluate(network, data.val, mean=data.mean, std=data.std).accuracy


def alone(path: Path, *, networks: int, long: Way) -> np.ndarray:
    """Return the mean accuracy of each separately trained network."""
    found: dict[int, list[float]] = {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        way = Way(entry["epochs"], tuple(entry["how"]))
        if way == long and entry["seed"] in LONG_SEEDS:
            found.setdefault(entry["network"], []).append(entry["test"])
    missing = [n for n in range(networks) if len(found.get(n, [])) < len(LONG_SEEDS)]
    if missing:
        raise SystemExit(
            f"{path}: networks {missing} are not trained for {long}: run rank_correlation"
        )
    return np.array([100 * np.mean(found[n]) for n in range(networks)])


def parse_arguments() -> argparse.Namespace:
    parser = setting_parser(__doc__, learning_rate=2e-3, batch_size=64, networks=20)
    parser.add_argument("--rule", choices=["sandwich", "single"], default="sandwich")
    parser.add_argument("--minutes", type=float, default=26.0, help="of training, about")
    parser.add_argument("--alone", type=Path, help="what rank_correlation has kept")
    parser.add_argument("--long", type=float, default=40.0, help="epochs of the trainings alone")
    parser.add_argument("--kept", type=Path, default=Path("runs/shared_weights.pt"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def main() -> None:
    given = parse_arguments()
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    setting = setting_of(given)
    data, recipe = dataset(setting), setting.recipe
    searched = space(setting)
    assert isinstance(searched, FactorizedSpace)
    longs = (
        alone(given.alone, networks=given.networks, long=Way(given.long)) if given.alone else None
    )
    shared = Shared(searched, seed=0)
    print(f"{sum(p.numel() for p in shared.parameters()) / 1e6:.1f}M shared parameters", flush=True)
    training = Training(shared, data, recipe, total_steps=1, seed=0, rule=given.rule)
    if given.kept.exists():
        training.restore(given.kept)
    else:  # how many steps the time has room for, from a few of them
        probe = Training(Shared(searched, seed=0), data, recipe, 10, seed=0, rule=given.rule)
        for _ in range(PROBED_STEPS):
            probe.advance()
        first_s = probe.spent_s
        for _ in range(PROBED_STEPS):
            probe.advance()
        step_s = (probe.spent_s - first_s) / PROBED_STEPS
        training.total_steps = max(10, round(60 * given.minutes / step_s))
    saved = time.monotonic()
    while training.step < training.total_steps:
        loss = training.advance()
        if training.step % 50 == 0:
            left = training.spent_s / training.step * (training.total_steps - training.step)
            print(
                f"step {training.step} of {training.total_steps}, {left / 60:.1f} min left: {loss:.3f}",
                flush=True,
            )
        if time.monotonic() - saved > CHECKPOINT_S or training.step == training.total_steps:
            training.save(given.kept)
            saved = time.monotonic()
    chosen = tokens(setting)[: given.networks]
    points = np.array([100 * accuracy(shared, each, data, recipe) for each in chosen])
    for number, value in enumerate(points):
        beside = "" if longs is None else f", alone {longs[number]:.1f}%"
        print(f"network {number}: shared {value:.1f}%{beside}")
    networks = 2 + RANDOM_NETWORKS if given.rule == "sandwich" else 1
    images = training.step * recipe.batch_size * networks
    print(
        f"{training.spent_s / 60:.1f} min, {images} images; mean {points.mean():.1f}%, std "
        f"{points.std(ddof=1):.2f}" + ("" if longs is None else f", tau {tau(points, longs)}")
    )


if __name__ == "__main__":
    main()
