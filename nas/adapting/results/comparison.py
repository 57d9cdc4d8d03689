"""Compare the adapted network with a baseline of the same latency: is it better by more than chance?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.adapting.kinds import TRAINED, kind_of
from nas.engine.final_scores import name_of
from nas.engine.trial import Trial
from nas.formatting import counted
from nas.statistics.confidence_intervals import difference_with_interval, mean_in_words
from nas.tasks.intervals import Difference


@dataclass(frozen=True)
class Comparison:
    """Held-out or test accuracies of two networks, trained alike with several seeds.

    Attributes:
        baseline: The baseline's name.
        training: `scratch` or `finetune`.
        ours: Accuracies of the adapted network, 0..1, one per seed.
        theirs: Accuracies of the baseline.
        images: The images that they were evaluated on: `test` or `held-out`.
        paired: The difference on the same images, with its interval over images like these; the mean of
            the trainings. None if unknown.
    """

    baseline: str
    training: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    images: str = "test"
    paired: Difference | None = None

    @property
    def points(self) -> float:
        """How much better the adapted network is, in percentage points."""
        return self._difference[0]

    @property
    def ci95_points(self) -> tuple[float, float] | None:
        """95% confidence interval of `points` over the seeds; None if either has a single training."""
        points, half = self._difference
        return None if half is None else (points - half, points + half)

    @property
    def by_chance(self) -> bool:
        """Whether chance may explain the difference: 0 is within an interval, over seeds or images."""
        if self.ci95_points is None:
            return True
        over_images = [(self.paired.low, self.paired.high)] if self.paired else []
        return any(low <= 0 <= high for low, high in (self.ci95_points, *over_images))

    @property
    def _difference(self) -> tuple[float, float | None]:
        return difference_with_interval(_in_points(self.ours), _in_points(self.theirs))

    def sentence(self, metric: str = "accuracy") -> str:
        """Return the verdict as text.

        Args:
            metric: Name of the metric.

        >>> print(Comparison("uniform", "scratch", (0.80, 0.81, 0.82), (0.81, 0.82, 0.82)).sentence())
        Trained from scratch, on test images: NetAdapt 81.0% ± 2.5, uniform 81.7% ± 1.4 (3 seeds, 95%
        intervals). NetAdapt is 0.7 points worse (95% interval -2.7 to +1.4): not significant.
        """
        means = f"NetAdapt {mean_in_words(self.ours)}, {self.baseline} {mean_in_words(self.theirs)}"
        spread = ", 95% intervals" if max(len(self.ours), len(self.theirs)) > 1 else ""
        named = "" if metric == "accuracy" else f"{metric} "
        how = f"{TRAINED[self.training].capitalize()}, {named}on {self.images} images"
        begin = f"{how}: {means} ({self._seeds()}{spread}). NetAdapt is "
        begin += f"{abs(self.points):.1f} points {'better' if self.points >= 0 else 'worse'}"
        if self.ci95_points is None:
            return f"{begin}; one seed does not show how much of that is chance."
        low, high = self.ci95_points
        verdict = "not significant" if self.by_chance else "significant"
        interval = f"{low:+.1f} to {high:+.1f}"
        if (paired := self.paired) is not None:
            interval = f"over seeds {interval}, over images {paired.low:+.1f} to {paired.high:+.1f}"
        return f"{begin} (95% interval {interval}): {verdict}."

    def _seeds(self) -> str:
        counts = sorted({len(self.ours), len(self.theirs)})
        return (
            counted(counts[0], "seed") if len(counts) == 1 else f"{counts[0]} and {counts[1]} seeds"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, as in `result.json`."""
        return {
            "rival": self.baseline,
            "training": self.training,
            "images": self.images,
            "ours": list(self.ours),
            "theirs": list(self.theirs),
            "points": round(self.points, 3),
            "ci95_points": self.ci95_points and [round(end, 3) for end in self.ci95_points],
            "by_chance": self.by_chance,
        } | self._of_images()

    def _of_images(self) -> dict[str, Any]:
        if self.paired is None:
            return {}
        return {"images_ci95_points": [round(self.paired.low, 3), round(self.paired.high, 3)]}


def comparisons(
    finals: Sequence[Trial],
    baselines: Sequence[str],
    tested: Mapping[str, float],
    paired: Mapping[str, Difference],
) -> list[Comparison]:
    """Compare the adapted network with each baseline, by kind of final training; skip failures.

    Args:
        finals: All final trainings.
        baselines: Names of the baselines.
        tested: Test accuracies (`nas.engine.final_scores`). If one is missing, the comparison uses held-out
            accuracies.
        paired: Differences on the same test images: see `nas.adapting.results.paired`.
    """
    found = []
    for name in baselines:
        for training in TRAINED:
            ours, theirs = (_ended(finals, kind) for kind in (training, kind_of(training, name)))
            if not (ours and theirs):
                continue
            known = all(name_of(trial) in tested for trial in (*ours, *theirs))
            first, second = (
                tuple(tested[name_of(t)] if known else t.accuracy or 0.0 for t in side)
                for side in (ours, theirs)
            )
            images = "test" if known else "held-out"
            pairs = [paired[name_of(trial)] for trial in theirs if name_of(trial) in paired]
            difference = Difference.mean(pairs) if known and pairs else None
            found.append(Comparison(name, training, first, second, images, difference))
    return found


def _ended(finals: Sequence[Trial], kind: str) -> list[Trial]:
    """Return the successful trainings of a kind, ordered by seed."""
    chosen = [trial for trial in finals if trial.kind == kind and trial.accuracy is not None]
    return sorted(chosen, key=lambda trial: trial.index)


def accuracies(finals: Sequence[Trial], kind: str) -> tuple[float, ...]:
    """Return the held-out accuracies of a kind of training, ordered by seed."""
    return tuple(trial.accuracy or 0.0 for trial in _ended(finals, kind))


def _in_points(values: Sequence[float]) -> list[float]:
    return [100 * value for value in values]
