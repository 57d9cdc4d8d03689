"""The events of a NetAdapt run."""

from __future__ import annotations

from collections.abc import Sequence

from nas.adapting.job import AdaptJob
from nas.engine.trial import Trial
from netadapt.shrink import Shrink


class AdaptWatcher:
    """Is notified of a run's events; this one ignores them."""

    def proposing(self, shrink: Shrink) -> None:
        """The next step's proposals are being generated, which asks the device for latencies."""

    def ranking(self, shrink: Shrink) -> None:
        """The current network's channels are being ordered by importance."""

    def ending(self, shrink: Shrink) -> None:
        """The loop has ended; baselines are searched for, if requested."""

    def tuning(self, shrink: Shrink, jobs: Sequence[AdaptJob], *, finishing: bool) -> None:
        """Training of these networks begins; `finishing` if they are the final trainings."""

    def tuned(self, job: AdaptJob, trial: Trial, *, replayed: bool) -> None:
        """A network has been logged; `replayed` if it was in the log before this process started."""

    def testing(self, trial: Trial) -> None:
        """The network of a final training is being evaluated on the test images."""

    def chosen(self, shrink: Shrink, trial: Trial) -> None:
        """A step has ended with this proposal chosen."""
