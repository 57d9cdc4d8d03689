"""`kill -9` of the whole process tree at random moments: the resumed log is the uninterrupted one's."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

SPACE = """
schema: 1
name: tiny
bn_eps: 0.001
stem: {out: 8, kernel: 3, stride: 2, act: relu}
blocks:
- {stride: 2, op: [sepconv, mbconv3], kernel: [3, 5], se: [0, 0.25], skip: identity, out: [8, 16],
   depth: [1, 2], act: relu, se_rule: mnasnet}
head: {conv: 32, hidden: 0, act: relu, dropout: 0.1}
"""
CONFIG = """
space: tiny.yaml
device: madds:1
target_ms: 0.5
resolution: 32
trials: 12
batch_size: 4
recipe: {steps: 12, batch_size: 16}
finals: {count: 2, epochs_factor: 2, repeats: 2}
data: {source: images}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with everything that a small search needs, and an uninterrupted run of it."""
    folder = tmp_path_factory.mktemp("kill")
    rng = np.random.default_rng(0)
    for label, base in (("dark", 60), ("light", 180)):
        (folder / "images" / label).mkdir(parents=True)
        for number in range(60):
            pixels = rng.normal(base, 60, size=(32, 32, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "images" / label / f"{number}.png")
    (folder / "tiny.yaml").write_text(SPACE)
    (folder / "config.yaml").write_text(CONFIG)
    assert (
        start(folder, "--config", "config.yaml", "--run-name", "whole", "--workers", "0").wait()
        == 0
    )
    return folder


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    code = "from nas.cli.main import search_main; search_main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "stderr.txt").open("w"),
    )


def kill_tree(process: subprocess.Popen) -> None:
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


def lines(run: Path, name: str) -> list[dict]:
    read = [json.loads(line) for line in (run / name).read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "time"} for line in read]


def progress(run: Path) -> int:
    """Lines on disk, those that wait for their turn included."""
    return sum(
        log.read_bytes().count(b"\n") for log in run.glob("*.jsonl") if "policy" not in log.name
    )


def wait_for(run: Path, process: subprocess.Popen, count: int) -> None:
    def there() -> bool:
        return (run / "config.yaml").exists() and progress(run) >= count

    while process.poll() is None and not there():
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("workers", "kills"),
    [(0, 6), pytest.param(1, 2, marks=pytest.mark.ray), pytest.param(2, 2, marks=pytest.mark.ray)],
)
def test_nothing_finished_is_lost_and_nothing_changes(place, workers, kills):
    rng = random.Random(workers)
    name = f"killed-{workers}"
    run = place / "runs" / name
    options = ["--workers", str(workers)]
    process = start(place, "--config", "config.yaml", "--run-name", name, *options)
    # At moments spread over the run, from before its first line to its finals (16 lines in all).
    moments = sorted(rng.sample(range(16), kills))
    for moment in moments:
        wait_for(run, process, moment)
        time.sleep(rng.uniform(0.0, 0.3))
        kill_tree(process)
        assert progress(run) >= moment, "something finished was lost"
        process = start(place, "--resume", str(run), *options)
    assert process.wait() == 0, (place / "stderr.txt").read_text()
    for log in ("trials.jsonl", "finals.jsonl"):
        assert lines(run, log) == lines(place / "runs" / "whole", log)
    assert (run / "best.yaml").read_bytes() == (place / "runs" / "whole" / "best.yaml").read_bytes()
