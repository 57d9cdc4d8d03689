"""Tables to compare controllers on: a true value and a noisy reading of any token sequence.

Two were measured by others (NAS-Bench-Macro, Accel-NASBench; read from the folder MOBILE_NAS_BENCH). The
rest are random functions, a different one per seed, so that nothing can be tuned to one of them.
"""

import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kendalltau
from torch import nn

from controllers import Tokens

MNASNET_ARITIES = (4, 2, 2, 3, 3, 3) * 7
MACRO_ARITIES = (3,) * 8
ANB_CHOICES = {
    f"block{block}_{field}": choices
    for block, most_layers in enumerate((3, 3, 3, 3, 3, 4, 3))
    for field, choices in {
        "e": (1, 4, 6),
        "k": (3, 5),
        "l": tuple(range(1, most_layers + 1)),
        "se": (False, True),
    }.items()
}
ANB_ARITIES = tuple(len(choices) for choices in ANB_CHOICES.values())
ANB_EXPONENT = -0.15  # of the reward ACC * (LAT/T)^w; T is the median latency of the train split
ANB_DEVICES = {
    "ZCU102": "latency_zcu102",
    "VCK190": "latency_vck190",
    "A100": "throughput_a100",
    "TPUv3": "throughput_tpuv3",
}
"""Names of what was measured: latency in ms, or images per second, of which the inverse is taken."""


@dataclass(frozen=True)
class Table:
    """One problem.

    Attributes:
        arities: number of choices of each decision.
        value: the true value of a sequence, higher is better.
        noise: standard deviation of a reading, in the unit of ``value``.
    """

    arities: tuple[int, ...]
    value: Callable[[Tokens], float]
    noise: float = 0.0


MakeTable = Callable[[int], Table]
"""Seed of a search -> its table."""


def tables(folder: Path | None) -> dict[str, MakeTable]:
    """Return every table by name; without a folder, only the synthetic ones."""
    synthetic: dict[str, MakeTable] = {
        "nk": nk_landscape,
        "blocks": block_network,
        "blocks, noisy": lambda seed: _read_with(block_network(seed), noise=0.5),
        "blocks, very noisy": lambda seed: _read_with(block_network(seed), noise=0.85),
        "nk, noisy": lambda seed: _read_with(nk_landscape(seed), noise=0.25),
    }
    if folder is None:
        return synthetic
    macro, anb = macro_table(folder), anb_table(folder)
    measured: dict[str, MakeTable] = {
        "macro": lambda _: macro,
        "macro, noisy": lambda _: _read_with(macro, noise=0.5),
        "anb": lambda _: anb,
        "anb, noisy": lambda _: _read_with(anb, noise=1.0),
    }
    return {**measured, **synthetic}


def _read_with(table: Table, *, noise: float) -> Table:
    return Table(table.arities, table.value, noise)


def macro_table(folder: Path) -> Table:
    """Return the mean CIFAR-10 accuracy of three trainings, %, of each of 3^8 networks (Su et al. 2021)."""
    entries = json.loads((folder / "macro" / "nas-bench-macro_cifar10.json").read_text())
    mean = {tuple(map(int, layers)): entry["mean_acc"] for layers, entry in entries.items()}
    return Table(MACRO_ARITIES, mean.__getitem__)


def nk_landscape(seed: int, *, decisions: int = 20, others: int = 3) -> Table:
    """Make an NK landscape, where each decision interacts with three others (Kauffman & Weinberger 1989).

    Values are in standard deviations from the mean of the space; each decision has three choices.
    """
    rng = np.random.default_rng(seed)
    arities = (3,) * decisions
    met = [
        (at, *rng.choice(np.delete(np.arange(decisions), at), others, replace=False))
        for at in range(decisions)
    ]
    worth = rng.normal(size=(decisions, *(3,) * (others + 1)))

    def value(tokens: Tokens) -> float:
        return float(sum(worth[(at, *(tokens[i] for i in m))] for at, m in enumerate(met)))

    return _standardized(arities, value, rng)


def block_network(seed: int) -> Table:
    """Make a synthetic reward with MnasNet's 42 decisions of 2 to 4 choices.

    Decisions have unequal effects, neighbours and some distant ones interact, accuracy saturates, a few
    pairs of choices break the training, and the latency's power is a factor. In standard deviations from
    the mean of the space.
    """
    rng = np.random.default_rng(seed)
    arities = MNASNET_ARITIES
    matters = rng.lognormal(sigma=1.0, size=len(arities))
    alone = [m * rng.normal(size=a) for m, a in zip(matters, arities, strict=True)]
    size = [0.15 * rng.gamma(1.0, size=a) for a in arities]  # of the network, log
    distant = [tuple(rng.choice(len(arities), 2, replace=False)) for _ in range(40)]
    pairs = [*pairwise(range(len(arities))), *distant]
    together = [rng.normal(size=(arities[a], arities[b])) for a, b in pairs]
    spoiling = [rng.random((arities[a], arities[b])) < 0.1 for a, b in distant[:10]]

    def value(tokens: Tokens) -> float:
        quality = sum(w[t] for w, t in zip(alone, tokens, strict=True))
        quality += sum(w[tokens[a], tokens[b]] for w, (a, b) in zip(together, pairs, strict=True))
        spoilt = sum(w[tokens[a], tokens[b]] for w, (a, b) in zip(spoiling, distant, strict=False))
        log_size = sum(w[t] for w, t in zip(size, tokens, strict=True)) - 6.0
        accuracy = 0.7 + 0.1 * np.tanh(quality / 30 + 0.3 * log_size) - 0.05 * spoilt
        return float(accuracy * np.exp(-0.15 * log_size))

    return _standardized(arities, value, rng)


