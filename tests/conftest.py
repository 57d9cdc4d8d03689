import os
import random

import pytest

# Nothing in the tests may draw a screen, phone home or fill the user's own cache.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOBILE_NAS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def random_tokens():
    def draw(arities, seed):
        rng = random.Random(seed)
        return tuple(rng.randrange(arity) for arity in arities)

    return draw
