"""Fine-tune the parent of a search on its images, before anything inherits from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.atomic_files import write_whole
from nas.checkpoints.known_classes import fits_classes, with_classes_of
from nas.engine.folder.run_folder import RunFolder
from nas.engine.folder.run_metadata import DataMetadata
from nas.engine.runner import RunStoppedError
from nas.training.recipe import Recipe

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from nas.training.progress import Progress

PARENT = "parent"
"""Name of the run's parent: its file, and the folder with state and history of its fine-tuning."""

RANKING_PARENT = "ranking-parent"
"""Name of the parent of trials, where it is another: see `nas.searching.from_parent.set_aside`."""


def tuned_parent(
    run: RunFolder,
    start: Checkpoint,
    data: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    device: str,
    kept: Path | None = None,
    name: str = PARENT,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Checkpoint:
    """Return the parent with the data's classes: as it is, from an earlier run, or fine-tuned now.

    An interrupted fine-tuning is resumed from its last state.

    Args:
        run: The run's folder, locked; keeps a copy.
        start: The parent as given.
        data: The images, at the parent's resolution.
        recipe: Recipe of the fine-tuning.
        seed: Random seed of the new classifier, order and augmentation.
        device: Where to train.
        kept: Folder of parents that earlier runs have fine-tuned on the same images by the same recipe.
        name: What the run's copy and its state are called.
        on_progress: Called every few steps.

    Raises:
        InputError: There are fewer images than a batch, or the disk is full.
        RunStoppedError: The training failed.
    """
    from nas.checkpoints.checkpoint import checkpoint_bytes, load_checkpoint
    from nas.checkpoints.retrain import fine_tuned
    from nas.training.train import BatchTooLarge, Diverged
    from nas.training_runs.keeping import StateKeeper

    start = replace(start, from_parent=True)
    copy = run / f"{name}.pt"
    if copy.is_file():
        return load_checkpoint(copy)
    if fits_classes(start, data):
        write_whole(copy, checkpoint_bytes(start))
        return start
    earlier = None if kept is None else kept / f"{tuning_key(start, data, recipe, seed=seed)}.pt"
    if earlier is not None and earlier.is_file():
        write_whole(copy, earlier.read_bytes())
        return load_checkpoint(copy)
    folder = run / name
    folder.mkdir(exist_ok=True)
    keeper = StateKeeper(folder)
    try:
        tuned = fine_tuned(
            with_classes_of(data, start),
            data,
            recipe,
            seed=seed,
            device=device,
            keeper=keeper,
            # Only patience needs a look at each epoch, which takes long for boxes and masks.
            evaluate_every=recipe.patience and recipe.epoch_steps(len(data.train)),
            on_progress=on_progress,
        )
    except (BatchTooLarge, Diverged) as error:
        raise RunStoppedError(f"the parent's fine-tuning failed: {error}") from error
    content = checkpoint_bytes(tuned)
    if earlier is not None:
        earlier.parent.mkdir(exist_ok=True)
        write_whole(earlier, content)
    write_whole(copy, content)
    keeper.finish()
    return tuned


def tuning_key(start: Checkpoint, data: Dataset, recipe: Recipe, *, seed: int) -> str:
    """Return what identifies a fine-tuned parent: a digest of all that its weights depend on."""
    from nas.checkpoints.torch_files import weights_digest

    parts = {
        "network": replace(start.spec, resolution=data.resolution_px).fingerprint,
        "normalization": [start.usage.mean, start.usage.std],
        "weights": weights_digest(start.weights),
        "classes": data.classes,
        "data": DataMetadata.of(data).to_dict(),
        "files": None if data.contents is None else data.contents.to_dict(),
        "recipe": recipe.model_dump(mode="json"),
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
