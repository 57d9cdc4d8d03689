"""When to give up: networks that fail one after another point to what trains or measures, not to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nas.engine.job import Kind
from nas.engine.trial import Trial
from nas.formatting import counted

HOPELESS = 3
"""Different networks of one kind that fail, with no success in between, after which a search stops."""


@dataclass
class Failures:
    """Counts the networks of each kind that have failed since the last success.

    Attributes:
        limit: Failures after which a run stops; None never stops it.
    """

    limit: int | None
    _failed: dict[Kind, set[str]] = field(default_factory=dict)

    def count(self, trials: Sequence[Trial]) -> str | None:
        """Count a batch; return why the run should stop, or None."""
        if not trials or self.limit is None:
            return None
        failed = self._failed.setdefault(trials[0].kind, set())
        if any(trial.ok for trial in trials):
            failed.clear()
            return None
        failed.update(trial.fingerprint for trial in trials)
        if len(failed) < self.limit:
            return None
        many = f"all {len(trials)} trials of a batch"
        if len(trials) == 1:
            many = f"the last {counted(len(failed), 'network')}"
        return f"{many} failed: {trials[0].error}"
