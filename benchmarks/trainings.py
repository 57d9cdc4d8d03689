"""Train networks in several processes, each training once.

A finished training is appended to a JSONL file, under a key of all that it depends on, and not repeated.
"""

from __future__ import annotations

import base64
import json
import multiprocessing
import os
import pickle
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from nas.atomic_files import cut_torn_line, read_lines
from nas.formatting import duration, percent
from nas.tasks.task import Evidence


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes:
        reading: The metric on all images that it is ranked on, 0..1: those held out, and in a trial those
            set aside too. None if the training failed.
        held_out: The metric on the held-out images alone.
        evidence: What it did on the test images; None without a test.
        cpu_s: CPU seconds of the training and the reading.
        error: Why the training failed.
    """

    reading: float | None
    held_out: float | None = None
    evidence: Evidence | None = None
    cpu_s: float = 0.0
    error: str | None = None

    @property
    def test(self) -> float:
        """The metric on the test images, 0..1.

        Raises:
            ValueError: It was not evaluated on them.
        """
        if self.evidence is None:
            raise ValueError("this training was not evaluated on the test images")
        return self.evidence.score().accuracy

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; the evidence is text, which only `from_dict` reads."""
        packed = self.evidence and base64.b85encode(zlib.compress(pickle.dumps(self.evidence)))
        return {
            "reading": self.reading,
            "held_out": self.held_out,
            "evidence": packed and packed.decode(),
            "cpu_s": self.cpu_s,
            "error": self.error,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Read what `to_dict` returned; it is of this machine's own making, since a pickle can run code."""
        packed = content["evidence"]
        evidence = pickle.loads(zlib.decompress(base64.b85decode(packed))) if packed else None
        return cls(**{**content, "evidence": evidence})

    def __str__(self) -> str:
        if self.reading is None:
            return f"failed: {self.error}"
        tested = "" if self.evidence is None else f", {percent(self.test)} of the test images"
        return f"{percent(self.reading)} held out{tested}"


class Training(Protocol):
    """A training to run; picklable."""

    @property
    def name(self) -> str:
        """What it is called in the progress."""
        ...

    @property
    def key(self) -> str:
        """A digest of all that its result depends on."""
        ...


T = TypeVar("T", bound=Training)


def run_all(
    tasks: Sequence[T],
    train: Callable[[T], Trained],
    work: Callable[[T], float],
    *,
    log: Path,
    workers: int,
) -> list[Trained]:
    """Run the trainings that are missing in a log; return the result of each.

    Args:
        tasks: The trainings, in the order in which they start.
        train: Runs one, in a process of its own; picklable.
        work: Returns how long one takes, in arbitrary units.
        log: JSONL file to which each result is appended.
        workers: Number of processes.
    """
    cut_torn_line(log)
    done = dict(read_lines(log, lambda line: (line["task"], Trained.from_dict(line["result"]))))
    keys = [task.key for task in tasks]
    missing = {key: task for key, task in zip(keys, tasks, strict=True) if key not in done}
    if done and missing:
        print(f"{len(keys) - len(missing)} of {len(keys)} trainings are in {log}", flush=True)
    works = {key: work(task) for key, task in missing.items()}
    began_s, worked = time.monotonic(), 0.0
    with log.open("a") as file:
        for number, (key, result) in enumerate(_results(missing, train, workers), start=1):
            done[key] = result
            line = {"task": key, "name": missing[key].name, "result": result.to_dict()}
            file.write(json.dumps(line) + "\n")
            file.flush()
            worked += works[key]
            left_s = (time.monotonic() - began_s) * (sum(works.values()) / worked - 1)
            print(
                f"{number} of {len(missing)}, about {duration(left_s)} left: {missing[key].name}: "
                f"{result}",
                flush=True,
            )
    return [done[key] for key in keys]


def _results(
    tasks: Mapping[str, T], train: Callable[[T], Trained], workers: int
) -> Iterator[tuple[str, Trained]]:
    """Yield each task's key with its result, in the order in which they end."""
    if not tasks:
        return
    # Forked processes would inherit the locks of torch's threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        min(workers, len(tasks)), mp_context=context, initializer=_begin, initargs=(train,)
    )
    try:
        running = {pool.submit(_train, task): key for key, task in tasks.items()}
        for future in as_completed(running):
            yield running[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


_trains: list[Callable[[Any], Trained]] = []
"""How a worker process trains, with its images; one entry."""


def _begin(train: Callable[[Any], Trained]) -> None:
    """Keep the images in a worker process, which ends with the main process, also if that is killed."""
    _trains[:] = [train]
    parent = multiprocessing.parent_process()
    if parent is not None:

        def end_too() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=end_too, daemon=True).start()


def _train(task: Any) -> Trained:
    """Train in a worker process."""
    return _trains[0](task)
