"""What there is to look at after an evaluation, as plain data: a run's folder keeps it for its report."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from nas.atomic_files import write_whole
from nas.engine.folder.run_folder import RunFolder
from nas.tasks.display import Chart, Table
from search_spaces.errors import InputError, first_problem

FILE = "examined.json.gz"
"""What the network of a finished run does on its test images."""


@dataclass(frozen=True)
class ShownImage:
    """An image with what is true of it and what the network says.

    Attributes:
        name: Its path, or another name.
        score: How well the network does on it, 0..1; see `Evidence.each`.
        truth: What is true, in words.
        found: What the network says, in words.
        pictures: JPEGs in base64: with the truth, and with what the network says; one if both look alike.
    """

    name: str
    score: float
    truth: str
    found: str
    pictures: tuple[str, ...]


@dataclass(frozen=True)
class Examined:
    """An evaluation as people look at it.

    Attributes:
        metric: Short name of the metric.
        value: The metric, 0..1.
        ci95: Its 95% interval.
        images: Number of images.
        px: Side of the network's input.
        tables: Figures by class, and others.
        charts: Curves and matrices.
        score: What the score of an image is, in words.
        worst: The images with the lowest scores, the lowest first.
        legend: Colors in which classes are drawn, as CSS names them, where the pictures do not say.
    """

    metric: str
    value: float
    ci95: tuple[float, float]
    images: int
    px: int
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...]
    score: str
    worst: tuple[ShownImage, ...]
    legend: tuple[tuple[str, str], ...]

    def to_json(self) -> bytes:
        """Return it as JSON."""
        return _ADAPTER.dump_json(self)

    @classmethod
    def from_json(cls, content: bytes, *, where: str) -> Examined:
        """Read what `to_json` wrote.

        Raises:
            InputError: It is damaged.
        """
        try:
            return _ADAPTER.validate_json(content)
        except ValidationError as error:
            raise InputError(f"{where}: {first_problem(error)}: {_MEND}") from error


def keep_examined(folder: RunFolder, examined: Examined) -> None:
    """Write the evaluation of a run's network to its folder.

    Raises:
        InputError: The file cannot be written.
    """
    write_whole(folder / FILE, gzip.compress(examined.to_json(), mtime=0))


def read_examined(folder: RunFolder) -> Examined | None:
    """Read what `keep_examined` wrote; None if there is no such file.

    Raises:
        InputError: It is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: damaged ({error}): {_MEND}") from error
    return Examined.from_json(content, where=str(path))


def forget_examined(folder: RunFolder) -> None:
    """Remove the evaluation of a network that is about to be replaced."""
    (folder / FILE).unlink(missing_ok=True)


_ADAPTER = TypeAdapter(Examined)
_MEND = "restore it from a copy, or remove it (the report then shows no images)"
