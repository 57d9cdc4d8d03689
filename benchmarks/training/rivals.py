"""The training loops of timm's `train.py` and of torchvision's references, one step at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm.data
import timm.loss
import timm.optim
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from benchmarks.training.own_steps import Steps

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SMOOTHING = 0.1


def train_folder(data: Path) -> Path:
    """Return the folder of class folders to train on."""
    return data / "train" if (data / "train").is_dir() else data


def timm_steps(
    data: Path, px: int, steps: Steps, *, workers: int, channels_last: bool
) -> Iterator[None]:
    """Train timm's MobileNetV2 as its script does on a CPU, without color jitter; yield after each step."""
    folder = train_folder(data)
    dataset = timm.data.create_dataset("", root=str(folder), split="train", is_training=True)
    _require_images(len(dataset), steps)
    loader: Any = timm.data.create_loader(
        dataset,
        input_size=(3, px, px),
        batch_size=steps.batch_size,
        is_training=True,
        color_jitter=0.0,
        interpolation="bilinear",
        num_workers=workers,
        device=torch.device("cpu"),
    )
    classes = sum(1 for entry in folder.iterdir() if entry.is_dir())
    module = timm.create_model("mobilenetv2_100", num_classes=classes).train()
    if channels_last:
        module.to(memory_format=torch.channels_last)
    optimizer = timm.optim.create_optimizer_v2(
        module, opt="sgd", lr=0.05, momentum=0.9, weight_decay=2e-5
    )
    criterion = timm.loss.LabelSmoothingCrossEntropy(smoothing=SMOOTHING)
    for images, labels in loader:
        if channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        loss = criterion(module(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        yield


def torchvision_steps(data: Path, px: int, steps: Steps, *, workers: int) -> Iterator[None]:
    """Train torchvision's MobileNetV2 as its references do on a CPU; yield after each step."""
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(px, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    dataset = torchvision.datasets.ImageFolder(str(train_folder(data)), transform)
    _require_images(len(dataset), steps)
    loader = DataLoader(
        dataset, steps.batch_size, shuffle=True, num_workers=workers, drop_last=True
    )
    module = torchvision.models.mobilenet_v2(num_classes=len(dataset.classes)).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    criterion = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    for images, labels in loader:
        loss = criterion(module(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # its logger reads every loss
        yield


def _require_images(count: int, steps: Steps) -> None:
    if count < steps.total * steps.batch_size:
        raise SystemExit(f"{steps.total} steps must fit in one epoch of {count} images")


def images_per_s(taken: Iterator[None], steps: Steps) -> float:
    """Take steps, and time them after the warm-up."""
    for _ in range(steps.warm_up):
        next(taken)
    begin = time.perf_counter()
    for _ in range(steps.timed):
        next(taken)
    return steps.images_per_s(time.perf_counter() - begin)
