"""Train a runner's jobs on a Ray cluster, with Ray Tune.

The runner acts as a Tune search algorithm: `suggest` returns its next job, or None while a batch runs, and
results are passed back to it. Actors are reused, since a new one spends seconds on imports. The evaluator,
with its images, is put into the object store once.
"""

from __future__ import annotations

import tempfile
from typing import Any

from latency.measuring.user_folders import ensure_home
from nas.engine.job import Evaluate, J, Job, Outcome, attempt
from nas.engine.on_ray.cluster import (
    Resources,
    cluster,
    deaths_reported,
    require_room,
    warn_of_unknown,
)
from nas.engine.on_ray.deaths import LOWER
from nas.engine.runner import BatchRunner


def run_on_ray(
    runner: BatchRunner[J],
    evaluate: Evaluate[J],
    resources: Resources,
    *,
    usage_stats: bool = False,
) -> None:
    """Train every job of a runner on Ray workers.

    Raises:
        InputError: The cluster cannot be reached, or has no room for one trial.
        RunStoppedError: The plan gave up, or a part of the cluster needed by the search died.
    """
    ensure_home()  # Ray crashes without a home folder
    import ray
    from ray import tune

    with (
        cluster(resources, usage_stats=usage_stats),
        deaths_reported(),
        tempfile.TemporaryDirectory() as scratch,
    ):
        there = ray.cluster_resources()
        workers = require_room(resources, there)
        warn_of_unknown(resources.devices, there)
        mailbox = ray.remote(num_cpus=0)(Mailbox).remote()
        searcher = _searcher(runner, mailbox)
        per_trial = {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial}
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(_trainable(), evaluate=evaluate, mailbox=mailbox), per_trial
            ),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                num_samples=-1,
                max_concurrent_trials=resources.workers or workers,
                reuse_actors=True,
                trial_name_creator=lambda trial: f"trial_{trial.trial_id}",
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                storage_path=scratch,
                name="search",
                verbose=0,
                stop=_stop_on_failure(searcher),
                failure_config=tune.FailureConfig(max_failures=resources.retries),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        tuner.fit()
        if searcher.failure is not None:
            raise searcher.failure


class Mailbox:
    """An actor that passes jobs to workers and outcomes back.

    Tune keeps the settings and the last result of every trial in memory; in NetAdapt both would hold a
    network's weights. So Tune gets only the trial's name.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._outcomes: dict[str, Outcome] = {}

    def post(self, name: str, job: Job) -> None:
        """Store the job of a trial."""
        self._jobs[name] = job

    def job(self, name: str) -> Job:
        """Return the trial's job; again if the trial is restarted."""
        return self._jobs[name]

    def answer(self, name: str, outcome: Outcome) -> None:
        """Store the outcome of a trial."""
        self._outcomes[name] = outcome

    def collect(self, name: str) -> Outcome | None:
        """Remove the job and return its outcome; None if no worker has answered."""
        del self._jobs[name]
        return self._outcomes.pop(name, None)


def _trainable() -> type:
    """Return the Tune trainable, whose only step trains one job."""
    import ray
    from ray import tune

    class TrainJob(tune.Trainable):  # type: ignore[misc]
        def setup(self, config: dict[str, Any], *, evaluate: Evaluate[Any], mailbox: Any) -> None:
            self.evaluate, self.mailbox = evaluate, mailbox

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            return True  # the actor keeps no state of the last job: Tune may reuse it

        def step(self) -> dict[str, Any]:
            name = self.config["job"]
            outcome = attempt(self.evaluate, ray.get(self.mailbox.job.remote(name)))
            ray.get(self.mailbox.answer.remote(name, outcome))
            return {"done": True}

    return TrainJob


def _searcher(runner: BatchRunner[Any], mailbox: Any) -> Any:
    """Wrap the runner as a Tune search algorithm."""
    import ray
    from ray.tune.search import Searcher

    class RunnerSearcher(Searcher):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.out: dict[str, Job] = {}
            self.failure: Exception | None = None

        def __reduce__(self) -> tuple[Any, ...]:
            # Tune pickles its search algorithm to restore it; we replay the log instead.
            return (object, ())

        def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
            job = self._guarded(runner.next_job)
            if job is None:
                return self.FINISHED if runner.done or self.failure else None
            self.out[trial_id] = job
            self._guarded(lambda: ray.get(mailbox.post.remote(trial_id, job)))
            return self.FINISHED if self.failure else {"job": trial_id}

        def on_trial_complete(
            self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
        ) -> None:
            job = self.out.pop(trial_id)
            # An exception in training is an outcome, so an error from Tune means a lost worker.
            lost = Outcome(None, f"the worker died (killed, or out of memory): {LOWER}")
            # If a worker dies after its answer, the answer counts.
            self._guarded(
                lambda: runner.record(job, ray.get(mailbox.collect.remote(trial_id)) or lost)
            )

        def _guarded(self, act: Any) -> Any:
            """Keep an exception, which Tune would wrap in its own, and stop."""
            if self.failure is not None:
                return None
            try:
                return act()
            except Exception as failure:  # noqa: BLE001
                self.failure = failure
                return None

    return RunnerSearcher()


def _stop_on_failure(searcher: Any) -> Any:
    """Stop all trials once the runner has failed, as their results would be lost."""
    from ray.tune import Stopper

    class StopOnFailure(Stopper):  # type: ignore[misc]
        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            return False

        def stop_all(self) -> bool:
            return searcher.failure is not None

    return StopOnFailure()
