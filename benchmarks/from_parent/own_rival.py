"""A rival with weights of its own, fine-tuned on the images of a search."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from benchmarks.from_parent.comparison import Contestant
from benchmarks.from_parent.opened import Opened
from nas.checkpoints.checkpoint import load_checkpoint
from nas.engine.folder.run_folder import RunFolder
from nas.searching.from_parent.tuning import tuned_parent
from nas.training.machine.device import worker_device
from search_spaces import InputError


def own_rival(opened: Opened, path: Path, folder: Path) -> Contestant:
    """Return a network with weights of its own, fine-tuned on the run's images.

    Raises:
        InputError: It meets the target at none of the resolutions, or knows the classes in another order.
    """
    given = load_checkpoint(path)
    classes = len(opened.images.proxy.classes)
    head = replace(given.spec.head, classes=classes)
    for px in sorted(opened.images.deployed, reverse=True):
        spec = replace(given.spec, head=head, resolution=px)
        if opened.overrun(spec) <= 1:
            break
    else:
        raise InputError(
            f"--rival {path} is over the target even at {px} px: give a smaller network"
        )
    kept = RunFolder(
        folder / f"rival-{path.stem}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    )
    kept.path.mkdir(exist_ok=True)
    data = opened.images.deployed[px]
    usage = replace(given.usage, crop=data.preparation.crop)
    print(f"fine-tuning {path.name} at {px} px by the parent's recipe", flush=True)
    with kept.locked():
        tuned = tuned_parent(
            kept,
            replace(given, spec=replace(given.spec, resolution=px), usage=usage),
            data,
            opened.config.recipe,
            seed=opened.search.config.seed,
            # Nothing else trains meanwhile, so all cores are free.
            device=worker_device(opened.training.device, threads=os.cpu_count() or 1),
        )
    if tuned.usage.classes != data.classes:
        raise InputError(
            f"--rival {path} was trained on these classes in another order: give its weights from before"
        )
    return Contestant("file", f"{path.stem} at {px} px", tuned.spec, kept / "parent.pt")
