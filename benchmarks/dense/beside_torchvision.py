"""Our training of detectors and segmentation networks beside torchvision's, from the same pretrained body.

    python -m benchmarks.dense.beside_torchvision cards/ v2.pt --px 192 --epochs 40 --seeds 3
    python -m benchmarks.dense.beside_torchvision clothes/ v3.pt --px 192 --epochs 30 --seeds 3
    python -m benchmarks.dense.beside_torchvision cards/ v2.pt --px 192 --speed

Both train SSDLite (LR-ASPP) on the same photos for as many epochs, each by its own recipe, augmentation and
loop, and are judged by the same metric on all test photos. Trainings are appended to `--out` when they end,
and not repeated. `--speed` times some steps of both in turns instead, reading of photos included.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import v2

from benchmarks.dense import torchvision_training as reference
from nas.checkpoints.checkpoint import Checkpoint, load_checkpoint
from nas.checkpoints.retrain import fine_tuned
from nas.data.images import ArraySplit
from nas.data.load import ImageSource, open_source
from nas.statistics.confidence_intervals import mean_with_interval
from nas.tasks import task_of
from nas.tasks.augmentation.augment import normalize
from nas.tasks.detection.evidence import Detections
from nas.tasks.detection.found_boxes import FoundBoxes
from nas.tasks.detection.judged import JudgedImage
from nas.tasks.segmentation.evidence import PixelCounts, confusion
from nas.training.named_recipes import read_recipe
from nas.training.progress import Progress
from nas.training.recipe import Recipe
from search_spaces.network import Network

RECIPES = {"detect": "detect", "segment": "segment"}

WARM_UP, TIMED, TURNS = 3, 8, 3


def recipe_of(images: ImageSource, given: argparse.Namespace) -> Recipe:
    settings = {"epochs": given.epochs} | ({"threads": given.threads} if given.threads else {})
    return read_recipe(given.recipe or RECIPES[images.task], settings, base=RECIPES[images.task])


def ours(start: Checkpoint, images: ImageSource, recipe: Recipe, px: int, seed: int) -> nn.Module:
    """Train our network."""
    task = task_of(images.task)
    stored = task.stored_px(recipe, px)
    data = images.at(px, train_px=stored)
    begun = start.for_task(images.task, data.classes, generator=torch.Generator().manual_seed(seed))
    return fine_tuned(begun, data, recipe, seed=seed, on_progress=_say).network()


def theirs(
    start: Checkpoint, images: ImageSource, recipe: Recipe, px: int, seed: int, *, times: float
) -> nn.Module:
    """Train torchvision's network at its own learning rate multiplied by `times`."""
    torch.manual_seed(seed)
    network, steps = their_training(start, images, recipe, px, times=times)
    done, total = 0, len(images.pictures["train"]) * round(recipe.epochs or 0)
    for count in steps:
        done += count
        print(f"\r  {done} of {total} images", end="", flush=True)
    print()
    return network


def their_training(
    start: Checkpoint, images: ImageSource, recipe: Recipe, px: int, *, times: float = 1
) -> tuple[nn.Module, Iterator[int]]:
    """Return torchvision's network, and the steps of its training, each with the number of its images."""
    pictures, classes = images.pictures["train"], len(images.classes)
    batch_size, epochs = recipe.batch_size, round(recipe.epochs or 0)
    if images.task == "detect":
        detector = reference.detector(start, classes=classes, px=px)
        return detector, reference.train_detector(
            detector, pictures, batch_size=batch_size, epochs=epochs, times=times
        )
    segmenter = reference.segmenter(start, classes=classes)
    return segmenter, reference.train_segmenter(
        segmenter, pictures, start, px=px, batch_size=batch_size, epochs=epochs, times=times
    )


def _say(progress: Progress) -> None:
    print(
        f"\r  step {progress.step} of {progress.total_steps}, loss {progress.train_loss:.3f}",
        end="",
        flush=True,
    )


