"""Trials that begin with the weights of trained networks."""

from dataclasses import replace

import pytest
import torch

from controllers import make_controller
from latency import open_device
from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.scoring import score
from nas.checkpoints.torch_files import state_of
from nas.checkpoints.usage import Usage
from nas.engine.job import Job
from nas.run_search import search
from nas.searching.config import FinalsConfig
from nas.searching.from_scratch.proxy_task import ProxyTraining
from nas.searching.from_scratch.warm_start import WarmStart
from nas.training.recipe import Recipe
from search_spaces import InputError, load_space
from search_spaces.network import build
from tests.nas.adapting.test_adapt import DATA

SPACE = load_space("mnasnet", resolution=32, classes=2)
STILL = Recipe(steps=1, batch_size=16, learning_rate=1e-12)


def seed_of(tokens, number=0, space=SPACE):
    spec = space.decode(tokens)
    weights = build(spec, generator=torch.Generator().manual_seed(number)).state_dict()
    return Checkpoint(spec, weights, Usage(DATA.classes, 32, DATA.mean, DATA.std))


def job_of(tokens, kind="search", seed=5):
    spec = SPACE.decode(tokens)
    return Job(index=0, kind=kind, batch=0, tokens=tokens, spec=spec, seed=seed)


def test_of_several_the_most_similar_lends_its_weights(random_tokens):
    first, second = (random_tokens(SPACE.arities, number) for number in (1, 2))
    seeds = [seed_of(first, 1), seed_of(second, 2)]
    warm = WarmStart.of(SPACE, seeds, classes=2)
    for tokens, seed in zip((first, second), seeds, strict=True):
        state = warm.state_dict(tokens, generator=torch.Generator())
        assert all(torch.equal(state[name], seed.weights[name]) for name in seed.weights)


@pytest.mark.slow
@pytest.mark.long
def test_a_trial_of_the_network_itself_begins_as_good_as_it_is(random_tokens):
    tokens = random_tokens(SPACE.arities, 3)
    trained = ProxyTraining(DATA, DATA, Recipe(steps=30, batch_size=16))(
        job_of(tokens, kind="final")
    )
    good = replace(seed_of(tokens), weights=state_of(trained.weights))
    expected = score(good, DATA, ("val",)).accuracy
    assert expected > 0.9  # of two classes
    still = STILL.model_copy(update={"steps": 20})  # batch norm's statistics are taken anew
    warm = ProxyTraining(DATA, DATA, still, warm_start=WarmStart.of(SPACE, [good], classes=2))
    assert warm(job_of(tokens)).accuracy == pytest.approx(expected, abs=0.1)


def test_finalists_begin_with_drawn_weights(random_tokens):
    tokens = random_tokens(SPACE.arities, 3)
    warm_start = WarmStart.of(SPACE, [seed_of(tokens)], classes=2)
    finals = [
        state_of(
            ProxyTraining(DATA, DATA, STILL, warm_start=start)(job_of(tokens, kind="final")).weights
        )
        for start in (warm_start, None)
    ]
    assert all(torch.equal(finals[0][name], finals[1][name]) for name in finals[1])


def test_sources_that_do_not_fit_are_refused(random_tokens):
    tokens = random_tokens(SPACE.arities, 3)
    other = load_space("mnasnet", resolution=64, classes=7)
    with pytest.raises(InputError, match="has 7 classes, the search has 2"):
        WarmStart.of(SPACE, [seed_of(tokens, space=other)], classes=2)
    stranger = replace(seed_of(tokens), spec=replace(SPACE.decode(tokens), bn_eps=0.5))
    with pytest.raises(InputError, match="give one found in the same space"):
        WarmStart.of(SPACE, [stranger], classes=2)

    class Opaque:
        name = "opaque"

    with pytest.raises(InputError, match="space opaque does not tell which layers match"):
        WarmStart.of(Opaque(), [seed_of(tokens)], classes=2)


def test_one_that_was_trained_at_another_size_fits(random_tokens):
    tokens = random_tokens(SPACE.arities, 3)
    larger = load_space("mnasnet", resolution=96, classes=2)
    warm = WarmStart.of(SPACE, [seed_of(tokens, space=larger)], classes=2)
    assert warm.tokens == (SPACE.encode(SPACE.decode(tokens)),)


def test_a_run_keeps_to_what_it_began_with(tmp_path, random_tokens):
    tokens = random_tokens(SPACE.arities, 3)

    def run(seed):
        return search(
            SPACE,
            controller=make_controller("uniform", SPACE.arities, seed=0),
            latency=open_device("madds:1"),
            data=DATA,
            target_ms=10.0,
            folder=tmp_path,
            recipe=Recipe(steps=1, batch_size=16),
            trials=2,
            batch_size=2,
            finals=FinalsConfig(count=1, epochs_factor=1, repeats=1),
            warm_start=[seed],
        )

    first = run(seed_of(tokens))
    assert run(seed_of(tokens)).to_dict() == first.to_dict()
    with pytest.raises(InputError, match="warm_start"):
        run(seed_of(tokens, number=1))
