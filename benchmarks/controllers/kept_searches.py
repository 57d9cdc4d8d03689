"""Run searches in several processes, and keep each result in a JSONL file to resume from."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

SHOWN_EVERY = 50

T = TypeVar("T")
F = TypeVar("F")


def read_kept(kept: Path, of_task: type[T], result: type[F]) -> dict[T, F]:
    """Read the finished searches of a file."""
    entries = [json.loads(line) for line in kept.read_text().splitlines()]
    return {of_task(**entry["task"]): result(**entry["found"]) for entry in entries}


def solve_all(
    tasks: Sequence[T], solve: Callable[[T], F], result: type[F], *, kept: Path | None, jobs: int
) -> dict[T, F]:
    """Run the searches missing in `kept`, and append each when it ends.

    Args:
        tasks: Frozen dataclasses of plain values, all of one type.
        solve: Runs a search; must be picklable.
        result: Type of what it returns, a dataclass of plain values.
        kept: The file; None keeps nothing.
        jobs: Number of processes.
    """
    found: dict[T, F] = {}
    if kept is not None and kept.exists():
        found = read_kept(kept, type(tasks[0]), result)
    missing = [task for task in tasks if task not in found]
    with ProcessPoolExecutor(jobs) as pool:
        running = {pool.submit(solve, task): task for task in missing}
        for count, future in enumerate(as_completed(running), start=1):
            task = running[future]
            found[task] = future.result()
            if kept is not None:
                with kept.open("a") as log:
                    log.write(
                        json.dumps({"task": _plain(task), "found": _plain(found[task])}) + "\n"
                    )
            if count % SHOWN_EVERY == 0:
                print(f"{count} of {len(missing)} searches", flush=True)
    return found


def _plain(record: Any) -> dict[str, Any]:
    return asdict(record)
