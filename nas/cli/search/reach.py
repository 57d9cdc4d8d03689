"""Refuse a search from a parent that has nothing to find, or a rival above the target."""

from __future__ import annotations

from collections.abc import Sequence

from latency import MeasurementError
from nas.checkpoints.known_classes import fits_classes
from nas.cli.search.job import Job
from nas.cli.search.plan_lines import Prospect
from nas.formatting import three_digits, two_digits_up
from nas.searching.from_parent.rivals import at_resolutions
from nas.searching.planning.forecast import PARENT
from nas.tasks import task_of
from search_spaces import ArchSpec, ElasticSpace, InputError
from search_spaces.shell import quoted
from search_spaces.spaces.elastic import total_stride


def require_something_to_search(job: Job, prospects: Sequence[Prospect]) -> None:
    """Check that the parent itself is not within the targets.

    Raises:
        InputError: It is, so that the best network is known.
    """
    if job.parent is None or job.config.parent is None:
        return
    if isinstance(job.space, ElasticSpace) and job.space.grows:
        return  # a larger network may be more accurate
    whole_ms = [prospect.span.references[PARENT].median_ms for prospect in prospects]
    if any(ms > one.target_ms for ms, one in zip(whole_ms, prospects, strict=True)):
        return
    path = quoted(job.config.parent.path)
    recipe = task_of(job.data.task).usual.recipe
    tune = f"nas train {path} --data {quoted(job.config.data.source)} --recipe {recipe}"
    if not fits_classes(job.parent, job.data):
        tune += " --new-classifier"
    took = " and ".join(map(three_digits, whole_ms))
    raise InputError(
        f"the parent itself takes {took} ms, within the target, so there is nothing to search: fine-tune "
        f"and deploy it ({tune}), or give a lower "
        f"{prospects[0].option}{two_digits_up(whole_ms[0] / 2)}"
    )


def require_rivals_in_reach(job: Job, prospects: Sequence[Prospect]) -> None:
    """Check that each network to compare with is within the targets at a resolution of the space.

    Raises:
        InputError: One is not, or a device cannot measure it.
    """
    for name, rival in job.rivals.items():
        assert isinstance(job.space, ElasticSpace)
        sized = at_resolutions(rival.spec, job.space)
        if not sized:
            sides = ", ".join(map(str, job.space.resolutions))
            raise InputError(
                f"--rival {name}: its stride of {total_stride(rival.spec)} px divides none of the "
                f"resolutions {sides}: give others by --resolutions"
            )
        for prospect in prospects:
            _require_in_reach(name, sized[-1], prospect)


def _require_in_reach(name: str, smallest: ArchSpec, prospect: Prospect) -> None:
    """Check that a rival is within the target on a device at the smallest resolution.

    Raises:
        InputError: It is not, or the device cannot measure it.
    """
    try:
        ms = prospect.source.latency(smallest).median_ms
    except MeasurementError as error:
        raise InputError(f"--rival {name}: {prospect.typed}: {error}: leave it out") from error
    if ms > prospect.target_ms:
        raise InputError(
            f"--rival {name} takes {three_digits(ms)} ms at {smallest.resolution} px, the smallest of the "
            f"resolutions, above the target of {three_digits(prospect.target_ms)} ms: leave it out, or "
            f"give {prospect.option}{two_digits_up(ms)}"
        )