@torch.no_grad()
def boxes(network: nn.Module, images: ImageSource, px: int, own: Checkpoint | None) -> Detections:
    """Judge a detector on the original test photos; `own` is set for ours."""
    pictures = images.pictures["test"]
    judged = []
    for index in range(len(pictures)):
        picture = pictures.open(index).convert("RGB")
        width, height = picture.size
        pixels = v2.functional.to_image(picture).float()[None] / 255
        if own is not None:
            square = functional.interpolate(pixels, (px, px), mode="bilinear", antialias=True)
            assert isinstance(network, Network)
            found = task_of("detect").predictions(
                network(_normalized(square, own)), spec=network.spec
            )[0]
            assert isinstance(found, FoundBoxes)
            assert found.scores is not None
            corners, scores, classes = found.corners, found.scores, found.classes
        else:
            result = network(list(pixels))[0]
            corners = result["boxes"] / torch.tensor([width, height, width, height])
            scores, classes = result["scores"], result["labels"] - 1
        table = np.column_stack([classes, scores, corners]).astype(np.float32)
        whole, at = reference.annotated(pictures, index)
        judged.append(JudgedImage(whole.objects[at], table, picture.size))
    return Detections(tuple(judged), len(images.classes))


@torch.no_grad()
def masks(network: nn.Module, images: ImageSource, px: int, own: Checkpoint) -> PixelCounts:
    """Judge a segmentation network on the original masks: ours sees stretched images, theirs does not."""
    pictures, stretched = images.pictures["test"], isinstance(network, Network)
    counts = []
    for index in range(len(pictures)):
        picture = pictures.open(index).convert("RGB")
        whole, at = reference.annotated(pictures, index)
        truth = torch.from_numpy(whole.original(at))[None]
        resized = v2.functional.resize(picture, [px, px] if stretched else [px], antialias=True)
        pixels = v2.functional.to_image(resized).float()[None] / 255
        outputs = network(_normalized(pixels, own))
        logits = outputs if isinstance(outputs, Tensor) else outputs["out"]
        large = functional.interpolate(
            logits, truth.shape[-2:], mode="bilinear", align_corners=False
        )
        counts.append(confusion(large.argmax(dim=1), truth, classes=len(images.classes)))
    return PixelCounts(torch.cat(counts).numpy().astype(np.int32))


def _normalized(pixels: Tensor, checkpoint: Checkpoint) -> Tensor:
    return normalize(255 * pixels, mean=checkpoint.usage.mean, std=checkpoint.usage.std)


def judged(
    network: nn.Module, images: ImageSource, px: int, start: Checkpoint, *, own: bool
) -> dict[str, Any]:
    if images.task == "segment":
        counts = masks(network.eval(), images, px, start)
        return {"metric": counts.mean_iou, "pixel_accuracy": counts.pixel_accuracy}
    found = boxes(network.eval(), images, px, start if own else None).average_precision()
    return {"metric": found.ap, "ap50": found.ap50}


def compare(start: Checkpoint, images: ImageSource, recipe: Recipe, given: Any) -> None:
    """Train both with each seed, and print what they reach."""
    known = [json.loads(line) for line in given.out.open()] if given.out.exists() else []
    key = {
        "data": images.name,
        "body": given.body.name,
        "px": given.px,
        "recipe": recipe.model_dump(mode="json"),
    }
    their_name = "torchvision" + (f" at {given.times:g} times its rate" if given.times != 1 else "")
    trainings: dict[str, Callable[..., nn.Module]] = {
        "ours": ours,
        their_name: partial(theirs, times=given.times),
    }
    for seed, (name, train) in itertools.product(range(given.seeds), trainings.items()):
        if given.only is not None and not name.startswith(given.only):
            continue
        if any(one["key"] == key and (one["name"], one["seed"]) == (name, seed) for one in known):
            continue
        print(f"{name}, seed {seed}")
        began = time.perf_counter()
        network = train(start, images, recipe, given.px, seed)
        took_s = time.perf_counter() - began
        result = judged(network, images, given.px, start, own=name == "ours")
        line = {"key": key, "name": name, "seed": seed, "seconds": round(took_s), **result}
        with given.out.open("a") as file:
            file.write(json.dumps(line) + "\n")
        known.append(line)
        print(f"  {100 * result['metric']:.1f} on {len(images.pictures['test'])} test photos")
    if given.only is None:
        report([one for one in known if one["key"] == key and one["name"] in trainings])


