"""The image sizes of a search: those of deployed networks, and a smaller one for trials."""

from __future__ import annotations

from dataclasses import dataclass, field

from search_spaces import SearchesResolution, SearchSpace


@dataclass(frozen=True)
class Sizes:
    """Sides of the images in pixels.

    Attributes:
        proxy_px: Size for trials.
        deployed_px: Size on the device. Latency is measured, finalists finish training, and the winner is
            tested and exported at it.
        searched: Whether each network has its own deployed size, at which its trial trains too; the other
            two are then the largest.
    """

    proxy_px: int
    deployed_px: int
    searched: bool = field(default=False, repr=False)

    @property
    def differ(self) -> bool:
        """Whether trials train at a different size than the deployed one."""
        return self.proxy_px != self.deployed_px

    def latency_px(self, accuracy_px: int | None) -> int:
        """Return the size at which a network's latency is measured.

        Args:
            accuracy_px: The size at which its accuracy was read; None if unknown.
        """
        return accuracy_px if self.searched and accuracy_px else self.deployed_px

    def describe(self, accuracy: str, latency: str, *, accuracy_px: int | None) -> str:
        """Format a network's accuracy and latency, each with its image size.

        >>> Sizes(64, 224).describe("82.6%", "5.36 ms", accuracy_px=64)
        '82.6% (64 px) at 5.36 ms (224 px)'
        >>> Sizes(28, 28).describe("82.6%", "5.36 ms", accuracy_px=28)
        '82.6% at 5.36 ms (28 px)'
        >>> Sizes(224, 224, searched=True).describe("82.6%", "5.36 ms", accuracy_px=96)
        '82.6% at 5.36 ms (96 px)'
        """
        latency_px = self.latency_px(accuracy_px)
        if accuracy_px is not None and accuracy_px != latency_px:
            accuracy = f"{accuracy} ({accuracy_px} px)"
        return f"{accuracy} at {latency} ({latency_px} px)"


def deployed_sizes(space: SearchSpace) -> tuple[int, ...]:
    """Return the deployed sizes of a space's networks, the largest first."""
    if isinstance(space, SearchesResolution):
        return tuple(sorted(space.resolutions, reverse=True))
    return (space.decode((0,) * len(space.arities)).resolution,)


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
