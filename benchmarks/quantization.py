"""Accuracy and speed of int8 MobileNetV3-Small with h-swish, with swish and with ReLU.

    python -m benchmarks.quantization [--epochs N] [--seeds N] [--litert]

The paper prefers h-swish to swish because it quantizes better. Here the network is trained on the embedded
images with each of the three activations in h-swish's place (the ReLUs of the first blocks and the hard
sigmoids stay), quantized like `nas export --int8`, and compared with its float version on the validation
images: top-1, the fraction of images with equal predictions, and the error of the logits (root mean square
relative to their standard deviation), which is more sensitive than top-1. Float and int8 are timed
interleaved, at the images' size and at 224 px.

Takes about eight minutes on two idle cores.
"""

import argparse
import os
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from nas.checkpoints.usage import Usage
from nas.data.images import Dataset
from nas.data.load import load_dataset
from nas.export.litert_export import LITERT, require_litert
from nas.export.onnx_export import Format
from nas.export.quantize import ONNX, calibration_images
from nas.export.running import Run, as_logits
from nas.tasks.augmentation.augment import normalize
from nas.training.recipe import Recipe
from nas.training.train import train
from search_spaces import REFERENCES, ArchSpec
from search_spaces.field_types import Act
from search_spaces.network import Network, build

ACTIVATIONS: dict[Act, str] = {"hswish": "h-swish", "swish": "swish", "relu": "ReLU"}
DEPLOYED_PX = 224
ROUNDS = 3
BATCH = 250

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Case:
    """One network to train."""

    act: Act
    seed: int
    epochs: float


@dataclass(frozen=True)
class Effect:
    """Effect of int8 on one trained network: `before` and `after` are correctness per image (n,)."""

    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    agreement: float
    logit_error: float


def with_activation(spec: ArchSpec, act: Act) -> ArchSpec:
    """Replace h-swish by another activation."""

    def chosen(old: Act) -> Act:
        return act if old == "hswish" else old

    return replace(
        spec,
        stem=replace(spec.stem, act=chosen(spec.stem.act)),
        blocks=tuple(replace(block, act=chosen(block.act)) for block in spec.blocks),
        head=replace(spec.head, act=chosen(spec.head.act)),
    )


def network(act: Act, data: Dataset, *, seed: int = 0) -> Network:
    spec = REFERENCES["mobilenet_v3_small"](
        resolution=data.resolution_px, classes=len(data.classes)
    )
    return build(with_activation(spec, act), generator=torch.Generator().manual_seed(seed))


def trained(case: Case) -> Weights:
    data = load_dataset("fashion-mnist-subset")
    module = network(case.act, data, seed=case.seed)
    train(module, data, Recipe(epochs=case.epochs, threads=1), seed=case.seed)
    return {name: tensor.contiguous() for name, tensor in module.state_dict().items()}


def train_all(cases: list[Case], jobs: int) -> dict[Case, Weights]:
    weights = {}
    with ProcessPoolExecutor(jobs) as pool:
        for case, found in zip(cases, pool.map(trained, cases), strict=True):
            weights[case] = found
            print(f"trained {len(weights)} of {len(cases)}", flush=True)
    return weights


def effect(files: Format, case: Case, weights: Weights, data: Dataset) -> Effect:
    """Measure the effect of int8 on one trained network, in one format."""
    usage = Usage(data.classes, data.resolution_px, data.mean, data.std)
    module = network(case.act, data)
    module.load_state_dict(weights)
    model = files.convert(module)
    int8 = files.quantize(model, calibration_images(data.train, usage))
    labels = np.concatenate([labels.numpy() for _, labels in data.val.batches(BATCH)])
    before, after = (logits(files.open(file), data) for file in (model, int8))
    given_before, given_after = before.argmax(axis=1), after.argmax(axis=1)
    return Effect(
        before=given_before == labels,
        after=given_after == labels,
        agreement=float(np.mean(given_before == given_after)),
        logit_error=float(np.sqrt(np.mean((after - before) ** 2)) / before.std()),
    )


