"""One more rival of a search: a network that another method makes of the tuned parent."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from latency import MeasurementError
from nas.atomic_files import write_whole
from nas.engine.folder.run_folder import RunFolder
from nas.engine.runner import RunStoppedError, stops_if_lost
from nas.engine.watching import Watcher, notify_preparing
from nas.searching.from_parent.rivals import Measure, add_rival, foreign, read_standing
from nas.searching.from_parent.searched_parent import Narrow

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset

FOLDER = "netadapt"
"""Subfolder of the run for NetAdapt; the result is kept next to it, as `netadapt.pt`."""


def narrowed_rival(
    narrow: Narrow,
    parent: Checkpoint,
    data: Dataset,
    run: RunFolder,
    *,
    measure: Measure,
    target_ms: float,
    watcher: Watcher,
) -> tuple[int, Checkpoint]:
    """Narrow the tuned parent, and record the result as a rival; finished steps are loaded.

    Returns:
        The rival's index, and the network.

    Raises:
        RunStoppedError: It cannot be measured.
    """
    from nas.checkpoints.checkpoint import checkpoint_bytes, load_checkpoint  # imports torch
    from nas.checkpoints.torch_files import weights_digest

    folder, kept = run / FOLDER, run / f"{FOLDER}.pt"
    if kept.is_file():
        network = load_checkpoint(kept)
    else:
        try:
            with stops_if_lost():
                network = narrow(
                    parent, data, target_ms, folder, partial(notify_preparing, watcher)
                )
        except MeasurementError as error:
            raise RunStoppedError(f"NetAdapt could not measure its networks: {error}") from error
        write_whole(kept, checkpoint_bytes(network))
    digest = weights_digest(network.weights)
    if digest not in (found := [rival.weights for rival in read_standing(run).rivals]):
        with stops_if_lost():
            (reading,) = measure([network.spec])
        if isinstance(reading, MeasurementError):
            raise RunStoppedError(f"the network of {folder} could not be measured: {reading}")
        name = f"NetAdapt at {network.spec.resolution} px"
        add_rival(run, foreign(name, network, network.spec, reading))
        found.append(digest)
    return found.index(digest), network
