"""What the user of `netadapt` sees: what there is to do, a line a network, and what came of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Console

from latency import LatencySource
from nas.adapt_config import AdaptConfig
from nas.adapt_loop import AdaptWatcher
from nas.cli.output import command
from nas.readable import counted, interval, percent, three_digits
from nas.trial import Trial
from search_spaces import ArchSpec, InputError

if TYPE_CHECKING:
    from nas.adapt import AdaptResult
    from netadapt.shrink import Shrink


def announce(config: AdaptConfig, seed: ArchSpec, source: LatencySource, console: Console) -> None:
    """Say what is about to happen; a target that no widths reach ends it here.

    Raises:
        InputError: The target is below the latency of the narrowest network.
    """
    from netadapt import Widths, width_groups
    from netadapt.shrink import narrowest

    widths = Widths(config.divisor, config.floor)
    with console.status("measuring the narrowest network"):
        floor = source.latency(narrowest(seed, widths, ends=config.ends)).median_ms
        now = source.latency(seed)
    if config.target_ms < floor:
        raise InputError(
            f"target_ms {three_digits(config.target_ms)} cannot be reached: with every group at its "
            f"narrowest the network takes {three_digits(floor)} ms here; give more, or --ends"
        )
    groups = width_groups(seed, ends=config.ends)
    steps = math.ceil((now.median_ms - config.target_ms) / (config.delta * now.median_ms))
    kind = "an estimate" if source.device.estimate else interval(now)
    console.print(
        f"{len(groups)} width groups; {three_digits(now.median_ms)} ms ({kind}) to "
        f"{three_digits(config.target_ms)} ms on {source.device.name}: about {counted(steps, 'step')}, "
        f"in each up to {len(groups)} proposals of {config.recipe.steps} training steps",
        soft_wrap=True,
    )


class View(AdaptWatcher):
    """Says what there is to do, then a line a network."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._asking = console.status("")

    def asked(self, networks: int) -> None:
        """So many networks have been measured."""
        self._asking.update(f"{counted(networks, 'network')} measured")

    def rest(self) -> None:
        """Leave the screen as it is."""
        self._asking.stop()

    def proposing(self, shrink: Shrink) -> None:
        """See `AdaptWatcher`."""
        now = shrink.current
        self.console.print(
            f"step {shrink.steps + 1}: from {percent(now.accuracy)} at {three_digits(now.latency_ms)} ms; "
            "measuring proposals",
            soft_wrap=True,
        )
        self._asking.start()

    def tuning(self, shrink: Shrink, jobs: int, *, finishing: bool) -> None:  # noqa: ARG002
        """See `AdaptWatcher`."""
        self._asking.stop()
        what = "the last network is trained" if finishing else f"{counted(jobs, 'proposal')} train"
        self.console.print(f"  {what}")

    def tuned(self, trial: Trial, name: str, *, replayed: bool) -> None:
        """See `AdaptWatcher`."""
        if replayed:
            return
        self.console.print(
            f"  {name}: {_accuracy(trial)} at {three_digits(trial.latency_ms)} ms", soft_wrap=True
        )

    def chosen(self, shrink: Shrink, trial: Trial) -> None:  # noqa: ARG002
        """See `AdaptWatcher`."""
        now = shrink.current
        self.console.print(
            f"step {shrink.steps}: {percent(now.accuracy)} at {three_digits(now.latency_ms)} ms, target "
            f"{three_digits(shrink.target_ms)} ms",
            soft_wrap=True,
        )


def _accuracy(trial: Trial) -> str:
    return percent(trial.accuracy) if trial.accuracy is not None else f"failed: {trial.error}"


def conclude(result: AdaptResult, console: Console, config: AdaptConfig) -> None:
    """The last network beside the seed, where the files lie, the next command."""
    if not result.reached:
        console.print(
            f"[bold]The target was not reached[/bold]: no group can give more; "
            f"{three_digits(result.latency.median_ms)} ms is left"
        )
    for trial in result.finals:
        console.print(f"{trial.kind}: {_accuracy(trial)} on held-out images")
    console.print(
        f"seed {percent(result.seed_accuracy)} at {three_digits(result.seed_latency.median_ms)} ms -> "
        f"{three_digits(result.latency.median_ms)} ms (target {three_digits(config.target_ms)} ms) in "
        f"{counted(len(result.family), 'step')}",
        soft_wrap=True,
    )
    if result.test_accuracy is not None:
        console.print(f"on the test images, looked at once: {percent(result.test_accuracy)}")
    folder = result.folder.path
    console.print(
        f"\n{folder}/ has adapted.yaml, adapted.pt, adapted.onnx, family.csv, family/\n"
        f"next: {command(f'show {folder}/adapted.yaml')}",
        soft_wrap=True,
    )
