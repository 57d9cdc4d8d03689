"""What `nas measure` measures: networks, and models' files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from latency import LatencySource, Measured
from latency.files.model_file import is_model_file, open_model, read_model
from nas.cli.specs import Changes, open_spec
from search_spaces import ArchSpec, InputError


@dataclass(frozen=True)
class Subject:
    """A network, or a model's file in the device's format.

    Attributes:
        name: As it was typed.
        spec: The network; None of a file.
        model: The file's content; None of a network.
        size: Height and width of its input in pixels; None where a file has not been looked into.
    """

    name: str
    spec: ArchSpec | None = None
    model: bytes | None = None
    size: tuple[int, int] | None = None

    @property
    def px(self) -> str:
        """The size for people.

        >>> Subject("a", size=(224, 224)).px, Subject("b", size=(192, 256)).px, Subject("c").px
        ('224', '192x256', '')
        """
        if self.size is None:
            return ""
        height, width = self.size
        return str(height) if height == width else f"{height}x{width}"

    def on(self, source: Measured) -> bytes:
        """The model that the device is given."""
        if self.model is not None:
            return self.model
        assert self.spec is not None
        return source.runtime.export(self.spec)


def subject(name: str, changes: Changes) -> Subject:
    """What a name stands for; files are not looked into yet.

    Raises:
        InputError: Nothing of that name, or a change that it cannot take.
    """
    if not is_model_file(name):
        spec = open_spec(name, changes)
        return Subject(name, spec=spec, size=(spec.resolution, spec.resolution))
    for option in ("width", "convention"):
        if getattr(changes, option) is not None:
            raise InputError(f"--{option} is for reference networks, got the file {name}")
    if changes.resolution is not None and changes.resolution < 1:
        raise InputError(
            f"resolution must be at least 1, got {changes.resolution}: give a side in pixels"
        )
    return Subject(name, model=read_model(Path(name)))


def prepared(
    subjects: list[Subject], source: LatencySource, *, resolution: int | None
) -> list[Subject]:
    """The subjects with their files as the device gets them.

    Devices that do not say which formats they run get files as they are.

    Raises:
        InputError: A file cannot be measured on the device.
    """
    runtime = source.runtime if isinstance(source, Measured) else None
    formats = getattr(runtime, "formats", ())
    ready = []
    for one in subjects:
        if one.model is None:
            ready.append(one)
            continue
        if runtime is None:
            raise InputError(f"{one.name}: {source.device.name} takes networks, not files")
        if not formats:
            ready.append(one)
            continue
        file = open_model(Path(one.name), one.model, resolution=resolution, formats=formats)
        ready.append(replace(one, model=file.content, size=(file.height, file.width)))
    return ready
