"""How image files become squares of pixels: what holds for a whole data set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import Image

BACKGROUND = "white"

LEAST_CROP = 0.1
"""Minimum of `Preparation.crop`."""

Fit = Literal["crop", "stretch"]


def usual_fit(task: str) -> Fit:
    """Return how a task's networks see an image: classifiers its center, others all of it.

    Args:
        task: See `nas.tasks.task_of`.
    """
    return "crop" if task == "classify" else "stretch"


@dataclass(frozen=True)
class White:
    """White levels of a data set; None determines it for each image.

    Attributes:
        whole: For integer images (PIL's modes I and I;16).
        real: For float images (mode F).
    """

    whole: int | None = None
    real: int | None = None

    def of(self, image: Image.Image) -> int | None:
        """Return the white level for an image's mode."""
        return self.real if image.mode == "F" else self.whole


EACH_ITS_OWN = White()


@dataclass(frozen=True)
class Preparation:
    """How the images of a data set are prepared.

    Attributes:
        background: Color behind transparent pixels, as PIL's `ImageColor` names it.
        white: White level of images of more than eight bits.
        crop: Side of the central square that becomes the input, as a fraction of the shorter side,
            `LEAST_CROP` to 1. ImageNet's convention is 0.875: the shorter side is resized to 256 px, and
            224 px of it are the input.
        exact: Whether to resize with Pillow, as docs/deploy.md tells apps to do. False resizes faster and
            rounds differently; it is meant for training images that are decoded every epoch.
        fit: `crop` takes the central square of an image, `stretch` all of it, whatever its shape: objects
            and masks at its edges count as well.
    """

    background: str = BACKGROUND
    white: White = EACH_ITS_OWN
    crop: float = 1.0
    exact: bool = True
    fit: Fit = "crop"

    def whole(self) -> Preparation:
        """Return the preparation of training images, whose random crops see the whole central square."""
        return replace(self, crop=1.0)

    def decoded_px(self, size_px: int) -> int:
        """Return the least shorter side to decode at: twice that of the resized image, for the filter.

        >>> Preparation().decoded_px(224), Preparation(crop=0.875).decoded_px(224)
        (448, 512)
        """
        return int(2 * size_px / self.crop)


PLAIN = Preparation()
