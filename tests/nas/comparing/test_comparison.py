import csv
import io
import json

import numpy as np
import pytest

from nas.comparing.comparison import Comparison, Row, verdict
from nas.comparing.latencies import Read
from nas.comparing.tables import markdown, table_csv
from nas.formatting import three_digits
from nas.tasks.classification import Answers
from search_spaces import REFERENCES, count

V2 = REFERENCES["mobilenet_v2"](resolution=96, classes=10)
V3 = REFERENCES["mobilenet_v3_small"](resolution=96, classes=10)
IMAGES = 1000


def answers(right, *, shift=0):
    """Answers to images of class 0; `shift` moves which of them are right."""
    given = np.roll(np.array([0] * right + [1] * (IMAGES - right)), shift)
    return Answers(given, np.zeros(IMAGES, np.int64), np.full(IMAGES, 0.5, np.float32))


def row(name, right, *, spec=V2, ms=1.0, held_out=0.5, new=False, **other):
    evidence = {seed: answers(count) for seed, count in enumerate(right)}
    read = Read(ms, (ms, ms), ms, (ms, ms))
    held = dict.fromkeys(evidence, held_out)
    return Row(name, spec, new, (read,), held, evidence, **other)


def comparison(*rows):
    return Comparison(rows, ("this machine",), "accuracy", IMAGES)


def test_the_best_other_is_chosen_by_held_out_images():
    found = comparison(
        row("ours", [800] * 3),
        row("lucky on test", [900] * 3, held_out=0.4),
        row("best", [700] * 3, held_out=0.6),
    )
    assert found.best_other == 2
    assert found.differences[0] is None
    assert found.differences[2].points == pytest.approx(10.0)


def test_a_clear_difference_is_one_sentence():
    found = comparison(row("ours", [820, 821, 822]), row("v3", [750, 750, 752], ms=2.0))
    assert verdict(found) == (
        "ours is better than v3: +7.0 points (95% intervals ± 0.1 over seeds, ± 1.6 over 1,000 test "
        "images), at 0.50 of its latency."
    )


def test_worse_is_said_too():
    found = comparison(row("ours", [700, 701, 702]), row("v3", [750, 750, 752]))
    assert verdict(found).startswith("ours is worse than v3: -5.0 points")


def test_no_difference_says_what_would_settle_it():
    found = comparison(row("ours", [700, 720, 740]), row("v3", [705, 705, 745]))
    text = verdict(found)
    assert text.startswith("No difference beyond chance between ours and v3: +0.2 points")
    assert "seeds and" in text
    assert text.endswith("test images would show a difference of this size.")


def test_another_beginning_is_said():
    found = comparison(row("ours", [820, 821, 822]), row("v3", [750, 750, 752], new=True))
    assert verdict(found).endswith(
        "v3 was trained from scratch, by another recipe than the other one."
    )


def test_one_seed_has_no_interval_and_says_so():
    text = verdict(comparison(row("ours", [700]), row("v3", [600])))
    assert "over seeds" not in text
    assert "over 1,000 test images" in text
    assert "One seed does not show how much of that is chance" in text


def test_networks_that_failed_are_named():
    found = comparison(row("ours", [700] * 3), row("v3", [], errors=("diverged: loss is nan",)))
    assert verdict(found) == "Nothing to compare: diverged: loss is nan."
    assert "Failed trainings are left out: v3: diverged" in markdown(found)


def test_the_table_has_counts_latencies_and_differences():
    found = comparison(row("ours", [800] * 3), row("v3", [700, 701, 702], spec=V3, ms=1.25))
    lines = markdown(found).splitlines()
    assert lines[2].startswith(
        "| network | weights | px | params | MAdds | ms | ratio | test accuracy |"
    )
    cost = count(V3)
    params, madds = (three_digits(number / 1e6) for number in (cost.params, cost.madds))
    assert lines[5].startswith(f"| v3 | trained | 96 | {params}M | {madds}M | 1.25 | 1.25 | 70.1%")


def test_csv_and_json_have_the_same_numbers():
    found = comparison(row("ours", [800, 810, 820]), row("v3", [700, 700, 706], spec=V3))
    table = list(csv.DictReader(io.StringIO(table_csv(found))))
    document = json.loads(json.dumps(found.to_dict()))
    assert [one["network"] for one in table] == ["ours", "v3"]
    for line, network in zip(table, document["networks"], strict=True):
        assert float(line["test_percent"]) == network["mean_percent"]
        assert int(line["madds"]) == network["madds"]
    assert (
        float(table[1]["first_minus_this"]) == document["networks"][1]["first_minus_this"]["points"]
    )
    assert document["best_other"] == "v3"
