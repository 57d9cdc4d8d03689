"""Measure a batch of networks on every device of a search, before the batch trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial

from latency import DeviceLostError, Latency, LatencySource, MeasurementError, devices_of
from search_spaces import ArchSpec, InputError

Answer = Latency | MeasurementError
"""A network's latency on one device, or why it could not be measured there."""

Reading = tuple[Latency, ...] | MeasurementError
"""A network's latency on each device, or why one of them could not measure it."""

Progress = Callable[[int, int], None]
"""Called with (done, total): `done` of `total` latencies have been measured."""


def measure(
    sources: Sequence[LatencySource],
    specs: Sequence[ArchSpec],
    progress: Progress = lambda _done, _total: None,
    *,
    hold: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> list[Reading]:
    """Measure networks on every device; equal networks once.

    Devices of this machine measure one network after another, with nothing else running. Then all other
    devices measure at the same time, each device of a pool too.

    Args:
        sources: One per device.
        specs: The networks.
        progress: Called in this thread after each latency.
        hold: Keeps other searches off the devices meanwhile.

    Raises:
        DeviceLostError: A device is lost; readings taken by then are dropped.
    """
    distinct = list({spec.fingerprint: spec for spec in specs}.values())
    total = len(distinct) * len(sources)
    answers: dict[tuple[int, str], Answer] = {}

    def keep(index: int, spec: ArchSpec, answer: Answer) -> None:
        answers[index, spec.fingerprint] = answer
        progress(len(answers), total)

    progress(0, total)
    beside = [index for index, source in enumerate(sources) if _is_apart(source)]
    if len(beside) == 1 and len(devices_of(sources[beside[0]])) <= 1:
        beside = []  # with nothing at the same time no thread is needed, which an interrupt could not end
    with hold():
        for index, source in enumerate(sources):
            if index not in beside:
                for spec in distinct:
                    keep(index, spec, _answer(source, spec))
        _at_once({index: sources[index] for index in beside}, distinct, keep)
    return [_all_of(answers, spec, sources) for spec in specs]


def _is_apart(source: LatencySource) -> bool:
    """Whether another machine does the measuring, so that others may measure meanwhile."""
    return not (source.device.local or source.device.estimate)


def _answer(source: LatencySource, spec: ArchSpec) -> Answer:
    try:
        return source.latency(spec)
    except DeviceLostError:
        raise
    except MeasurementError as refused:
        return refused


def _at_once(
    sources: dict[int, LatencySource],
    specs: Sequence[ArchSpec],
    keep: Callable[[int, ArchSpec, Answer], None],
) -> None:
    """Ask each source in as many threads as it has devices."""
    asked: dict[Future[Answer], tuple[int, ArchSpec]] = {}
    with ExitStack() as ended:
        for index, source in sources.items():
            crew = ThreadPoolExecutor(max(1, len(devices_of(source))))
            ended.callback(partial(crew.shutdown, cancel_futures=True))
            asked |= {crew.submit(_answer, source, spec): (index, spec) for spec in specs}
        # Of all sources, before the threads of any are waited for.
        ended.callback(lambda: [future.cancel() for future in asked])
        for future in as_completed(asked):
            keep(*asked[future], future.result())


def _all_of(
    answers: dict[tuple[int, str], Answer], spec: ArchSpec, sources: Sequence[LatencySource]
) -> Reading:
    """Return the network's latencies, or the first failure."""
    latencies: list[Latency] = []
    for index, source in enumerate(sources):
        answer = answers[index, spec.fingerprint]
        if isinstance(answer, MeasurementError):
            which = f"on {source.device.name}: " if len(sources) > 1 else ""
            return MeasurementError(f"{which}{answer}")
        latencies.append(answer)
    return tuple(latencies)


def require_distinct(sources: Sequence[LatencySource]) -> None:
    """Check that no two sources measure on one device.

    Raises:
        InputError: Two do; it is named.
    """
    seen: set[str] = set()
    for device in (unit for source in sources for unit in devices_of(source)):
        if device.fingerprint in seen:
            raise InputError(f"device {device.name} is given twice: give each device once")
        seen.add(device.fingerprint)
