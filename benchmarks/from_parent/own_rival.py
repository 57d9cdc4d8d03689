"""A rival with weights of its own, fine-tuned on the images of a search."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from benchmarks.from_parent.comparison import Contestant
from benchmarks.from_parent.opened import Opened
from nas.checkpoints.checkpoint import load_checkpoint
from nas.checkpoints.torch_files import weights_digest
from nas.engine.folder.run_folder import RunFolder
from nas.searching.from_parent.rivals import at_resolutions
from nas.searching.from_parent.tuning import tuned_parent
from nas.training.machine.device import worker_device
from search_spaces import ArchSpec, InputError


class TooSlowError(InputError):
    """A rival is over the target at every resolution."""


def own_rival(opened: Opened, path: Path, folder: Path) -> Contestant:
    """Return a network with weights of its own, fine-tuned on the run's images.

    Raises:
        InputError: It meets the target at none of the resolutions, or knows the classes in another order.
    """
    given = load_checkpoint(path)
    known = {rival.weights: rival.spec.resolution for rival in opened.rivals}
    px = known.get(weights_digest(given.weights)) or _largest_px(opened, given.spec, path)
    kept = RunFolder(
        folder / f"rival-{path.stem}-{px}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
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


def _largest_px(opened: Opened, spec: ArchSpec, path: Path) -> int:
    """Return the largest resolution of a search at which a network is within its targets.

    Raises:
        TooSlowError: It is within them at none.
    """
    for sized in at_resolutions(spec, opened.space):
        if opened.overrun(sized) <= 1:
            return sized.resolution
    raise TooSlowError(
        f"{path} is over the target at every resolution of the search: give a smaller network"
    )
