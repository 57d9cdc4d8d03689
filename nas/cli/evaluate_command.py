"""`nas evaluate`: top-1 of a trained network on a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.output import JsonFlag, messages, print_json
from nas.cli.provenance import say_run
from nas.cli.specs import of_run
from nas.cli.waiting import waiting
from search_spaces import REFERENCES, InputError
from search_spaces.shell import quoted

SPLITS = {"train": ("train",), "val": ("val",), "test": ("test",), "all": ("train", "val", "test")}


def evaluate(
    seed: Annotated[str, typer.Argument(help="A seed.pt, or a run's folder.")],
    data: Annotated[
        str,
        typer.Option(help="Class folders named as the network's classes, or a data set by name."),
    ],
    split: Annotated[str, typer.Option(metavar="|".join(SPLITS), help="Which images.")] = "test",
    resolution: Annotated[
        int | None, typer.Option(help="Side in pixels; default what it was trained at.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Print how many images a trained network gets right, with a 95% interval."""
    if split not in SPLITS:
        raise InputError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    from nas.scoring import score
    from nas.seeds import load_seed
    from nas.training.load import load_dataset

    path = of_run(seed, ".pt") or Path(seed)
    if seed.partition("@")[0] in REFERENCES or path.suffix in (".yaml", ".yml"):
        raise InputError(
            f"{seed} has no weights: train it first, by nas train {quoted(seed)} --data {quoted(data)}"
        )
    network = load_seed(path)
    say_run(path, network.run)
    with waiting(messages(), "reading images") as status:
        images = load_dataset(
            data,
            resolution_px=network.usage.trained_px if resolution is None else resolution,
            progress=lambda done, total: status.update(f"reading images, {done} of {total}"),
        )
        status.update("evaluating")
        found = score(network, images, SPLITS[split])
    if as_json:
        print_json({"accuracy": found.accuracy, "ci95": list(found.ci95), "images": found.images})
        return
    low, high = found.ci95
    typer.echo(
        f"{100 * found.accuracy:.1f}% ({100 * low:.1f} to {100 * high:.1f}) of {found.images} images "
        f"at {images.resolution_px} px"
    )
