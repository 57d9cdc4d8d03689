"""The two image sizes of a search: the deployed size, and a smaller one for trials."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces import SearchSpace


@dataclass(frozen=True)
class Sizes:
    """Sides of the images in pixels.

    Attributes:
        proxy_px: Size for trials.
        deployed_px: Size on the device. Latency is measured, finalists finish training, and the winner is
            tested and exported at it.
    """

    proxy_px: int
    deployed_px: int

    @property
    def differ(self) -> bool:
        """Whether trials train at a different size than the deployed one."""
        return self.proxy_px != self.deployed_px

    def describe(self, accuracy: str, latency: str, *, accuracy_px: int | None) -> str:
        """Format a network's accuracy and latency, each with its image size.

        >>> Sizes(64, 224).describe("82.6%", "5.36 ms", accuracy_px=64)
        '82.6% (64 px) at 5.36 ms (224 px)'
        >>> Sizes(28, 28).describe("82.6%", "5.36 ms", accuracy_px=28)
        '82.6% at 5.36 ms (28 px)'
        """
        if accuracy_px is not None and accuracy_px != self.deployed_px:
            accuracy = f"{accuracy} ({accuracy_px} px)"
        return f"{accuracy} at {latency} ({self.deployed_px} px)"


def deployed_px(space: SearchSpace) -> int:
    """Return the deployed size of a space's networks."""
    return space.decode((0,) * len(space.arities)).resolution


def settle_sizes(own_px: int, *, resolution: int | None, proxy_resolution: int | None) -> Sizes:
    """Choose the resolutions that were not given.

    The deployed size defaults to the images' own: a larger one costs latency and adds no detail. Trials use
    the deployed size, or the images' own if that is smaller.

    Args:
        own_px: The images' own resolution; see `nas.data.image_files.decode.default_resolution`.
        resolution: The deployed resolution, if given.
        proxy_resolution: The trials' resolution, if given.

    >>> settle_sizes(28, resolution=None, proxy_resolution=None)
    Sizes(proxy_px=28, deployed_px=28)
    >>> settle_sizes(224, resolution=None, proxy_resolution=64)
    Sizes(proxy_px=64, deployed_px=224)
    >>> settle_sizes(224, resolution=96, proxy_resolution=None)
    Sizes(proxy_px=96, deployed_px=96)
    >>> settle_sizes(28, resolution=None, proxy_resolution=64)
    Sizes(proxy_px=64, deployed_px=64)
    """
    deployed_px = resolution or max(own_px, proxy_resolution or 0)
    return Sizes(proxy_resolution or min(own_px, deployed_px), deployed_px)
