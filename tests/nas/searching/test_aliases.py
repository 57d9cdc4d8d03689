"""Token sequences that are one network: a search that screens does not spend trials on them."""

from controllers import make_controller
from nas.engine.job import Outcome
from search_spaces import load_space
from tests.nas.searching.test_run_facts import run

SPACE = load_space("mnasnet", resolution=32, classes=2)


def lucky(job):
    """By chance a little better or worse; a network without its first and last block, much better."""
    luck = int(job.spec.fingerprint, 16) % 1000 / 1e5
    dropped = [job.tokens[6 * block + 5] == 0 for block in (0, 6)]  # depth 0
    return Outcome(0.5 + luck + 0.2 * all(dropped))


def test_every_trial_is_of_another_network(tmp_path):
    screened = make_controller("screened", SPACE.arities, seed=0)
    result = run(tmp_path, controller=screened, trials=60, batch_size=5, evaluate=lucky)
    assert len({trial.fingerprint for trial in result.trials}) == 60
    dropped = [trial for trial in result.trials if trial.tokens[5] == 0]  # block 0's depth
    assert len(dropped) > 20  # what its other tokens are means nothing
