"""Cost of each option of a training, as a ratio to the plain step, and its peak memory.

    python -m benchmarks.training.costs

MobileNetV3-Small trains a few steps on random images in memory: plainly (flips and shifts), with a moving
average of the weights, with MobileNetV2 as a teacher, and with each augmentation. In a larger network each
of them is a smaller part of a step. Each training has its own process; the peak memory is that of the whole
process, with the images. Rounds alternate, so that other load on the machine affects all alike.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from benchmarks.training.own_steps import Steps, add_options, own_images_per_s, peak_mib
from benchmarks.training.rounds import measured, table
from nas.data.images import ArraySplit, Dataset, channel_statistics
from nas.training.recipe import Augment, Recipe
from nas.training.teacher import Teacher
from search_spaces import REFERENCES
from search_spaces.network import build

PLAIN, TEACHER = "plain", "teacher"
CLASSES = 43
SETTINGS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "moving average": {"ema_decay": 0.999},
    TEACHER: {},
    "crop": {"augment": Augment(crop_area=0.08)},
    "color": {"augment": Augment(brightness=0.4, contrast=0.4, saturation=0.4)},
    "hue": {"augment": Augment(hue=0.1)},
    "trivialaugment": {"augment": Augment(policy="trivialaugment")},
    "randaugment": {"augment": Augment(policy="randaugment")},
    "mixup": {"augment": Augment(mixup=0.2)},
    "cutmix": {"augment": Augment(cutmix=1.0)},
    "erase": {"augment": Augment(erase_probability=0.25)},
}


def random_dataset(px: int, train_px: int, *, images: int) -> Dataset:
    rng = np.random.default_rng(0)

    def split(count: int, side: int) -> ArraySplit:
        pixels = rng.integers(0, 256, (count, 3, side, side), np.uint8)
        return ArraySplit(pixels, rng.integers(0, CLASSES, count))

    train, held_out = split(images, train_px), split(1, px)
    names = tuple(str(label) for label in range(CLASSES))
    mean, std = channel_statistics(train.images)
    return Dataset("random", names, train, held_out, held_out, px, mean, std)


def measured_here(name: str, px: int, steps: Steps) -> dict[str, float]:
    recipe = Recipe(**SETTINGS[name])
    data = random_dataset(px, recipe.augment.stored_px(px), images=8 * steps.batch_size)
    module = build(REFERENCES["mobilenet_v3_small"](resolution=px, classes=CLASSES))
    teacher = None
    if name == TEACHER:
        large = build(REFERENCES["mobilenet_v2"](resolution=px, classes=CLASSES)).eval()
        teacher = Teacher(large, px, data.mean, data.std)
    speed = own_images_per_s(module, data, recipe, steps, teacher=teacher)
    return {"images_per_s": speed, "peak_mib": peak_mib()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--only", choices=SETTINGS, help="measure one here, and print JSON")
    given = parser.parse_args()
    steps = Steps.of(parser, given)
    if given.only is not None:
        print(json.dumps(measured_here(given.only, given.resolution, steps)))
        return
    rounds = measured("benchmarks.training.costs", SETTINGS, rounds=given.rounds)
    print(
        f"MobileNetV3-Small, {given.resolution} px, batch {steps.batch_size}, {steps.threads} threads, "
        f"{given.rounds} rounds of {steps.timed} steps\n\n"
        + table(rounds, first=PLAIN, ratio="time of a step / plain")
    )


if __name__ == "__main__":
    main()
