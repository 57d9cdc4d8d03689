"""Open trained networks: checkpoints, runs, published weights by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nas.cli.provenance import say_run
from nas.cli.specs import trained_file
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint

FILES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
"""What the names of networks' files end with."""

OF_RUNS = ("seed", "best", "rival", "finalist", "adapted")
"""Names of files that every run has."""

RIVALS = "rivals"
"""Folder of a run's copies of the rivals that the user names."""


def open_trained(path: str, *, mend: str) -> Checkpoint:
    """Read a checkpoint, or fetch published weights.

    Args:
        path: A file, a run's folder, or a published name.
        mend: What to do without one, for the error.

    Raises:
        InputError: It is not a trained network, or cannot be read or fetched.
    """
    from nas.checkpoints.checkpoint import load_checkpoint  # imports torch
    from nas.checkpoints.importing import embedded
    from nas.checkpoints.importing.published import is_published, published_checkpoint

    if path == embedded.NAME and not Path(path).exists():
        return embedded.embedded_checkpoint()
    if is_published(path) and not Path(path).exists():
        return published_checkpoint(path)
    file = trained_file(path, mend=f"import trained ones with nas import, or {mend}")
    if file.suffix in FILES[1:] and file.is_file():
        raise InputError(
            f"{path} has weights only: make a seed.pt of it with nas import --arch NAME --weights {path}, "
            "and give that"
        )
    checkpoint = load_checkpoint(file)
    say_run(str(file), checkpoint.run)
    return checkpoint


def network_name(path: str) -> str:
    """Return what a trained network is called: a file's name, or its run's.

    >>> network_name("nets/mobilenet_v3_small.pt"), network_name("runs/groceries/seed.pt")
    ('mobilenet_v3_small', 'groceries')
    >>> network_name("rivals/seed.pt"), network_name("mnasnet_b1@0.5")
    ('seed', 'mnasnet_b1@0.5')
    """
    given = Path(path)
    run = given.parent.name
    if given.stem in OF_RUNS and run not in ("", RIVALS):
        return run
    return given.stem if given.suffix in FILES else given.name
