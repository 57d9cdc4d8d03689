"""Killing a whole process tree, and reading what it left."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
from PIL import Image


def make_images(folder: Path) -> None:
    """Noisy pictures in two brightnesses, a folder each."""
    rng = np.random.default_rng(0)
    for label, base in (("dark", 60), ("light", 180)):
        (folder / label).mkdir(parents=True)
        for number in range(60):
            pixels = rng.normal(base, 60, size=(32, 32, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")


def start(folder: Path, command: str, *arguments: str) -> subprocess.Popen:
    """A command of `nas.cli.main` in a process of its own, in `folder`; errors go to `stderr.txt`."""
    code = f"from nas.cli.main import {command}; {command}()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "stderr.txt").open("w"),
    )


def kill_tree(process: subprocess.Popen) -> None:
    """`kill -9` the process and all below it."""
    try:
        root = psutil.Process(process.pid)
        family = [*root.children(recursive=True), root]
    except psutil.NoSuchProcess:
        family = []
    for member in reversed(family):
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def killed_at(
    moments: Sequence[int],
    folder: Path,
    command: str,
    arguments: Sequence[str],
    *,
    name: str,
    workers: int,
    rng: random.Random,
    subcommand: Sequence[str] = (),
) -> Path:
    """A run that was killed when it had so many lines on disk, again and again, and gone on with.

    Args:
        moments: Ascending.
        folder: Where the command runs.
        command: See `start`.
        arguments: Its settings.
        name: The run's.
        workers: Of the run.
        rng: Says how long after each moment.
        subcommand: Its name, of a command that has several.

    Returns:
        The run's folder; it has ended, and nothing that was on disk was lost on the way.
    """
    run, options = folder / "runs" / name, ("--workers", str(workers))
    process = start(folder, command, *subcommand, *arguments, "--run-name", name, *options)
    for moment in moments:
        wait_for(run, process, moment)
        time.sleep(rng.uniform(0.0, 0.3))
        kill_tree(process)
        assert progress(run) >= moment, "something finished was lost"
        process = start(folder, command, *subcommand, "--resume", str(run), *options)
    assert process.wait() == 0, (folder / "stderr.txt").read_text()
    return run


def lines(log: Path) -> list[dict]:
    """A log's lines without their times."""
    read = [json.loads(line) for line in log.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "time"} for line in read]


def progress(run: Path) -> int:
    """Trials on disk, those that wait for their turn included; one just moved may stand in two files."""
    logs = (log for log in run.glob("*.jsonl") if "policy" not in log.name)
    return len({line for log in logs for line in _whole_lines(log)})


def _whole_lines(log: Path) -> list[bytes]:
    try:
        content = log.read_bytes()
    except FileNotFoundError:  # the last that waited has just had its turn
        return []
    return content[: content.rfind(b"\n") + 1].splitlines()


def wait_for(run: Path, process: subprocess.Popen, count: int) -> None:
    """Wait until the run has so many lines, or has ended."""

    def there() -> bool:
        return (run / "config.yaml").exists() and progress(run) >= count

    while process.poll() is None and not there():
        time.sleep(0.01)
