"""The two sizes of a network: that of the images it was trained on, and that of its input."""

from __future__ import annotations

from rich.console import Console

from nas.cli.output import noted


def note_sizes(console: Console, trained_px: int, px: int, *, done: str) -> None:
    """Warn if a network is used at another size than it was trained at.

    Args:
        console: Where to.
        trained_px: Side of the images that the weights were trained on.
        px: Side of the images that it is given.
        done: What happens at that size, for instance "exported".
    """
    if trained_px == px:
        return
    unknown = (
        "accuracy there is unknown; evaluate it, or train it on"
        if done != "evaluated"
        else "its accuracy is that of an untrained size; train it on"
    )
    console.print(
        noted(
            "sizes differ: ", f"trained at {trained_px} px, {done} at {px} px: {unknown} at {px} px"
        ),
        soft_wrap=True,
    )
