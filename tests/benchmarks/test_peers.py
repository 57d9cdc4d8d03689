"""Other libraries' searches, asked and told as ours are."""

import pytest

from benchmarks.controllers.peers import PEERS, make_peer

ARITIES = (2, 3, 4)


def best_of(name, *, trials=60, batch=10):
    """The best score found on a sum of decisions, whose best is 6."""
    peer, best = make_peer(name, ARITIES, seed=0), 0
    for _ in range(trials // batch):
        asked = peer.ask(batch)
        assert len(asked) == batch
        for tokens in asked:
            assert all(0 <= token < arity for token, arity in zip(tokens, ARITIES, strict=True))
        peer.tell([(tokens, float(sum(tokens))) for tokens in asked])
        best = max(best, *map(sum, asked))
    return best


@pytest.mark.parametrize("name", [name for name in PEERS if name != "optuna-gp"])
def test_a_peer_finds_the_best_of_a_small_space(name):
    if name.startswith("optuna"):
        pytest.importorskip("optuna")
    assert best_of(name) == 6


def test_the_gaussian_process_is_asked_and_told():
    pytest.importorskip("optuna")
    assert best_of("optuna-gp", trials=20) >= 5


def test_our_controllers_are_peers_too():
    assert best_of("evolution") == 6
