"""On NAS-Bench-Macro, learning beats random search within 200 evaluations."""

import json
import os
import statistics
from pathlib import Path

import pytest

from controllers import Tokens, make_controller

FOLDER = os.environ.get("MOBILE_NAS_BENCH")

pytestmark = pytest.mark.skipif(
    FOLDER is None, reason="MOBILE_NAS_BENCH is not set to a folder with macro/*.json"
)


@pytest.fixture(scope="module")
def accuracy_percent() -> dict[Tokens, float]:
    table = json.loads((Path(FOLDER or "") / "macro" / "nas-bench-macro_cifar10.json").read_text())
    return {tuple(map(int, layers)): entry["mean_acc"] for layers, entry in table.items()}


def mean_best(name: str, accuracy_percent: dict[Tokens, float]) -> float:
    """Return the mean over 8 seeds of the best of 200 evaluations, %."""
    best = []
    for seed in range(8):
        controller = make_controller(name, (3,) * 8, seed=seed)
        scores: list[float] = []
        for _ in range(20):
            asked = controller.ask(10)
            told = [(tokens, accuracy_percent[tokens]) for tokens in asked]
            controller.tell(told)
            scores += [score for _, score in told]
        best.append(max(scores))
    return statistics.mean(best)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rnn", "evolution", "screened"])
def test_beats_uniform(name: str, accuracy_percent: dict[Tokens, float]) -> None:
    found = mean_best(name, accuracy_percent)
    assert found > mean_best("uniform", accuracy_percent) + 0.05
    assert found > 93.05
