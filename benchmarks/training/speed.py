"""Training images per second: `nas.training.train` next to timm's script and torchvision's references.

    python -m benchmarks.training.speed --data PHOTOS

All train MobileNetV2 on the same JPEG photos with random resized crops and flips, label smoothing and SGD,
with as many threads for the network. PHOTOS has a folder for each class, or such folders in train, val and
test. timm's script is not part of its package: its loop is rebuilt from timm's data set, loader, model,
loss and optimizer, with the script's defaults except for color jitter and random interpolation, which the
others do not have; it is also run with the option --channels-last. torchvision's loop is that of
references/classification. Schedules, averages and logs are left out.

The rivals decode the photos again every epoch, in loader processes that share the cores with the network:
take the better of one and two. Ours reads them once, before the training; the time for that is printed
apart. Neither it nor the start of the loaders is in the figures. Each side has its own process, because
ours changes how the C library keeps memory; the peak memory is that of the main process. Rounds alternate,
so that other load on the machine affects all alike.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from benchmarks.training.own_steps import Steps, add_options, own_images_per_s, peak_mib
from benchmarks.training.rivals import images_per_s, timm_steps, torchvision_steps
from benchmarks.training.rounds import measured, spread, table
from nas.data.load import open_source
from nas.training.recipe import SGD, Augment, Recipe
from search_spaces import REFERENCES
from search_spaces.network import build

OURS = "nas.training.train"
RIVALS: dict[str, Callable[[Path, int, Steps], Iterator[None]]] = {
    "timm, 1 worker": partial(timm_steps, workers=1, channels_last=False),
    "timm, 2 workers": partial(timm_steps, workers=2, channels_last=False),
    "timm --channels-last, 1 worker": partial(timm_steps, workers=1, channels_last=True),
    "timm --channels-last, 2 workers": partial(timm_steps, workers=2, channels_last=True),
    "torchvision, 1 worker": partial(torchvision_steps, workers=1),
    "torchvision, 2 workers": partial(torchvision_steps, workers=2),
}
SIDES = (OURS, *RIVALS)
RECIPE = Recipe(
    optimizer=SGD(),
    learning_rate=0.05,
    label_smoothing=0.1,
    augment=Augment(crop_area=0.08, crop_ratio=4 / 3),
)


def ours(data: Path, px: int, steps: Steps) -> dict[str, float]:
    begin = time.perf_counter()
    dataset = open_source(str(data)).at(px, train_px=RECIPE.augment.stored_px(px))
    reading_s = time.perf_counter() - begin
    module = build(REFERENCES["mobilenet_v2"](resolution=px, classes=len(dataset.classes)))
    return {
        "images_per_s": own_images_per_s(module, dataset, RECIPE, steps),
        "reading_s": reading_s,
    }


def rival(side: str, data: Path, px: int, steps: Steps) -> dict[str, float]:
    torch.set_num_threads(steps.threads)
    return {"images_per_s": images_per_s(RIVALS[side](data, px, steps), steps)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of photos")
    add_options(parser)
    parser.add_argument("--only", choices=SIDES, help="measure one side here, and print JSON")
    given = parser.parse_args()
    steps = Steps.of(parser, given)
    if given.only is not None:
        where = given.data, given.resolution, steps
        figures = ours(*where) if given.only == OURS else rival(given.only, *where)
        print(json.dumps(figures | {"peak_mib": peak_mib()}))
        return
    rounds = measured("benchmarks.training.speed", SIDES, rounds=given.rounds)
    print(
        f"MobileNetV2, {given.data.name}, {given.resolution} px, batch {steps.batch_size}, {steps.threads} "
        f"threads, {given.rounds} rounds of {steps.timed} steps\n\n"
        + table(rounds, first=OURS, ratio="ours / this")
    )
    reading = [one[OURS]["reading_s"] for one in rounds]
    print(f"\nours reads all images once before: {spread(reading, '.1f')} s")


if __name__ == "__main__":
    main()
