"""`kill -9` of the whole process tree at random moments: the resumed log is the uninterrupted one's.

`test_crashes.py` ends a run at every one of its writes; here it is a real process that dies.
"""

import random
import shutil

import pytest

from nas.checkpoints.checkpoint import checkpoint_bytes
from nas.data.drawn import write_scenes
from tests.nas.killing import killed_at, lines, make_images, start
from tests.nas.small_parent import deep_parent, small_parent

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
    make_images(folder / "images")
    (folder / "tiny.yaml").write_text(SPACE)
    (folder / "config.yaml").write_text(CONFIG)
    whole = ("--config", "config.yaml", "--run-name", "whole", "--workers", "0")
    assert start(folder, "search_main", *whole).wait() == 0
    return folder


@pytest.mark.parametrize(
    ("workers", "kills"),
    [
        pytest.param(0, 3, marks=pytest.mark.long),  # the next test kills a search, too
        pytest.param(2, 1, marks=(pytest.mark.ray, pytest.mark.long)),
    ],
)
def test_nothing_finished_is_lost_and_nothing_changes(place, workers, kills):
    rng = random.Random(workers)
    # At moments spread over the run, from before its first line to its finals (16 lines in all).
    moments = sorted(rng.sample(range(16), kills))
    name = f"killed-{workers}"
    settings = ("--config", "config.yaml")
    run = killed_at(moments, place, "search_main", settings, name=name, workers=workers, rng=rng)
    for log in ("trials.jsonl", "finals.jsonl"):
        assert lines(run / log) == lines(place / "runs" / "whole" / log)
    assert (run / "best.yaml").read_bytes() == (place / "runs" / "whole" / "best.yaml").read_bytes()


@pytest.fixture(scope="module")
def in_two_parts(place):
    """The same search, its candidates in two parts."""
    shorter = CONFIG.replace("trials: 12", "trials: 8").replace("steps: 12", "steps: 60")
    (place / "parts.yaml").write_text(shorter + "fidelity: {first: 0.8, keep: 0.5}\n")
    whole = ("--config", "parts.yaml", "--run-name", "whole-parts", "--workers", "0")
    assert start(place, "search_main", *whole).wait() == 0
    return place


@pytest.mark.long
def test_nor_where_candidates_train_for_a_first_part_first(in_two_parts):
    rng = random.Random(7)
    moments, settings = rng.sample(range(16), 1), ("--config", "parts.yaml")
    run = killed_at(
        moments, in_two_parts, "search_main", settings, name="killed-parts", workers=0, rng=rng
    )
    for log in ("trials.jsonl", "finals.jsonl"):
        assert lines(run / log) == lines(in_two_parts / "runs" / "whole-parts" / log)


FROM_PARENT = """
parent: {path: stranger.pt, resolutions: [64, 32], recipe: {steps: 40, batch_size: 16}}
device: madds:1
trials: 6
batch_size: 3
recipe: {steps: 4, batch_size: 16}
finals: {count: 1, repeats: 1, recipe: {steps: 8, batch_size: 16}}
data: {source: images}
"""


@pytest.fixture(scope="module")
def from_parent(place):
    """A search that fine-tunes its parent first."""
    (place / "stranger.pt").write_bytes(checkpoint_bytes(small_parent()))
    (place / "parent.yaml").write_text(FROM_PARENT)
    whole = ("--config", "parent.yaml", "--run-name", "whole-parent", "--workers", "0")
    assert start(place, "search_main", *whole).wait() == 0
    return place


def test_nor_in_a_search_from_a_parent(from_parent):
    """Killed while the parent is fine-tuned, and in the trials; finals resume as in the first test."""
    shutil.rmtree(from_parent / "runs" / "parents")  # so that it is fine-tuned again
    run = killed_at(
        (0, 5), from_parent, "search_main", ("--config", "parent.yaml"), name="killed-parent",
        workers=0, rng=random.Random(3),
    )  # fmt: skip
    whole = from_parent / "runs" / "whole-parent"
    for log in ("trials.jsonl", "finals.jsonl"):
        assert lines(run / log) == lines(whole / log)
    assert (run / "best.yaml").read_bytes() == (whole / "best.yaml").read_bytes()
    assert (run / "parent.pt").read_bytes() == (whole / "parent.pt").read_bytes()


DENSE = """
parent: {path: stranger.pt, resolutions: [64, 32], recipe: {steps: 20, batch_size: 16}}
device: madds:1
trials: 4
batch_size: 2
recipe: {steps: 4, batch_size: 16}
finals: {count: 1, repeats: 1, recipe: {steps: 8, batch_size: 16}}
"""


@pytest.mark.long
@pytest.mark.parametrize("task", ["detect", "segment"])
def test_nor_in_a_search_of_another_task(tmp_path, task):
    for _ in write_scenes(tmp_path / "scenes", {"train": 60, "test": 12}, px=64, seed=0):
        pass
    (tmp_path / "stranger.pt").write_bytes(checkpoint_bytes(deep_parent()))
    (tmp_path / "dense.yaml").write_text(f"{DENSE}data: {{source: scenes, task: {task}}}\n")
    settings = ("--config", "dense.yaml")
    whole = start(tmp_path, "search_main", *settings, "--run-name", "whole", "--workers", "0")
    assert whole.wait() == 0, (tmp_path / "stderr.txt").read_text()
    shutil.rmtree(tmp_path / "runs" / "parents")
    run = killed_at(
        (0, 3), tmp_path, "search_main", settings, name="killed", workers=0, rng=random.Random(5)
    )
    for log in ("trials.jsonl", "finals.jsonl"):
        assert lines(run / log) == lines(tmp_path / "runs" / "whole" / log)
    for file in ("best.yaml", "seed.pt"):
        assert (run / file).read_bytes() == (tmp_path / "runs" / "whole" / file).read_bytes()
