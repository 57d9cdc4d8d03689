"""The subjects of `nas measure`: networks and model files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from latency import LatencySource, Measured
from latency.files.model_file import is_model_file, open_model, read_model
from nas.cli.specs import Changes, open_spec
from search_spaces import ArchSpec, InputError


@dataclass(frozen=True)
class Subject:
    """A network, or a model file in the device's format.

    Attributes:
        name: The name typed.
        spec: The network; None for a file.
        model: Content of the file; None for a network.
        size: Height and width of the input in pixels; None for a file not opened yet.
    """

    name: str
    spec: ArchSpec | None = None
    model: bytes | None = None
    size: tuple[int, int] | None = None

    @property
    def px(self) -> str:
        """Format the size.

        >>> Subject("a", size=(224, 224)).px, Subject("b", size=(192, 256)).px, Subject("c").px
        ('224', '192x256', '')
        """
        if self.size is None:
            return ""
        height, width = self.size
        return str(height) if height == width else f"{height}x{width}"

    def on(self, source: Measured) -> bytes:
        """Return the model to run on the device."""
        if self.model is not None:
            return self.model
        assert self.spec is not None
        return source.runtime.export(self.spec)


def subject(name: str, changes: Changes) -> Subject:
    """Find the network or file called `name`; files are not opened yet.

    Raises:
        InputError: No such network or file, or a change does not apply to it.
    """
    if not is_model_file(name):
        spec = open_spec(name, changes)
        return Subject(name, spec=spec, size=(spec.resolution, spec.resolution))
    for option in ("width", "convention"):
        if getattr(changes, option) is not None:
            raise InputError(f"--{option} applies to reference networks only, got the file {name}")
    if changes.resolution is not None and changes.resolution < 1:
        raise InputError(
            f"resolution must be at least 1, got {changes.resolution}: give a side in pixels"
        )
    return Subject(name, model=read_model(Path(name)))


def prepared(
    subjects: list[Subject], source: LatencySource, *, resolution: int | None
) -> list[Subject]:
    """Convert model files to the device's format.

    Devices that do not list their formats get the files unchanged.

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
            raise InputError(f"{one.name}: {source.device.name} measures networks, not files")
        if not formats:
            ready.append(one)
            continue
        file = open_model(Path(one.name), one.model, resolution=resolution, formats=formats)
        ready.append(replace(one, model=file.content, size=(file.height, file.width)))
    return ready
