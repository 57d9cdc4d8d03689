"""`run.json` of a NetAdapt run: the seed with its latency and accuracy, the device, the data, the settings.

The seed's latency and accuracy are measured once per run, because every later decision depends on them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from latency import Device, Latency
from nas.adapting.config import AdaptConfig
from nas.atomic_files import read_json, write_whole
from nas.engine.memoized_source import MemoizedSource
from nas.engine.run_folder import RunFolder
from nas.engine.run_metadata import data_metadata, keep_contents, resumed_metadata
from search_spaces import ArchSpec, InputError
from search_spaces.spec import to_dict

if TYPE_CHECKING:
    from nas.data.images import Dataset

KIND = "netadapt"
"""Value of `kind` in a NetAdapt run's metadata."""


def adapt_metadata(
    seed: ArchSpec, device: Device, data: Dataset, config: AdaptConfig
) -> dict[str, Any]:
    """Return what must not change when a run is resumed, as plain data."""
    return {
        "kind": KIND,
        "seed": {"fingerprint": seed.fingerprint, "spec": to_dict(seed)},
        "device": asdict(device),
        "target_ms": config.target_ms,
        "settings": config.settings(),
        "last": config.final_settings(),
        "data": data_metadata(data),
    }


def begin_metadata(
    run: RunFolder,
    metadata: dict[str, Any],
    seed: ArchSpec,
    latency: MemoizedSource,
    accuracy: Callable[[], float],
    data: Dataset | None = None,
) -> float:
    """Write the metadata with the seed's latency and accuracy; on resume, take these from the file.

    Args:
        run: The run's folder.
        metadata: See `adapt_metadata`.
        seed: The seed's network.
        latency: Measures the seed on a new run; on resume it is given the recorded reading.
        accuracy: Returns the seed's held-out accuracy, 0..1.
        data: The images: see `nas.engine.run_metadata.record_metadata`.

    Returns:
        The seed's accuracy.

    Raises:
        InputError: The run in the folder has different metadata; the first difference is named. Settings
            of the final trainings may change until one has ended.
    """
    path = run / "run.json"
    metadata = json.loads(json.dumps(metadata))  # compare with what a file would give
    if path.is_file():
        before = read_json(path)
        if before.get("kind") != KIND:
            raise InputError(f"{path}: not written by netadapt: choose another folder")
        free = set() if run.ending else {"last"}
        metadata = resumed_metadata(
            run, {k: f for k, f in before.items() if k not in free}, metadata, data
        )
        latency.know(seed, Latency.from_dict(before["latency"]))
        metadata |= {"latency": before["latency"], "accuracy": before["accuracy"]}
    else:
        metadata |= {"latency": latency.reading(seed).to_dict(), "accuracy": accuracy()}
    begun = path.is_file()
    write_whole(path, json.dumps(metadata, indent=1) + "\n")
    keep_contents(run, data, begun=begun)
    return float(metadata["accuracy"])
