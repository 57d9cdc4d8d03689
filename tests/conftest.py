import os
import random

import pytest

# Nothing in the tests may draw a screen, phone home or fill the user's own cache.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Small networks train faster on one thread than on several that wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Where a test asks for more, threads that wait must not spin: the other workers need the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOBILE_NAS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def random_tokens():
    def draw(arities, seed):
        rng = random.Random(seed)
        return tuple(rng.randrange(arity) for arity in arities)

    return draw


@pytest.fixture
def randomized_norms():
    """Gives batch norms running statistics as after training: at their start they do next to nothing."""
    import torch
    from torch import nn

    def randomize(module):
        generator = torch.Generator().manual_seed(2)
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.1, generator=generator)
                layer.running_var.uniform_(0.5, 1.5, generator=generator)

    return randomize
