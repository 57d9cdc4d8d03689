"""What the table of an ablation of searches says, on made-up searches."""

import csv
import io
import math

import pytest

from nas.ablating.outcome import Outcome, Tried
from nas.ablating.search_results import SearchResults
from nas.report.ablation.charts import pictures


def outcome(name, seed, test, *trials, of_target=0.9):
    return Outcome(name, seed, tuple(Tried(*one) for one in trials), of_target, 0.5, test)


def results(**tests):
    """Searches by name, with the test accuracy of each seed."""
    outcomes = {
        name: [
            outcome(name, seed, test, (0.9, 0.4, 10.0), (1.2, 0.8, 10.0))
            for seed, test in enumerate(of)
        ]
        for name, of in tests.items()
    }
    return SearchResults("About", outcomes, "accuracy", ("phone, target 5 ms",))


def test_differences_are_paired_by_seed():
    found = results(first=[0.60, 0.70, 0.80], other=[0.62, 0.71, 0.83])
    gap = found.gap("other")
    assert gap.points == pytest.approx(2.0)
    # Student's t with two degrees of freedom, of 2, 1 and 3: 4.3027 * 1 / sqrt(3)
    assert gap.half == pytest.approx(4.3027 / math.sqrt(3), abs=1e-3)
    assert gap.by_chance is True
    assert found.gap("first") is None
    assert found.verdict() == "No search differs from first beyond chance, over 3 seeds."


def test_a_sure_difference_is_said_with_its_interval():
    found = results(first=[0.60, 0.70, 0.80], better=[0.65, 0.75, 0.8501], alike=[0.6, 0.7, 0.8])
    assert found.verdict() == (
        "better finds networks 5.0 ± 0.0 points better than first, over 3 seeds. The others do not differ "
        "from it beyond chance."
    )


def test_one_seed_has_no_verdict():
    found = results(first=[0.6], other=[0.9])
    assert found.gap("other").by_chance is None
    assert found.verdict().startswith("Only one seed")
    assert "+30.0" in found.cells("other")


def test_finalists_above_the_target_are_marked_and_missing_ones_counted():
    slow = [outcome("slow", seed, 0.5, (1.5, 0.9, 1.0), of_target=1.5) for seed in (0, 1)]
    quick = [outcome("quick", seed, 0.5, (0.9, 0.4, 1.0)) for seed in (0, 1)]
    both = {"quick": quick, "slow": [slow[0], quick[1]]}
    found = SearchResults("", both, "accuracy", ("d",))
    assert found.cells("slow")[3] == "1.20, 1 of 2 within"
    assert found.cells("slow")[6] == "40.0%, 1 of 2 seeds"


def test_searches_whose_test_images_could_not_be_read_are_left_out():
    found = results(first=[0.6, 0.7], other=[None, 0.75])
    assert found.gap("other").points == pytest.approx(5.0)
    assert results(first=[0.6], other=[None]).gap("other") is None
    assert results(first=[0.6], other=[None]).verdict().startswith("No search could be compared")


def test_equal_time_is_that_of_the_quickest_search_of_a_seed():
    quick = outcome("quick", 0, 0.5, (0.9, 0.3, 5.0), (0.9, 0.4, 5.0))
    slow = outcome("slow", 0, 0.5, (0.9, 0.2, 8.0), (0.9, 0.9, 8.0))
    found = SearchResults("", {"quick": [quick], "slow": [slow]}, "accuracy", ("d",))
    assert found.best_trials("slow") == [90.0]
    assert found.best_trials("slow", equal_time=True) == [20.0]
    assert found.best_trials("quick", equal_time=True) == [40.0]


def test_only_trials_within_the_target_are_the_best():
    one = outcome("a", 0, 0.5, (1.01, 0.9, 1.0), (1.0, 0.4, 1.0))
    assert one.best_within() == 0.4
    assert one.within == 0.5
    assert one.best_within(seconds=1.0) is None
    assert outcome("a", 0, 0.5).best_within() is None
    none = SearchResults("", {"a": [outcome("a", 0, 0.5)], "b": [one]}, "accuracy", ("d",))
    assert none.cells("a")[6] == "none"


def test_tables_and_pictures_have_every_search():
    found = results(first=[0.60, 0.70], other=[0.62, 0.71])
    assert "| other | 66.5% ± " in found.markdown()
    assert "phone, target 5 ms" in found.markdown()
    rows = list(csv.DictReader(io.StringIO(found.csv())))
    assert [(row["search"], row["seed"]) for row in rows] == [
        ("first", "0"), ("first", "1"), ("other", "0"), ("other", "1"),
    ]  # fmt: skip
    assert float(rows[0]["within"]) == 0.5
    document = found.to_dict()
    assert document["searches"][1]["seeds"][1]["test"] == 0.71
    drawn = pictures(found)
    assert drawn["png"].startswith(b"\x89PNG")
    assert b"<svg" in drawn["svg"]


def test_a_search_without_a_trial_within_the_target_is_drawn():
    far = outcome("far", 0, 0.5, (2.0, 0.9, 1.0), of_target=2.0)
    near = outcome("near", 0, None, (0.5, 0.9, 1.0))
    assert pictures(SearchResults("", {"far": [far], "near": [near]}, "accuracy", ("d",)))["png"]
