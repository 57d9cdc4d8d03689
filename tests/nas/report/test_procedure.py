"""How a run searched, in words."""

from dataclasses import replace

import pytest

from latency import Latency
from nas.engine.trial import Trial
from nas.report.search.procedure import procedure
from nas.searching.config import FidelityConfig
from nas.searching.results.metadata import SearchMetadata
from nas.searching.results.record import RunRecord
from nas.training.recipe import Recipe

FACTS = {
    "space": "mine",
    "labels": [["choice", ["a"]]],
    "controller": "Screened",
    "device": {"name": "lab", "estimate": False},
    "target_ms": 2.0,
    "budget": {"trials": 8, "batch_size": 4, "finalists": 2, "repeats": 1, "seed": 0},
    "data": {"name": "photos", "classes": 2, "train": 1000, "val": 100, "test": 100, "px": 32},
    "training": {
        "recipe": Recipe(epochs=2, batch_size=50).model_dump(),
        "finals_factor": 3.0,
        "warm_start": [],
        "fidelity": None,
    },
}


SOURCE = {"tokens": [0], "weights": "digest"}

READING = Latency(1.0, (1.0, 1.0), 1.0, 1.0, 9, "lab", "lab", False, True)


def trial(index, kind="search"):
    return Trial(
        index=index, kind=kind, batch=0, tokens=(0,), fingerprint=str(index), seed=0, accuracy=0.5,
        latencies=(READING,), reward=0.5, params=1, madds=1, error=None, time={},
    )  # fmt: skip


def record(trials=8, **training):
    metadata = described(training=FACTS["training"] | training)
    finals = [trial(0, "final"), trial(1, "final"), trial(0, "repeat")]
    return RunRecord("run", metadata, [trial(i) for i in range(trials)], finals, [], None)


def described(**changes):
    return SearchMetadata.model_validate(FACTS | changes)


def test_a_plain_search_is_told_in_its_order():
    asked, trained, finals, noise = procedure(record())
    assert asked.startswith("screened REINFORCE")
    assert asked.endswith("proposed 8 networks in batches of 4")
    assert trained == "each trained for 40 steps of 50 images at 32 px"
    assert finals.startswith(
        "2 finalists with the highest estimated accuracy, those within the target first"
    )
    assert finals.endswith("trained 3 times as long from new weights")
    assert noise == "1 network trained twice to estimate the noise"


@pytest.mark.parametrize(
    ("training", "told"),
    [
        (
            {"fidelity": FidelityConfig(first=0.25, keep=0.5).model_dump()},
            "first for 25% of that; the best of each batch (8 of 0) then at full length",
        ),
        (
            {"warm_start": [SOURCE, SOURCE]},
            "initialized from the most similar of 2 trained networks",
        ),
        (
            {"recipe": Recipe(average_fraction=0.25).model_dump()},
            "evaluated with weights averaged over the last 25% of steps",
        ),
    ],
)
def test_what_a_search_does_besides_is_told(training, told):
    assert told in procedure(record(**training))


def test_what_a_search_began_with_is_told_first():
    run = record()
    law = {"scale_ms": 0.1, "power": 1.0, "error": 0.2}
    first, second, *_ = procedure(replace(run, metadata=described(latency_warmup=[law])))
    assert first == "policy warmed up with latency estimates from MAdds, to start near the target"
    assert second.startswith("screened REINFORCE")
    assert procedure(replace(run, metadata=described(latency_warmup=[])))[0] == second


def test_a_controller_of_the_caller_s_own_has_its_own_name():
    run = record()
    assert procedure(replace(run, metadata=described(controller="Mine")))[0].startswith(
        "Mine proposed"
    )


def test_how_a_caller_s_own_function_trains_is_not_told():
    told = procedure(record(by_recipe=False))
    assert not any("each trained" in step for step in told)
    assert "trained 3 times as long" in "; ".join(told)


def test_where_none_is_within_the_reward_has_chosen():
    far = replace(record(), metadata=described(target_ms=0.5))
    assert any("2 finalists with the highest estimated reward" in step for step in procedure(far))


def test_a_run_of_an_older_version_tells_what_it_knows():
    unknown = ("controller", "training")
    old = {key: value for key, value in FACTS.items() if key not in unknown}
    asked, finals, _ = procedure(replace(record(), metadata=SearchMetadata.model_validate(old)))
    assert asked == "the controller proposed 8 networks in batches of 4"
    assert "trained longer from new weights" in finals


def test_what_has_not_trained_yet_is_not_told():
    under_way = replace(record(trials=3), finals=[])
    told = "; ".join(procedure(under_way))
    assert "3 networks" in told
    assert "finalist" not in told
    assert "twice" not in told
