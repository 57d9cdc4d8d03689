"""`kill -9` of a whole NetAdapt run at random moments: log and network are the uninterrupted one's."""

import random

import pytest

from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes
from nas.checkpoints.usage import Usage
from search_spaces import REFERENCES
from search_spaces.network import build
from tests.nas.killing import killed_at, lines, make_images, progress, start

pytestmark = pytest.mark.slow

SPEC = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=32, classes=2)
SETTINGS = (
    "--seed", "seed.pt", "--data", "images", "--device", "madds:1", "--target-ratio", "0.85",
    "--finetune-steps", "2", "--batch-size", "16", "--final", "both", "--final-epochs", "1",
    "--compare", "uniform", "--compare-seeds", "2",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a seed and its images, and an uninterrupted run."""
    folder = tmp_path_factory.mktemp("kill")
    make_images(folder / "images")
    usage = Usage(("dark", "light"), 32, (0.5, 0.5, 0.5), (0.3, 0.3, 0.3))
    (folder / "seed.pt").write_bytes(
        checkpoint_bytes(Checkpoint(SPEC, build(SPEC).state_dict(), usage))
    )
    whole = (*SETTINGS, "--run-name", "whole", "--workers", "0")
    assert start(folder, "netadapt_main", *whole).wait() == 0, (folder / "stderr.txt").read_text()
    return folder


@pytest.mark.parametrize(
    ("workers", "kills"), [(0, 3), pytest.param(2, 1, marks=[pytest.mark.ray, pytest.mark.long])]
)
def test_nothing_finished_is_lost_and_nothing_changes(place, workers, kills):
    rng = random.Random(workers)
    name = f"killed-{workers}"
    whole = place / "runs" / "whole"
    # At moments spread over the run, from before its first line to its last trainings.
    moments = sorted(rng.choices(range(progress(whole)), k=kills))
    run = killed_at(moments, place, "netadapt_main", SETTINGS, name=name, workers=workers, rng=rng)
    for log in ("proposals.jsonl", "finals.jsonl"):
        assert lines(run / log) == lines(whole / log)
    for file in ("adapted.yaml", "adapted.pt", "family.csv", "result.json"):
        assert (run / file).read_bytes() == (whole / file).read_bytes()
