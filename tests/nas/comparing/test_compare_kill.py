"""`kill -9` of a comparison at random moments: the table is that of an uninterrupted one."""

import random
import shutil

import pytest

from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes
from nas.checkpoints.usage import Usage
from search_spaces.network import build
from tests.nas.adapting.test_adapt_kill import SPEC
from tests.nas.killing import killed_at, lines, make_images, progress, start

pytestmark = pytest.mark.slow

SETTINGS = (
    "seed.pt", "mobilenet_v3_small@0.35", "--data", "images", "--device", "madds:1",
    "--epochs", "1", "--batch-size", "16", "--seeds", "3", "--rates", "0.5,1",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a seed and its images, and an uninterrupted comparison in another one."""
    folder = tmp_path_factory.mktemp("kill")
    make_images(folder / "images")
    usage = Usage(("dark", "light"), 32, (0.5, 0.5, 0.5), (0.3, 0.3, 0.3))
    seed = Checkpoint(SPEC, build(SPEC).state_dict(), usage)
    (folder / "seed.pt").write_bytes(checkpoint_bytes(seed))
    whole = ("--run-name", "whole", "--runs", "whole-runs", "--workers", "0")
    assert start(folder, "main", "compare", *SETTINGS, *whole).wait() == 0, (
        folder / "stderr.txt"
    ).read_text()
    return folder


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.long)])
def test_nothing_finished_is_lost_and_the_table_is_the_same(place, kills):
    rng, name = random.Random(kills), f"killed-{kills}"
    shutil.rmtree(place / "runs", ignore_errors=True)  # of another number, which has trained it all
    whole = place / "whole-runs" / "whole"
    moments = sorted(rng.sample(range(progress(whole)), k=kills))
    run = killed_at(
        moments,
        place,
        "main",
        SETTINGS,
        name=name,
        workers=0,
        rng=rng,
        subcommand=("compare",),
    )
    assert lines(run / "trials.jsonl") == lines(whole / "trials.jsonl")
    for file in ("compare.md", "networks.json"):
        assert (run / file).read_bytes() == (whole / file).read_bytes()
