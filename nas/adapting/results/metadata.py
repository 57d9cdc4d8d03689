"""`run.json` of a NetAdapt run: the seed with its latency and accuracy, the device, the data, the settings.

The seed's latency and accuracy are measured once per run, because every later decision depends on them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from latency import Latency
from nas.adapting.config import AdaptConfig
from nas.atomic_files import read_json, read_object
from nas.engine.folder.recording import write_metadata
from nas.engine.folder.records import Record, parse_record
from nas.engine.folder.run_folder import RunFolder
from nas.engine.folder.run_metadata import DataMetadata, DeviceMetadata, TeacherMetadata
from nas.engine.memoized_source import MemoizedSource
from search_spaces import ArchSpec, InputError
from search_spaces.spec import to_dict

if TYPE_CHECKING:
    from nas.data.images import Dataset

KIND: Final = "netadapt"
"""Value of `kind` in a NetAdapt run's metadata."""

REMEDY = "give the folder of a run, or restore the file from a copy"


class SeedMetadata(Record):
    """The seed's network: its fingerprint, and the network as plain data (`search_spaces.spec`)."""

    fingerprint: str
    spec: dict[str, Any]


class AdaptMetadata(Record):
    """What is narrowed, where and on what; fixed once the run has begun.

    Attributes:
        kind: Distinguishes the file from a search's.
        seed: The network that the run starts from.
        device: The target device.
        target_ms: Target latency on it.
        settings: `AdaptConfig.settings`.
        last: `AdaptConfig.final_settings`, which may change until a final training has ended.
        teacher: The network that final trainings learn from; may change until one has ended, unless
            proposals learn from it too.
        data: The images.
        latency: The seed's latency.
        accuracy: The seed's held-out accuracy, 0..1.
    """

    kind: Literal["netadapt"] = KIND
    seed: SeedMetadata
    device: DeviceMetadata
    target_ms: float
    settings: dict[str, Any]
    last: dict[str, Any] = Field(default_factory=dict)
    teacher: TeacherMetadata | None = None
    data: DataMetadata
    latency: Latency
    accuracy: float

    def step_settings(self, *, where: object) -> AdaptConfig:
        """Return the recorded settings; others have their defaults.

        Args:
            where: The file, which an error names.

        Raises:
            InputError: A setting is invalid.
        """
        given = {**self.settings, **self.last, "target_ms": self.target_ms}
        if (taught := self.teacher) is not None:
            given["teacher"] = {
                "path": taught.file,
                "temperature": taught.temperature,
                "weight": taught.weight,
            }
        return parse_record(AdaptConfig, given, where=where)


def read_adapt_metadata(path: Path) -> AdaptMetadata:
    """Read the `run.json` of a NetAdapt run.

    Raises:
        InputError: The file is missing or damaged, or was not written by NetAdapt.
    """
    content = read_object(path, remedy=REMEDY)
    if content.get("kind") != KIND or _required() - set(content):
        raise InputError(f"{path}: not written by netadapt: give the folder of a NetAdapt run")
    return parse_record(AdaptMetadata, content, where=path)


def _required() -> set[str]:
    fields = AdaptMetadata.model_fields.items()
    return {name for name, field in fields if field.is_required()}


def begin_metadata(
    run: RunFolder,
    seed: ArchSpec,
    *,
    latency: MemoizedSource,
    data: Dataset,
    config: AdaptConfig,
    accuracy: Callable[[], float],
    teacher: TeacherMetadata | None = None,
) -> float:
    """Write the metadata with the seed's latency and accuracy; on resume, take these from the file.

    Args:
        run: The run's folder.
        seed: The seed's network.
        latency: Measures the seed on a new run; on resume it is given the recorded reading.
        data: The images: see `nas.engine.folder.recording.record_metadata`.
        config: All settings.
        accuracy: Returns the seed's held-out accuracy, 0..1.
        teacher: The network that final trainings learn from, if any.

    Returns:
        The seed's accuracy.

    Raises:
        InputError: The run in the folder has different metadata; the first difference is named. Settings
            of the final trainings may change until one has ended; so may the teacher, unless proposals
            learn from it.
    """
    path = run / "run.json"
    content = read_json(path) if path.is_file() else None
    before = None if content is None else _resumed(content, path)
    metadata = AdaptMetadata(
        seed=SeedMetadata(fingerprint=seed.fingerprint, spec=to_dict(seed)),
        device=DeviceMetadata.of(latency.device),
        target_ms=config.target_ms,
        settings=config.settings(),
        last=config.final_settings(),
        teacher=teacher,
        data=DataMetadata.of(data),
        latency=before.latency if before else latency.reading(seed),
        accuracy=before.accuracy if before else accuracy(),
    )
    free = ("last",) if config.teach_proposals else ("last", "teacher")
    write_metadata(run, metadata, data, before=content, free=() if run.ending else free)
    if before:
        latency.know(seed, metadata.latency)
    return metadata.accuracy


def _resumed(content: Any, path: Path) -> AdaptMetadata:
    """Parse the metadata of the run that the folder holds.

    Raises:
        InputError: They are damaged, or were not written by NetAdapt.
    """
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise InputError(f"{path}: not written by netadapt: choose another folder")
    return parse_record(AdaptMetadata, content, where=path)