def logits(run: Run, data: Dataset) -> NDArray[np.float32]:
    """Return logits of the validation images (n, classes)."""
    batches = (images for images, _ in data.val.batches(BATCH))
    prepared = (normalize(images, mean=data.mean, std=data.std) for images in batches)
    outputs = (run(images.contiguous().numpy()) for images in prepared)
    return np.concatenate([as_logits(output, where="the file") for output in outputs])


def latencies(
    files: Format, act: Act, weights: Weights, data: Dataset, *, px: int
) -> list[tuple[float, float]]:
    """Return milliseconds of float and int8 at an input size, one per round."""
    module = network(act, replace(data, resolution_px=px)).eval()
    module.load_state_dict(weights)
    model = files.convert(module)
    noise = np.random.default_rng(0).standard_normal((4, 3, px, px), dtype=np.float32)
    int8 = files.quantize(model, noise)
    rounds = []
    for _ in range(ROUNDS):
        before, after = files.latencies([model, int8])
        rounds.append((before.median_ms, after.median_ms))
    return rounds


def accuracy_table(effects: dict[Case, Effect]) -> str:
    """Format accuracies and errors, one row per activation."""
    lines = [
        "| activation | float top-1 | int8 top-1 | int8 - float, points (95%) | same class | logit error |",
        "|---|---|---|---|---|---|",
    ]
    for act, name in ACTIVATIONS.items():
        of_act = [found for case, found in effects.items() if case.act == act]
        before = np.concatenate([found.before for found in of_act])
        after = np.concatenate([found.after for found in of_act])
        change = 100 * (after.astype(float) - before.astype(float))
        # Both files saw the same images: the interval is that of the paired difference.
        half = 1.96 * change.std(ddof=1) / np.sqrt(len(change))
        agreement = statistics.mean(found.agreement for found in of_act)
        errors = " and ".join(f"{found.logit_error:.1%}" for found in of_act)
        lines.append(
            f"| {name} | {before.mean():.2%} | {after.mean():.2%} | {change.mean():+.2f} ± {half:.2f} "
            f"| {agreement:.1%} | {errors} |"
        )
    return "\n".join(lines)


def latency_table(timed: Callable[[Act, int], list[tuple[float, float]]], sides: list[int]) -> str:
    """Format latencies of both files, one row per activation and input size."""
    lines = [
        "| activation | input | float ms | int8 ms | int8 / float, median of rounds (min-max) |",
        "|---|---|---|---|---|",
    ]
    for px in sides:
        for act, name in ACTIVATIONS.items():
            rounds = timed(act, px)
            before, after = (statistics.median(column) for column in zip(*rounds, strict=True))
            ratios = [int8 / plain for plain, int8 in rounds]
            spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
            lines.append(f"| {name} | {px} px | {before:.3f} | {after:.3f} | {spread} |")
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings side by side")
    parser.add_argument("--litert", action="store_true", help="LiteRT files instead of ONNX")
    return parser.parse_args()


def chosen_format(litert: bool) -> Format:
    if not litert:
        return ONNX
    require_litert()
    return LITERT


def main() -> None:
    given = parse_arguments()
    files = chosen_format(given.litert)
    data = load_dataset("fashion-mnist-subset")
    cases = [Case(act, seed, given.epochs) for seed in range(given.seeds) for act in ACTIVATIONS]
    weights = train_all(cases, given.jobs)
    effects = {case: effect(files, case, found, data) for case, found in weights.items()}
    print(
        f"\nMobileNetV3-Small, {data.name}, {data.resolution_px} px, {given.epochs:g} epochs, "
        f"{given.seeds} seeds, {len(data.val)} validation images, {files.name}\n"
    )
    print(accuracy_table(effects), flush=True)
    sides = [data.resolution_px, DEPLOYED_PX]
    print()

    def timed(act: Act, px: int) -> list[tuple[float, float]]:
        return latencies(files, act, weights[Case(act, 0, given.epochs)], data, px=px)

    print(latency_table(timed, sides))


if __name__ == "__main__":
    main()