def _standardized(
    arities: tuple[int, ...], value: Callable[[Tokens], float], rng: np.random.Generator
) -> Table:
    drawn = [value(tuple(rng.integers(arities).tolist())) for _ in range(1000)]
    mean, std = float(np.mean(drawn)), float(np.std(drawn))
    return Table(arities, lambda tokens: (value(tokens) - mean) / std)


def anb_table(folder: Path) -> Table:
    """Make the reward of MnasNet-like networks on ImageNet and a ZCU102, fitted to 4,000 measured ones.

    Accel-NASBench (Ahmad et al. 2024). The surrogate is a small neural network: a model like the screening
    controller's own would favour it.
    """
    predict = anb_surrogate(folder)
    target_ms = anb_latency_ms(folder, quantile=0.5)

    @cache
    def value(asked: Tokens) -> float:
        top1, ms, _ = predict(asked)
        return float(top1 * (ms / target_ms) ** ANB_EXPONENT)

    return Table(ANB_ARITIES, value)


def anb_latency_ms(folder: Path, *, quantile: float, device: str = "ZCU102") -> float:
    """Return a quantile of the latencies measured on a device."""
    return float(np.quantile(_anb_split(folder, "train", device)[2], quantile))


@cache
def anb_surrogate(
    folder: Path, device: str = "ZCU102"
) -> Callable[[Tokens], tuple[float, float, float]]:
    """Map tokens to top-1 in %, latency on a device in ms, and MAdds in millions."""
    tokens, accuracy, latency_ms, madds_m = _anb_split(folder, "train", device)
    columns = [accuracy, np.log(latency_ms), np.log(madds_m)]
    predict = _fitted(tokens, np.stack(columns, axis=1))

    def figures(asked: Tokens) -> tuple[float, float, float]:
        top1, log_ms, log_madds = predict(np.array([asked]))[0]
        return float(top1), float(np.exp(log_ms)), float(np.exp(log_madds))

    return figures


def anb_quality(folder: Path) -> tuple[float, float]:
    """Return Kendall's tau of the surrogate's accuracy and latency on the official test split."""
    predict = anb_surrogate(folder)
    tokens, accuracy, latency_ms, _ = _anb_split(folder, "test")
    predicted = np.array([predict(tuple(row)) for row in tokens.tolist()])
    pairs = ((predicted[:, 0], accuracy), (predicted[:, 1], latency_ms))
    first, second = (float(kendalltau(*pair).statistic) for pair in pairs)
    return first, second


@cache
def _anb_split(folder: Path, split: str, device: str = "ZCU102") -> tuple[np.ndarray, ...]:
    """Read tokens (networks, 28), top-1 in %, latency on a device in ms, and MAdds in millions."""
    names = {
        Path(path).name for path in json.loads((folder / "anb" / f"{split}_paths.json").read_text())
    }
    tokens, accuracy, latency_ms, madds_m = [], [], [], []
    with tarfile.open(folder / "anb" / "anb_dataset_jsons.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None or Path(member.name).name not in names:
                continue
            entry = json.load(file)
            kind = ANB_DEVICES[device].partition("_")[0]
            measured = entry["platform_perf"][ANB_DEVICES[device]][f"{kind}_mean"]
            if measured is None:
                continue
            tokens.append(
                [
                    choices.index(entry["architecture"][field])
                    for field, choices in ANB_CHOICES.items()
                ]
            )
            accuracy.append(entry["metrics"]["val_top1"])
            latency_ms.append(measured if kind == "latency" else 1000 / measured)
            madds_m.append(entry["model_info"]["macs"])
    return np.array(tokens), np.array(accuracy), np.array(latency_ms), np.array(madds_m)


def _fitted(tokens: np.ndarray, targets: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Fit a network with two hidden layers: tokens (n, decisions) -> predictions (n, targets)."""
    generator = torch.Generator().manual_seed(0)
    mean, std = targets.mean(axis=0), targets.std(axis=0)
    inputs, wanted = _one_hot(tokens), torch.tensor((targets - mean) / std, dtype=torch.float32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            *(nn.Linear(inputs.shape[1], 128), nn.SiLU()),
            *(nn.Linear(128, 128), nn.SiLU()),
            nn.Linear(128, targets.shape[1]),
        )
    epochs, batch = 60, 64
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    steps = epochs * (len(inputs) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        order = torch.randperm(len(inputs), generator=generator)
        for rows in order[: len(order) // batch * batch].view(-1, batch):
            loss = (model(inputs[rows]) - wanted[rows]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

    def predict(asked: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(model(_one_hot(asked)).numpy() * std + mean)

    return predict


def _one_hot(tokens: np.ndarray) -> torch.Tensor:
    columns = [np.eye(arity)[tokens[:, at]] for at, arity in enumerate(ANB_ARITIES)]
    return torch.tensor(np.concatenate(columns, axis=1), dtype=torch.float32)
