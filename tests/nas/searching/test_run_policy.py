"""The policy that a search leaves in its folder, and a search that begins with it."""

import json
import shutil

import pytest
import torch

from controllers import make_controller
from nas import RunStoppedError
from nas.engine.job import Outcome
from nas.engine.watching import Silent
from nas.searching.latency_warmup import PowerLaw
from nas.searching.run_policy import RunPolicy
from search_spaces import InputError, load_space
from tests.nas.searching.test_run_facts import run

SPACE = load_space("mnasnet", resolution=16, classes=2)
TRIALS = 12


def more_of_the_first(job):
    """Networks are better the more decisions take their first choice."""
    return Outcome(sum(token == 0 for token in job.tokens) / len(job.tokens))


def searched(folder, name="rnn", **changes):
    arguments = {"trials": TRIALS, "batch_size": 4, "evaluate": more_of_the_first}
    options = {"warmup": 4} if name in ("rnn", "screened") else {}
    controller = make_controller(name, SPACE.arities, seed=0, options=options)
    return run(folder, controller=controller, **(arguments | changes))


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "earlier"
    searched(folder, target_ms=2.5)
    return folder


def firsts(policy):
    """The mean probability of the first choices."""
    controller = make_controller("rnn", SPACE.arities, seed=0)
    controller.begin_with(policy.policy)
    return sum(row[0] for row in controller.choice_probabilities()) / len(SPACE.arities)


@pytest.mark.parametrize("name", ["rnn", "screened"])
def test_a_run_leaves_its_policy_and_says_where_it_is_from(tmp_path, name):
    searched(tmp_path / "one", name, target_ms=2.5)
    left = RunPolicy.read(tmp_path / "one")
    assert str(left.origin).startswith("run one: 12 trials on noise, for ")
    assert str(left.origin).endswith(" at 2.5 ms")
    assert (left.origin.space, left.origin.labels) == (SPACE.name, SPACE.labels)
    fresh = make_controller("rnn", SPACE.arities, seed=0)
    rows = fresh.choice_probabilities()
    assert firsts(left) > sum(row[0] for row in rows) / len(rows)


@pytest.mark.parametrize("name", ["evolution", "uniform"])
def test_a_run_without_a_policy_leaves_none(tmp_path, name):
    searched(tmp_path / "one", name)
    assert not (tmp_path / "one" / "policy.pt").exists()
    with pytest.raises(InputError, match=r"one has no policy\.pt: its controller has no policy"):
        RunPolicy.read(tmp_path / "one")


def test_an_interrupted_run_leaves_the_policy_of_its_last_batch(tmp_path, earlier):
    class Stopping(Silent):
        def told(self, batch, controller):
            if batch == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "cut", watcher=Stopping(), target_ms=2.5)
    assert RunPolicy.read(tmp_path / "cut").origin.trials == 8
    searched(tmp_path / "cut", target_ms=2.5)
    ours, theirs = (RunPolicy.read(folder) for folder in (tmp_path / "cut", earlier))
    assert ours.origin.trials == TRIALS
    assert ours.metadata().weights == theirs.metadata().weights


def test_a_search_begins_with_it(tmp_path, earlier):
    policy = RunPolicy.read(earlier)

    def first_batch(result):
        return [trial.tokens for trial in result.trials[:4]]

    begun = first_batch(searched(tmp_path / "begun", policy=policy))
    own = make_controller("rnn", SPACE.arities, seed=0, options={"warmup": 4})
    own.begin_with(policy.policy)
    assert begun == own.ask(4)
    assert begun != first_batch(searched(tmp_path / "plain"))
    kept = json.loads((tmp_path / "begun/run.json").read_text())["policy"]
    assert kept == policy.metadata().to_dict()
    assert kept["run"] == "earlier"
    assert json.loads((tmp_path / "plain/run.json").read_text())["policy"] is None
    assert "policy begun with that of run earlier" in (tmp_path / "begun/report.html").read_text()


def test_a_run_goes_on_with_the_policy_that_it_began_with(tmp_path, earlier):
    policy = RunPolicy.read(earlier)
    whole = searched(tmp_path / "whole", policy=policy)
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    log = (tmp_path / "cut/trials.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "cut/trials.jsonl").write_text("".join(log[:5]))
    again = searched(tmp_path / "cut", policy=policy)
    assert [t.tokens for t in again.trials] == [t.tokens for t in whole.trials]
    for other in (None, RunPolicy.read(tmp_path / "whole")):
        with pytest.raises(InputError, match=r"policy.* was .* when this run started and is"):
            searched(tmp_path / "whole", policy=other)


@pytest.mark.parametrize("name", ["rnn", "screened", "uniform"])
def test_a_guided_search_begins_with_it_too(tmp_path, earlier, name):
    law = PowerLaw(scale_ms=0.01, power=1.0)
    policy = None if name == "uniform" else RunPolicy.read(earlier)
    result = searched(tmp_path / "guided", name, policy=policy, latency_warmup=[law])
    assert len(result.trials) == TRIALS


def test_what_cannot_begin_with_it_is_refused_before_anything_is_written(tmp_path, earlier):
    policy = RunPolicy.read(earlier)
    with pytest.raises(InputError, match=r"controller RegularizedEvolution has no policy to begin"):
        searched(tmp_path / "new", "evolution", policy=policy)
    labels = (("block 0 op", ("conv",)), *policy.origin.labels[1:])
    other = RunPolicy(policy.policy, policy.origin.model_copy(update={"labels": labels}))
    with pytest.raises(InputError, match=r"of another space, which has block 0 op \(conv\) where"):
        searched(tmp_path / "new", policy=other)
    assert not (tmp_path / "new").exists()


def test_a_file_that_is_no_policy_is_refused(tmp_path, earlier):
    content = torch.load(earlier / "policy.pt", weights_only=True)
    bad = {
        "cut.pt": (earlier / "policy.pt").read_bytes()[:5000],
        "text.pt": b"policy",
    }
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    changes = {
        "old.pt": ({"format": "mobile-nas policy 0"}, "is no policy of this version"),
        "seed.pt": ({"format": "mobile-nas seed 1"}, "is no policy of this version"),
        "bare.pt": ({"origin": None}, "damaged"),
        "named.pt": ({"weights": {"start": "none"}}, "damaged"),
        "whole.pt": ({"arities": 3}, "damaged"),
    }
    for name, (change, _) in changes.items():
        torch.save(content | change, tmp_path / name)
    problems = {name: problem for name, (_, problem) in changes.items()}
    problems |= {"cut.pt": "damaged", "text.pt": r"text\.pt", "gone.pt": "No such file"}
    for name, problem in problems.items():
        with pytest.raises(InputError, match=problem) as refused:
            RunPolicy.read(tmp_path / name)
        assert name in str(refused.value)
        assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="is not the folder of a search"):
        RunPolicy.read(tmp_path)


def test_a_search_that_stops_at_once_leaves_none(tmp_path):
    with pytest.raises(RunStoppedError):
        searched(tmp_path / "failed", evaluate=lambda _: Outcome(None, error="no"))
    with pytest.raises(InputError, match=r"no batch is finished, or .* nas-search --resume"):
        RunPolicy.read(tmp_path / "failed")