def report(rows: list[dict[str, Any]]) -> None:
    """Print the means of both, and their difference over seeds."""
    by_name = {
        name: sorted((one for one in rows if one["name"] == name), key=lambda one: one["seed"])
        for name in sorted({one["name"] for one in rows})  # ours is the first
    }
    for name, found in by_name.items():
        extra = next(k for k in found[0] if k in ("ap50", "pixel_accuracy"))
        print(
            f"{name:34} {_mean(found, 'metric')}  {extra} {_mean(found, extra)}  "
            f"{[round(100 * one['metric'], 1) for one in found]}"
        )
    apart = [100 * (a["metric"] - b["metric"]) for a, b in zip(*by_name.values(), strict=True)]
    if len(apart) > 1:
        points, half = mean_with_interval(apart)
        print(f"difference {points:+.1f} (+- {half:.1f}, t over {len(apart)} seeds)")


def _mean(rows: list[dict[str, Any]], key: str) -> str:
    return f"{100 * mean(row[key] for row in rows):.1f}"


def speed(start: Checkpoint, images: ImageSource, recipe: Recipe, px: int) -> None:
    """Time steps of both in turns."""
    ratios = []
    for turn in range(TURNS):
        rates = {
            "torchvision": _their_rate(start, images, recipe, px),
            "ours": _our_rate(start, images, recipe, px),
        }
        ratios.append(rates["ours"] / rates["torchvision"])
        print(f"turn {turn}: {rates}, {ratios[-1]:.2f} times")
    print(f"median {sorted(ratios)[len(ratios) // 2]:.2f} times torchvision's images per second")


def _their_rate(start: Checkpoint, images: ImageSource, recipe: Recipe, px: int) -> float:
    longer = recipe.model_copy(update={"epochs": 10 * (WARM_UP + TIMED)})
    _, steps = their_training(start, images, longer, px)
    for _ in range(WARM_UP):
        next(steps)
    began = time.perf_counter()
    count = sum(itertools.islice(steps, TIMED))
    return count / (time.perf_counter() - began)


def _our_rate(start: Checkpoint, images: ImageSource, recipe: Recipe, px: int) -> float:
    times: list[float] = []
    short = recipe.model_copy(update={"epochs": None, "steps": 1 + WARM_UP + TIMED})

    def clock(_: Progress) -> None:
        times.append(time.perf_counter())

    data = images.at(px, train_px=task_of(images.task).stored_px(recipe, px))
    assert isinstance(data.val, ArraySplit)
    data = replace(data, val=data.val.take(np.arange(2)))
    begun = start.for_task(images.task, data.classes)
    fine_tuned(begun, data, short, seed=0, on_progress=clock)
    return TIMED * recipe.batch_size / (times[WARM_UP + TIMED - 1] - times[WARM_UP - 1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="photos with boxes or masks")
    parser.add_argument("body", type=Path, help="a classifier's seed.pt, which nas import makes")
    parser.add_argument("--px", type=int, default=192)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipe", help="ours; default: detect or segment")
    parser.add_argument("--threads", type=int)
    parser.add_argument(
        "--times", type=float, default=1, help="factor on torchvision's learning rate (1)"
    )
    parser.add_argument("--only", choices=["ours", "torchvision"], help="train one of them")
    parser.add_argument("--speed", action="store_true", help="time steps instead of training")
    parser.add_argument("--out", type=Path, default=Path("beside_torchvision.jsonl"))
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    start, images = load_checkpoint(given.body), open_source(given.data)
    recipe = recipe_of(images, given)
    if given.speed:
        speed(start, images, recipe, given.px)
    else:
        compare(start, images, recipe, given)


if __name__ == "__main__":
    main()
