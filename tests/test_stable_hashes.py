"""Digests and keys that files and caches of earlier versions were written with.

A change here means that caches are measured anew, runs cannot be resumed, or older versions cannot read a
file. If that is wanted, write `json.dumps(current(), indent=1)` to `stable_hashes.json`, and say why.
"""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from latency import Device, Latency
from latency.estimates.pieces import pieces
from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes
from nas.checkpoints.feeding import KEY, Feed
from nas.checkpoints.torch_files import weights_digest
from nas.checkpoints.usage import Usage
from nas.data.images import ArraySplit, Dataset
from nas.engine.folder.run_metadata import DataMetadata
from nas.engine.trial import Trial
from nas.searching.from_parent.tuning import tuning_key
from nas.training.named_recipes import NAMES, read_recipe
from nas.training.recipe import Recipe
from search_spaces import REFERENCES, load_space
from search_spaces.network import build
from search_spaces.spec import to_yaml

FILE = Path(__file__).with_name("stable_hashes.json")

WIDTHS = (0.5, 0.75, 1.0)


def digest(content: object) -> str:
    text = content if isinstance(content, str) else json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def networks():
    """Reference networks at three widths, and one network of MnasNet's space for each choice."""
    for name, reference in REFERENCES.items():
        for width in WIDTHS:
            yield f"{name}@{width}", reference(classes=1000, width=width)
    space = load_space("mnasnet", resolution=224, classes=1000)
    for choice in range(max(space.arities)):
        tokens = tuple(min(choice, arity - 1) for arity in space.arities)
        yield f"mnasnet {choice}", space.decode(tokens)


def dataset() -> Dataset:
    images = np.arange(12 * 3 * 8 * 8, dtype=np.uint8).reshape(12, 3, 8, 8)
    split = ArraySplit(images, np.arange(12) % 3)
    third = (0.25, 0.5, 0.75)
    return Dataset("fixed", ("cat", "dog", "owl"), split, split, split, 8, third, third)


def checkpoint() -> Checkpoint:
    spec = REFERENCES["mobilenet_v3_small"](classes=3, width=0.35)
    shapes = build(spec).state_dict()
    weights = {name: torch.full_like(shape, 0.5) for name, shape in shapes.items()}
    return Checkpoint(spec, weights, Usage.of(dataset()), device="cpu")


def trial() -> Trial:
    latency = Latency.exactly(3.5, Device("lab", "lab"))
    return Trial(
        index=1, kind="search", batch=0, tokens=(0, 2, 1), fingerprint="f", seed=7, accuracy=0.625,
        latencies=(latency,), reward=0.5, params=10, madds=20, error=None,
        time={"train_s": 1.0}, px=64,
    )  # fmt: skip


def written(seed: Checkpoint) -> dict[str, object]:
    """Return the keys of a checkpoint's file, and what is not a tensor in it."""
    content = torch.load(io.BytesIO(checkpoint_bytes(seed)), weights_only=True)
    shown = {key: list(content[key]) for key in ("spec", "usage", "feed")}
    return {"keys": list(content), "format": content["format"], **shown}


def current() -> dict[str, object]:
    seed, data = checkpoint(), dataset()
    specs = dict(networks())
    recipes = {name: read_recipe(name) for name in NAMES} | {"default": Recipe()}
    feed = Feed.of(seed).to_dict() | {KEY: "any version"}
    return {
        "fingerprints": {name: spec.fingerprint for name, spec in specs.items()},
        "yaml": {name: digest(to_yaml(spec)) for name, spec in specs.items()},
        "pieces": {name: digest([p.key for p in pieces(spec)]) for name, spec in specs.items()},
        "tensors": {
            name: digest(list(build(reference(width=0.35)).state_dict()))
            for name, reference in REFERENCES.items()
        },
        "weights": weights_digest(seed.weights),
        "recipes": {
            name: digest(recipe.model_dump(mode="json"))
            for name, recipe in recipes.items()
            if name not in ("detect", "segment")  # without files of earlier versions
        },
        "recipe": Recipe().model_dump(mode="json"),
        "tuning key": tuning_key(seed, data, Recipe(), seed=0),
        "data": DataMetadata.of(data).to_dict(),
        "feed": feed,
        "checkpoint": written(seed),
        "trial": trial().to_dict(),
    }


@pytest.fixture(scope="module")
def found() -> dict[str, object]:
    return json.loads(json.dumps(current()))


GOLDEN = json.loads(FILE.read_text(encoding="utf-8"))


def test_every_part_has_a_golden_value(found):
    assert list(found) == list(GOLDEN)


@pytest.mark.parametrize("part", GOLDEN)
def test_nothing_is_written_or_hashed_differently(found, part):
    assert found[part] == GOLDEN[part]
