"""Training images per second: `nas.training.train` compared with a plain PyTorch loop.

    python -m benchmarks.overhead.training_speed [--data SOURCE] [--resolution PX] [--rounds N]

Both train torchvision's MobileNetV3-Small on the same images with the same batch size, one CPU thread, and
the same random crop and mirror. The plain loop is that of tutorials: a DataLoader over PIL images,
torchvision transforms, NCHW, AdamW. Its images are in memory like ours, so it need not decode files. Rounds
alternate, so that other load on the machine affects all alike. All of them share one process and thus keep
freed memory, like ours; see `kept_memory` for the effect.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from nas.data.images import ArraySplit, Dataset
from nas.data.load import load_dataset
from nas.training.recipe import Augment, Recipe
from nas.training.train import train

PAD_FRACTION = 0.125


class PilImages(TorchDataset[tuple[torch.Tensor, int]]):
    """The training images as in torchvision's in-memory data sets: PIL, then transforms."""

    def __init__(self, dataset: Dataset) -> None:
        assert isinstance(dataset.train, ArraySplit)
        self._images = dataset.train.images.transpose(0, 2, 3, 1).copy()  # (N, H, W, C)
        self._labels = dataset.train.targets
        size_px = dataset.resolution_px
        self._transform = transforms.Compose(
            [
                transforms.RandomCrop(size_px, padding=round(PAD_FRACTION * size_px)),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(dataset.mean, dataset.std),
            ]
        )

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = transforms.functional.to_pil_image(self._images[index])
        return self._transform(image), int(self._labels[index])


def network(dataset: Dataset) -> nn.Module:
    made: nn.Module = torchvision.models.mobilenet_v3_small(num_classes=len(dataset.classes))
    return made


def plain_images_per_s(dataset: Dataset, *, steps: int, batch_size: int, workers: int) -> float:
    module = network(dataset).train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()
    loader = DataLoader(
        PilImages(dataset), batch_size, shuffle=True, num_workers=workers, drop_last=True
    )
    batches = iter(loader)
    started = time.perf_counter()
    for _ in range(steps):
        images, labels = next(batches)
        optimizer.zero_grad()
        criterion(module(images), labels).backward()
        optimizer.step()
    return steps * batch_size / (time.perf_counter() - started)


def our_images_per_s(dataset: Dataset, *, steps: int, batch_size: int) -> float:
    recipe = Recipe(
        steps=steps, batch_size=batch_size, threads=1, augment=Augment(pad_fraction=PAD_FRACTION)
    )
    return train(network(dataset), dataset, recipe, seed=0).images_per_s


def measure(sides: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    for side in sides.values():  # the first call pays for set-up that no later one does
        side()
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            speeds[name].append(side())
    return speeds


def table(speeds: dict[str, list[float]], ours: str, title: str) -> str:
    lines = [
        f"| {title} | images/s, median (min-max) | ours / this, median of rounds (min-max) |",
        "|---|---|---|",
    ]
    for name, values in speeds.items():
        ratios = [ours / this for ours, this in zip(speeds[ours], values, strict=True)]
        lines.append(f"| {name} | {_spread(values, '.0f')} | {_spread(ratios, '.2f')} |")
    return "\n".join(lines)


def _spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="fashion-mnist-subset", help="as load_dataset takes it")
    parser.add_argument("--resolution", type=int, default=32, help="px")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20, help="training steps a round")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dataset = load_dataset(arguments.data, resolution_px=arguments.resolution)
    size = {"steps": arguments.steps, "batch_size": arguments.batch_size}
    if arguments.steps * arguments.batch_size > len(dataset.train):
        parser.error(f"a round must fit in one epoch of {len(dataset.train)} images")
    sides: dict[str, Callable[[], float]] = {
        "nas.training.train": lambda: our_images_per_s(dataset, **size),
        "plain loop, num_workers=0": lambda: plain_images_per_s(dataset, workers=0, **size),
        "plain loop, num_workers=1": lambda: plain_images_per_s(dataset, workers=1, **size),
    }
    speeds = measure(sides, arguments.rounds)
    title = (
        f"MobileNetV3-Small, {dataset.name}, {dataset.resolution_px} px, "
        f"batch {arguments.batch_size}, 1 thread, {arguments.rounds} rounds"
    )
    print(table(speeds, "nas.training.train", title))


if __name__ == "__main__":
    main()
