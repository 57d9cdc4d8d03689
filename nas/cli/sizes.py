"""Compare the image size a network was trained at with its input size."""

from __future__ import annotations

from rich.console import Console

from nas.display.output import noted


def note_sizes(
    console: Console, trained_px: int, px: int, *, done: str, measured: bool = False
) -> None:
    """Warn if a network is used at a different size than it was trained at.

    Args:
        console: Shows the warning.
        trained_px: Side of the images that the weights were trained on.
        px: Side of its input now.
        done: The use at that size, for instance "exported".
        measured: Whether the command also measures the accuracy at that size.
    """
    if trained_px == px:
        return
    mend = f"fine-tune it at {px} px"
    if not measured:
        mend = f"accuracy there is unknown; evaluate it, or {mend}"
    console.print(
        noted("sizes differ: ", f"trained at {trained_px} px, {done} at {px} px: {mend}"),
        soft_wrap=True,
    )
