"""What the networks of a comparison begin with."""

import json
from dataclasses import replace

import pytest
import torch

from nas.checkpoints.checkpoint import checkpoint_bytes, load_checkpoint
from nas.cli.compare.networks import inherited, open_named
from search_spaces import InputError
from search_spaces.spec import load
from tests.nas.adapting.test_adapt import SEED
from tests.nas.cli.conftest import run
from tests.nas.cli.search.test_search_from_parent import CONFIG, RUN
from tests.nas.killing import make_images
from tests.nas.scene_folders import box_scenes, mask_scenes
from tests.nas.small_parent import deep_parent, small_parent

QUICK = (
    "--device", "madds:1", "--epochs", "0.5", "--batch-size", "8", "--seeds", "1", "--rates", "1",
    "--workers", "0", "--json",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_timing(monkeypatch):
    monkeypatch.setattr("nas.cli.compare.running.training_speed", lambda *_, **__: 500.0)


@pytest.fixture
def nas(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run(monkeypatch, capsys, *arguments)


def names(*given, px=None):
    return [one.name for one in open_named(given, px=px)]


def test_equal_names_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pt").write_bytes(checkpoint_bytes(SEED))
    assert names("net.pt", "net.pt", "mobilenet_v2", "net.pt") == [
        "net",
        "net #2",
        "mobilenet_v2",
        "net #3",
    ]


def test_networks_keep_their_size_unless_all_get_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pt").write_bytes(checkpoint_bytes(SEED))
    assert [one.px for one in open_named(("net.pt", "mobilenet_v2"), px=None)] == [32, None]
    assert [one.px for one in open_named(("net.pt", "mobilenet_v2"), px=64)] == [64, 64]


@pytest.mark.parametrize(
    ("scenes", "head", "metric"), [(box_scenes, "ssdlite", "AP"), (mask_scenes, "lraspp", "mIoU")]
)
def test_classifiers_get_a_head_for_boxes_and_masks(nas, tmp_path, scenes, head, metric):
    scenes(tmp_path / "scenes")
    (tmp_path / "body.pt").write_bytes(checkpoint_bytes(deep_parent()))
    status, out, err = nas(
        "compare",
        "body.pt",
        "mobilenet_v3_small@0.35",
        "--data",
        "scenes",
        "--resolution",
        "64",
        *QUICK,
    )
    assert status == 0, err
    document = json.loads(out)
    assert document["metric"] == metric
    assert "body: 64 px, trained from its weights, with a new classifier" in err
    files = [one["files"][0] for one in document["networks"]]
    assert [load_checkpoint(file).spec.head.kind for file in files] == [head, head]


def test_networks_of_other_sizes_have_their_own_images(nas, tmp_path):
    make_images(tmp_path / "photos")
    (tmp_path / "small.pt").write_bytes(checkpoint_bytes(small_parent(("dark", "light"))))
    (tmp_path / "seed.pt").write_bytes(checkpoint_bytes(SEED))
    status, out, err = nas("compare", "small.pt", "seed.pt", "--data", "photos", *QUICK)
    assert status == 0, err
    assert [one["px"] for one in json.loads(out)["networks"]] == [64, 32]


def test_classes_in_another_order_are_the_same(nas, tmp_path):
    make_images(tmp_path / "photos")
    usage = replace(SEED.usage, classes=("light", "dark"))
    (tmp_path / "other.pt").write_bytes(checkpoint_bytes(replace(SEED, usage=usage)))
    (tmp_path / "seed.pt").write_bytes(checkpoint_bytes(SEED))
    status, out, err = nas(
        "compare", "seed.pt", "other.pt", "--data", "photos", "--teacher", "seed.pt", *QUICK
    )
    assert status == 0, err
    assert "new classifier" not in err
    file = json.loads(out)["networks"][1]["files"][0]
    assert load_checkpoint(file).usage.classes == ("light", "dark")


def test_networks_that_were_split_otherwise_are_refused(nas, tmp_path):
    make_images(tmp_path / "photos")
    (tmp_path / "one.pt").write_bytes(checkpoint_bytes(SEED))
    rule = replace(SEED.usage.rule, seed=7)
    other = replace(SEED, usage=replace(SEED.usage, rule=rule))
    (tmp_path / "two.pt").write_bytes(checkpoint_bytes(other))
    status, _, err = nas("compare", "one.pt", "two.pt", "--data", "photos", *QUICK)
    assert status == 2
    assert "one.pt and two.pt were trained on different parts of these images" in err


def test_the_split_is_that_of_the_network_that_knows_the_images(nas, tmp_path):
    make_images(tmp_path / "photos")
    rule = replace(SEED.usage.rule, test_fraction=0.3)
    known = replace(SEED, usage=replace(SEED.usage, rule=rule))
    (tmp_path / "known.pt").write_bytes(checkpoint_bytes(known))
    (tmp_path / "other.pt").write_bytes(checkpoint_bytes(small_parent()))
    status, out, err = nas("compare", "other.pt", "known.pt", "--data", "photos", *QUICK)
    assert status == 0, err
    assert json.loads(out)["test_images"] == 36  # 30% of 120


def test_what_a_search_found_begins_with_what_it_inherits(nas, nas_search, photos, tmp_path):
    (tmp_path / "short.yaml").write_text(CONFIG)
    (tmp_path / "parent.pt").write_bytes(checkpoint_bytes(small_parent()))
    (tmp_path / "mine.pt").write_bytes(checkpoint_bytes(small_parent(("dark", "light"))))
    options = ("--data", photos, "--device", "madds:1", "--workers", 0, "--run-name", "found")
    status, _, err = nas_search(*options, "--rival", "mine.pt", *RUN)
    assert status == 0, err
    found = tmp_path / "runs" / "found"
    result = json.loads((found / "result.json").read_text())
    rivals = json.loads((found / "rivals.json").read_text())["rivals"]
    own = next(place for place, rival in enumerate(rivals) if rival["weights"] is not None)
    (found / "result.json").write_text(json.dumps(result | {"kind": "rival", "trial": own}))
    with pytest.raises(InputError, match=r"mine at .* px, which inherits nothing"):
        inherited(found)
    (found / "result.json").write_text(json.dumps(result | {"kind": "final"}))
    start = inherited(found)
    assert start.spec == load(found / "best.yaml")
    trained = load_checkpoint(found / "seed.pt").weights
    name = next(name for name in trained if name.endswith("weight"))
    assert start.weights[name].shape == trained[name].shape
    assert not torch.equal(start.weights[name], trained[name])
    status, out, err = nas("compare", "runs/found", "parent.pt", "--data", photos, *QUICK)
    assert status == 0, err
    assert [one["name"] for one in json.loads(out)["networks"]] == ["found", "parent"]
    assert f"found: {start.spec.resolution} px, trained from its weights" in err


def test_a_folder_without_a_parent_inherits_nothing(tmp_path):
    assert inherited(tmp_path) is None


def test_a_single_network_is_not_compared():
    with pytest.raises(InputError, match="two networks or more to compare, got mobilenet_v2"):
        open_named(("mobilenet_v2",), px=None)
