"""Trials that begin with the weights which they have in common with a network outside of the space."""

import pickle
from dataclasses import replace

import pytest
import torch

from controllers import make_controller
from latency import open_device
from nas.checkpoints.checkpoint import Checkpoint, load_checkpoint
from nas.checkpoints.torch_files import state_of
from nas.checkpoints.usage import NORMALIZATIONS, Usage
from nas.engine.job import Job
from nas.report.search.procedure import procedure
from nas.run_search import search
from nas.searching.config import FinalsConfig
from nas.searching.from_scratch.overlap import Overlap
from nas.searching.from_scratch.proxy_task import ProxyTraining
from nas.searching.results.record import RunRecord
from nas.training.recipe import Recipe
from search_spaces import REFERENCES, ElasticSpace, InputError, count, load_space
from search_spaces.network import build
from tests.nas.adapting.test_adapt import DATA

SPACE = load_space("mnasnet", resolution=32, classes=2)
STILL = Recipe(steps=1, batch_size=16, learning_rate=1e-12)
CHOSEN = {"op": "mbconv6", "kernel": 3, "se": 0, "skip": "identity"}
"""MobileNetV2's choices, but for the first stage's op; its widths and depths are the middle ones."""


def parent_of(spec, number=0):
    weights = build(spec, generator=torch.Generator().manual_seed(number)).state_dict()
    mean, std = NORMALIZATIONS["imagenet"]
    classes = tuple(map(str, range(spec.head.classes)))
    return Checkpoint(spec, weights, Usage(classes, 224, mean, std))


V2 = parent_of(REFERENCES["mobilenet_v2"](classes=5))


def tokens_of(**fields):
    """MobileNetV2 in MnasNet's space, but for some fields."""

    def token(index, name):
        block = SPACE.blocks[index]
        if name in ("out", "depth") and name not in fields:
            return 1
        value = (CHOSEN | fields)[name]
        if name == "op" and index == 0:
            value = "sepconv"  # an expansion of 1
        return value if name in ("out", "depth") else getattr(block, name).index(value)

    return tuple(token(index, name) for index, name in SPACE.decisions)


TWIN = tokens_of()


def state_for(tokens, parent=V2, seed=3):
    return Overlap.of(SPACE, parent).state_dict(
        tokens, generator=torch.Generator().manual_seed(seed)
    )


def test_the_twin_of_the_parent_takes_everything_but_the_classifier():
    spec = SPACE.decode(TWIN)
    assert [(b.op, b.expand, b.out) for b in spec.blocks] == [
        (b.op, b.expand, b.out) for b in V2.spec.blocks
    ]
    state = state_for(TWIN)
    same = {
        name for name in state if torch.equal(state[name], V2.weights.get(name, torch.zeros(0)))
    }
    assert set(state) - same == {"head.classifier.1.weight", "head.classifier.1.bias"}
    params = count(spec).params
    assert Overlap.of(SPACE, V2).share(TWIN) == pytest.approx((params - 2 * 1281) / params)


def test_the_classifier_is_drawn_anew_for_every_seed():
    first, second = (state_for(TWIN, seed=seed)["head.classifier.1.weight"] for seed in (3, 4))
    assert first.shape == (2, 1280)
    assert not torch.equal(first, second)


def test_narrower_shorter_layers_and_larger_kernels_are_cut_and_padded():
    state = state_for(tokens_of(out=0, depth=0, kernel=5, op="mbconv3"))
    # The first layer of stage 2, which is the second block without stage 0: (48 channels, 5x5).
    (name,) = (
        f"blocks.{index}.layers.1.0.weight"
        for index, place in enumerate(SPACE.places(tokens_of(out=0, depth=0)))
        if place == (3, 0)
    )
    theirs = V2.weights["blocks.6.layers.1.0.weight"]  # stage 3's first block
    ours = state[name]
    assert ours.shape[-2:] == (5, 5)
    width = min(len(ours), len(theirs))
    assert torch.equal(ours[:width, :, 1:4, 1:4], theirs[:width])
    ours[:, :, 1:4, 1:4] = 0
    assert ours[:width].abs().max() == 0


def test_other_ops_are_new_and_the_stem_and_the_head_are_not():
    tokens = tokens_of(op="conv")
    drawn = build(SPACE.decode(tokens), generator=torch.Generator().manual_seed(3)).state_dict()
    state = state_for(tokens)
    for name in (name for name in state if name.startswith("blocks.") and ".0.weight" in name):
        if not name.startswith("blocks.0."):
            assert torch.equal(state[name], drawn[name])
    for name in ("stem.0.weight", "head.conv.0.weight"):
        assert torch.equal(state[name], V2.weights[name])


