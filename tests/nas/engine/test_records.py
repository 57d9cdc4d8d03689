"""Records of other versions are read, and damaged ones named in a line."""

import json

import pytest

from latency import Latency
from nas.adapting.results.metadata import AdaptMetadata
from nas.engine.folder.records import parse_record
from nas.engine.folder.run_metadata import DataMetadata
from nas.searching.results.metadata import SearchMetadata
from nas.searching.results.record import RunRecord
from nas.training.recipe import Recipe
from search_spaces import InputError
from tests.nas.searching.test_run_facts import run

DATA = {"name": "photos", "classes": 2, "train": 8, "val": 4, "test": 4, "px": 16}
LATENCY = Latency(1.0, (0.9, 1.1), 0.8, 1.2, 9, "lab", "lab-1", False, True)


def test_keys_of_another_version_are_ignored_wherever_they_are(tmp_path):
    result = run(tmp_path)
    path = tmp_path / "run.json"
    content = json.loads(path.read_text())
    known = RunRecord.read(result.folder).metadata
    for part in (
        content,
        content["device"],
        content["budget"],
        content["data"],
        content["training"],
        content["training"]["recipe"],
        content["training"]["recipe"]["augment"],
        content["reward"],
    ):
        part["of_another_version"] = {"a": 1}
    path.write_text(json.dumps(content))
    assert RunRecord.read(result.folder).metadata == known


def test_what_is_read_is_written_alike(tmp_path):
    run(tmp_path)
    content = json.loads((tmp_path / "run.json").read_text())
    assert parse_record(SearchMetadata, content, where="run.json").to_dict() == content


def test_a_key_without_a_value_is_left_out():
    assert "left_out" not in DataMetadata(**DATA).to_dict()
    assert DataMetadata(**DATA, left_out={"images": 0, "names": []}).to_dict()["left_out"] == {
        "images": 0,
        "names": [],
    }


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ({"target_ms": "fast"}, "target_ms: "),
        ({"budget": {"trials": 1}}, "missing key 'budget.batch_size'"),
        ({"training": {"recipe": {"steps": 0}, "finals_factor": 4}}, "training.recipe.steps: "),
        ({"labels": 3}, "labels: "),
    ],
)
def test_a_damaged_record_is_named_in_a_line(tmp_path, damage, named):
    result = run(tmp_path)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(InputError) as caught:
        RunRecord.read(result.folder)
    assert str(caught.value).startswith(f"{path}: damaged ({named}")
    assert "\n" not in str(caught.value)


def test_settings_that_a_netadapt_run_lacks_have_their_defaults():
    metadata = AdaptMetadata(
        seed={"fingerprint": "f", "spec": {}}, device={"name": "lab"}, target_ms=2.0, data=DATA,
        settings={"delta": 0.05, "recipe": Recipe(steps=7).model_dump(), "of_another_version": 1},
        latency=LATENCY, accuracy=0.5,
    )  # fmt: skip
    settings = metadata.step_settings(where="run.json")
    assert (settings.delta, settings.recipe.steps, settings.target_ms) == (0.05, 7, 2.0)
    assert settings.tolerance == type(settings).model_fields["tolerance"].default
    assert metadata.to_dict()["latency"] == json.loads(json.dumps(LATENCY.to_dict()))
