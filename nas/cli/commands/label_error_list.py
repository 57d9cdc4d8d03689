"""Show images whose labels look wrong: a table, a CSV file, a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.table import Table

from nas.formatting import four_digits, one_line, percent

if TYPE_CHECKING:
    from nas.data.source import ImageSource
    from nas.export.evaluation.suspects import Suspect

DRAWN_PX = 192
COLUMNS = ("split", "file", "label", "looks_like", "label_probability", "looks_like_probability")


@dataclass(frozen=True)
class LabelErrors:
    """Images of a data set whose labels look wrong to a network.

    Attributes:
        file: The network.
        px: Side of its input.
        source: The data.
        suspects: The images, the largest margin first.
    """

    file: Path
    px: int
    source: ImageSource
    suspects: Sequence[Suspect]

    def table(self, worst: int, *, folder: str) -> Table:
        """Tabulate the first few, with files as they are called in the data's folder."""
        table = Table(box=SIMPLE, pad_edge=False, title_justify="left", caption_justify="left")
        if len(self.suspects) > worst:
            table.title = f"the {worst} least like their labels, of {len(self.suspects):,}"
        table.caption = "percentages: the network's probabilities of both classes"
        for name in ("split", "file", "label", "", "looks like", ""):
            table.add_column(name, overflow="fold", justify="left" if name else "right")
        for one in self.suspects[:worst]:
            table.add_row(
                one.split,
                one_line(one.name.removeprefix(f"{folder.rstrip('/')}/")),
                one_line(one.label),
                percent(one.label_probability),
                one_line(one.guess),
                percent(one.guess_probability),
            )
        return table

    def lines(self) -> Iterator[str]:
        """Say how many there are, and how far to trust that."""
        counts = ", ".join(
            f"{sum(one.split == split for one in self.suspects):,} of {len(part):,} in {split}"
            for split, part in self.source.pictures.items()
        )
        yield f"images that look like another class to {self.file} at {self.px} px: {counts}"
        if self.suspects:
            yield (
                "some are the network's own mistakes, and it fits wrong labels that it was trained on: "
                "check train with a network trained on other images"
            )

    def document(self) -> dict[str, Any]:
        """Return plain data."""
        images = [dict(zip(COLUMNS, _row(one), strict=True)) for one in self.suspects]
        return {"network": str(self.file), "px": self.px, "images": images}

    def csv(self) -> str:
        """Return a table of all images."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in self.suspects:
            *names, label, guess = _row(one)
            writer.writerow([*names, four_digits(label), four_digits(guess)])
        return text.getvalue()

    def picture(self, worst: int) -> bytes:
        """Return a PNG of the first few, with their labels and guesses."""
        from nas.data.contact_sheet import Captioned, contact_sheet
        from nas.data.image_files.decode import decode

        shown = []
        for one in self.suspects[:worst]:
            pixels = decode(
                self.source.pictures[one.split],
                one.index,
                size_px=DRAWN_PX,
                preparation=self.source.preparation,
            )
            lines = (
                f"{one.split}: {Path(one.name).name}",
                f"label: {percent(one.label_probability)} {one_line(one.label)}",
                f"like:  {percent(one.guess_probability)} {one_line(one.guess)}",
            )
            shown.append(Captioned(pixels, lines))
        content = io.BytesIO()
        contact_sheet(shown).save(content, format="PNG")
        return content.getvalue()


def _row(one: Suspect) -> tuple[str, str, str, str, float, float]:
    probabilities = one.label_probability, one.guess_probability
    return one.split, one.name, one.label, one.guess, *probabilities
