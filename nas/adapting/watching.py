"""Who is told what happens in a NetAdapt run."""

from __future__ import annotations

from collections.abc import Sequence

from nas.adapting.job import AdaptJob
from nas.engine.trial import Trial
from netadapt.shrink import Shrink


class AdaptWatcher:
    """Is told what happens; this one shows nothing."""

    def proposing(self, shrink: Shrink) -> None:
        """The next step's proposals are sought: the device is asked for latencies."""

    def ending(self, shrink: Shrink) -> None:
        """The loop has ended; networks to compare the last one with are sought, if any are wanted."""

    def tuning(self, shrink: Shrink, jobs: Sequence[AdaptJob], *, finishing: bool) -> None:
        """These networks train from now on; `finishing` if it is the last network's training."""

    def tuned(self, job: AdaptJob, trial: Trial, *, replayed: bool) -> None:
        """A network is in the log; `replayed` if it was there before this process began."""

    def testing(self, trial: Trial) -> None:
        """A last training's network is looked at on the test images."""

    def chosen(self, shrink: Shrink, trial: Trial) -> None:
        """A step has ended with this proposal."""
