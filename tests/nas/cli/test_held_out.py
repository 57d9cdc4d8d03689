"""A checkpoint is tested on images that it was not trained on, however it was split off."""

import json
from dataclasses import replace

import pytest
import torch

from nas.checkpoints.checkpoint import checkpoint_bytes, load_checkpoint
from nas.checkpoints.feeding import Feed
from nas.data.load import load_dataset
from nas.data.splits.rule import SplitRule
from tests.nas.adapting.test_adapt import SEED

RULE = SplitRule(val_fraction=0.1, test_fraction=0.3, seed=5)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "away" / "mine.pt"
    path.parent.mkdir()
    path.write_bytes(checkpoint_bytes(replace(SEED, usage=replace(SEED.usage, rule=RULE))))
    return path


def counted(nas, file, photos, split):
    code, out, err = nas("evaluate", file, "--data", photos, "--split", split, "--json")
    assert code == 0, err
    return json.loads(out)["images"]


def test_every_file_of_it_is_evaluated_on_its_own_test_images(nas, checkpoint, photos):
    assert nas("export", checkpoint, "--json")[0] == 0
    for file in (checkpoint, checkpoint.with_suffix(".onnx")):
        assert [counted(nas, file, photos, split) for split in ("train", "val", "test")] == [
            60,
            10,
            30,
        ]
    described = json.loads(checkpoint.with_suffix(".json").read_text())
    assert described["held_out"] == RULE.to_dict()
    assert Feed.from_dict(described, where="there").usage.rule == RULE


def test_training_on_keeps_to_them(nas, checkpoint, photos, tmp_path):
    given = ("--data", photos, "--epochs", 0.2, "--batch-size", 16, "-o", tmp_path / "on.pt")
    assert nas("train", checkpoint, *given)[0] == 0
    assert load_checkpoint(tmp_path / "on.pt").usage.rule == RULE


def test_netadapt_keeps_to_them(netadapt, checkpoint, photos):
    code, _, err = netadapt(
        "--seed", checkpoint, "--data", photos, "--device", "madds:1", "--target-ratio", 0.9,
        "--batch-size", 16, "--finetune-steps", 2, "--workers", 0, "--dry-run",
    )  # fmt: skip
    assert code == 0, err
    said = " ".join(err.split())
    assert "60 images train, 10 choose among networks (held out), 30 test" in said


def test_a_file_of_before_was_split_by_place(checkpoint, photos):
    content = torch.load(checkpoint, weights_only=True)
    del content["usage"]["rule"]
    torch.save(content, checkpoint)
    assert load_checkpoint(checkpoint).usage.rule == SplitRule(split_by="random")


def test_a_data_set_says_how_it_was_split(photos):
    data = load_dataset(str(photos), resolution_px=8, rule=RULE)
    assert data.rule == RULE
    assert [len(part) for part in (data.train, data.val, data.test)] == [60, 10, 30]
