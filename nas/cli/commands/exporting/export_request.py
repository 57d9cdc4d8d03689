"""The output requested from `nas export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas.cli.specs import open_spec, stem
from nas.data.config import DataConfig
from nas.display.output import not_over
from search_spaces import InputError


@dataclass(frozen=True)
class Request:
    """The output requested; for the fields see the options of `export`."""

    spec: str
    litert: bool
    int8: bool
    data: DataConfig | None
    output: Path | None
    resolution: int | None
    dynamic_batch: bool
    pixels: bool
    postprocessing: bool = False
    classes: Path | None = None

    @property
    def trained(self) -> bool:
        """Whether the input has weights."""
        return self.spec.endswith(".pt")

    def path(self) -> Path:
        """Return the path of the file to write.

        Raises:
            InputError: See `writable`.
        """
        name = Path(self.spec)
        # Random weights must not overwrite a file with trained ones.
        parts = {"pixels": self.pixels, "results": self.postprocessing, "int8": self.int8}
        parts["random"] = not self.trained
        kind = "".join(f"-{part}" for part, wanted in parts.items() if wanted)
        suffix = ".tflite" if self.litert else ".onnx"
        return writable(
            self.output or name.with_name(stem(self.spec) + kind + suffix), self.spec, suffix
        )


def require_weights(spec: str, *, option: str) -> None:
    """Check that a network is trained, as an option needs.

    Raises:
        InputError: There is no such network, or it has no weights.
    """
    open_spec(spec)  # report an unknown name first
    if not spec.endswith(".pt"):
        raise InputError(f"{option} needs trained weights, but {spec} has none: give a seed.pt")


def writable(path: Path, source: str, suffix: str) -> Path:
    """Return the path after checking that a file with this suffix can be written there.

    Raises:
        InputError: The path is the input file, has another suffix, or its folder does not exist.
    """
    not_over(path, source)
    if path.suffix != suffix:
        raise InputError(f"the file name must end in {suffix}, got {path}: choose another --output")
    if not path.parent.is_dir():
        raise InputError(f"no folder {path.parent}: create it, or choose another --output")
    return path
