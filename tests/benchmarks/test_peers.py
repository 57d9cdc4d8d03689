"""Other libraries' searches, asked and told as ours are."""

from itertools import product

import pytest
import torch

from benchmarks.controllers.peers import PEERS, make_peer

ARITIES = (2, 3, 4)


def best_of(name, *, arities=ARITIES, trials=60, batch=10):
    """The best score found on a sum of decisions; the best of `ARITIES` is 6."""
    peer, best = make_peer(name, arities, seed=0), 0
    for _ in range(trials // batch):
        asked = peer.ask(batch)
        assert len(asked) == batch
        for tokens in asked:
            assert all(0 <= token < arity for token, arity in zip(tokens, arities, strict=True))
        peer.tell([(tokens, float(sum(tokens))) for tokens in asked])
        best = max(best, *map(sum, asked))
    return best


def needs(name):
    pytest.importorskip(
        name.split("-")[0] if name.startswith(("optuna", "botorch")) else "controllers"
    )


@pytest.mark.parametrize("name", [name for name in PEERS if name != "optuna-gp"])
def test_a_peer_finds_the_best_of_a_small_space(name):
    needs(name)
    assert best_of(name) == 6


def test_the_gaussian_process_is_asked_and_told():
    needs("optuna-gp")
    assert best_of("optuna-gp", trials=20) >= 5


@pytest.mark.parametrize("name", ["optuna-tpe", "optuna-tpe-multivariate", "botorch"])
def test_a_peer_learns_in_a_space_too_large_to_exhaust(name):
    needs(name)
    arities = (3,) * 12
    uniform = best_of("uniform", arities=arities, trials=40)
    assert best_of(name, arities=arities, trials=40) > uniform


def test_botorch_asks_for_new_sequences_until_none_is_left():
    needs("botorch")
    peer = make_peer("botorch", (2, 3, 2), seed=0)
    asked = []
    for _ in range(2):
        batch = peer.ask(10)
        peer.tell([(tokens, float(sum(tokens))) for tokens in batch])
        asked.append(set(batch))
    first, second = asked
    assert first | second == set(product(range(2), range(3), range(2)))


def test_botorch_leaves_the_global_generator_alone():
    needs("botorch")
    torch.manual_seed(0)
    before = torch.get_rng_state()
    best_of("botorch", trials=20)
    assert torch.equal(torch.get_rng_state(), before)


def test_our_controllers_are_peers_too():
    assert best_of("evolution") == 6