def test_the_share_is_what_differs_from_a_drawn_network(random_tokens):
    """Counted in the weights themselves: a parent of sevens alone, in a network of small numbers."""
    marked = replace(V2, weights={n: torch.full_like(w, 7) for n, w in V2.weights.items()})
    overlap = Overlap.of(SPACE, marked)
    shares = []
    for seed in range(4):
        tokens = random_tokens(SPACE.arities, seed)
        network = build(SPACE.decode(tokens))
        network.load_state_dict(overlap.state_dict(tokens, generator=torch.Generator()))
        sevens = sum(int((p == 7).sum()) for p in network.parameters())
        shares.append(sevens / sum(p.numel() for p in network.parameters()))
        assert overlap.share(tokens) == pytest.approx(shares[-1])
    specs = [SPACE.decode(random_tokens(SPACE.arities, seed)) for seed in range(4)]
    assert overlap.mean_share(specs) == pytest.approx(sum(shares) / 4)


def test_smooth_nonlinearities_share_only_what_is_before_them():
    large = parent_of(REFERENCES["mobilenet_v3_large"](classes=5))
    state = state_for(tokens_of(out=1, depth=1), parent=large)
    drawn = build(
        SPACE.decode(tokens_of()), generator=torch.Generator().manual_seed(3)
    ).state_dict()
    assert torch.equal(state["stem.0.weight"], drawn["stem.0.weight"]), "h-swish"
    assert torch.equal(
        state["blocks.1.layers.0.0.weight"][:64, :16],
        large.weights["blocks.1.layers.0.0.weight"],
    ), "ReLU"
    late = "blocks.10.layers.0.0.weight"  # at 1/16, where MobileNetV3 has h-swish
    assert torch.equal(state[late], drawn[late])


def test_networks_with_nothing_in_common_are_refused():
    spec = V2.spec
    smooth = replace(spec, blocks=tuple(replace(block, act="hswish") for block in spec.blocks))
    with pytest.raises(InputError, match="space mnasnet has no layer in common with the parent"):
        Overlap.of(SPACE, parent_of(smooth))
    elastic = ElasticSpace(name="elastic", parent=spec, resolutions=(96,))
    with pytest.raises(InputError, match="space elastic does not say which layers match"):
        Overlap.of(elastic, V2)


def test_finalists_begin_with_them_too_and_it_can_be_sent_to_workers():
    overlap = pickle.loads(pickle.dumps(Overlap.of(SPACE, V2)))
    spec = SPACE.decode(TWIN)
    job = Job(index=0, kind="final", batch=0, tokens=TWIN, spec=spec, seed=5)
    training = ProxyTraining(DATA, DATA, STILL, final_factor=1, warm_start=overlap)
    weights = state_of(training(job).weights)
    name = "blocks.3.layers.1.0.weight"
    assert torch.allclose(weights[name], V2.weights[name], atol=1e-6)


def run(folder, **changes):
    arguments = {
        "controller": make_controller("uniform", SPACE.arities, seed=0),
        "latency": open_device("madds:1"),
        "data": DATA,
        "target_ms": 10.0,
        "folder": folder,
        "recipe": Recipe(steps=1, batch_size=16),
        "trials": 2,
        "batch_size": 2,
        "finals": FinalsConfig(count=1, epochs_factor=1, repeats=1),
        "weights_from": V2,
    }
    return search(SPACE, **{**arguments, **changes})


def test_a_run_keeps_to_the_weights_and_their_normalization(tmp_path):
    first = run(tmp_path)
    assert run(tmp_path).to_dict() == first.to_dict()
    shipped = load_checkpoint(tmp_path / "seed.pt")
    assert shipped.usage.mean == V2.usage.mean != DATA.mean
    steps = procedure(RunRecord.read(first.folder))
    assert "initialized from a pretrained network's weights, where they overlap" in steps
    assert any(step.endswith("from the pretrained network's weights") for step in steps)
    with pytest.raises(InputError, match="weights_from"):
        run(tmp_path, weights_from=parent_of(V2.spec, 1))
    with pytest.raises(InputError, match="weights_from"):
        run(tmp_path, weights_from=None)


def test_a_warm_start_beside_it_is_refused(tmp_path):
    seed = parent_of(SPACE.decode(TWIN))
    with pytest.raises(InputError, match="warm_start and weights_from both"):
        run(tmp_path / "run", warm_start=[seed])
    assert not (tmp_path / "run").exists()
