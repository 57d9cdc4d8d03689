"""Files beside the run folders: only who is asked to writes them, and they name their run."""

import pytest
import torch

from nas.checkpoints.checkpoint import checkpoint_bytes, load_checkpoint
from nas.engine.folder.publishing import OF_SEARCH, publish, publish_and_tell, run_of
from nas.engine.folder.run_folder import RunFolder
from search_spaces import InputError
from search_spaces.spec import load, to_yaml
from tests.nas.adapting.test_adapt import SEED, run
from tests.nas.searching.test_evidence import accuracy_of, searched


@pytest.fixture
def folder(tmp_path):
    """A run's, with a spec and a network."""

    def make(name):
        path = tmp_path / "runs" / name
        path.mkdir(parents=True)
        (path / "best.yaml").write_text(to_yaml(SEED.spec))
        (path / "seed.pt").write_bytes(checkpoint_bytes(SEED))
        return RunFolder(path)

    return make


@pytest.mark.parametrize("name", ["one", "with space", "it's $HOME", "-dash", "k\u00e4se", "a#b"])
def test_a_copy_names_its_run_and_is_the_same_network(folder, tmp_path, name):
    assert publish(folder(name), *OF_SEARCH) == {}
    for file in OF_SEARCH:
        assert run_of(tmp_path / "runs" / file) == name
        assert run_of(tmp_path / "runs" / name / file) == ""
    assert load(tmp_path / "runs" / "best.yaml") == SEED.spec
    copy = load_checkpoint(tmp_path / "runs" / "seed.pt")
    assert (copy.spec, copy.usage, copy.device) == (SEED.spec, SEED.usage, SEED.device)
    assert all(torch.equal(copy.weights[key], SEED.weights[key]) for key in SEED.weights)
    assert load_checkpoint(tmp_path / "runs" / name / "seed.pt").run == ""


def test_what_is_replaced_is_said(folder, tmp_path):
    first, second = folder("one"), folder("two")
    assert publish_and_tell(first, *OF_SEARCH) == []
    assert publish_and_tell(first, *OF_SEARCH) == []  # the same run once more
    (sentence,) = publish_and_tell(second, *OF_SEARCH)
    assert "now come from run two (was run one)" in sentence
    for file in OF_SEARCH:
        assert str(tmp_path / "runs" / file) in sentence


def test_copies_of_before_they_named_a_run_and_damaged_ones_are_replaced_too(folder, tmp_path):
    run_folder = folder("two")
    (tmp_path / "runs" / "best.yaml").write_text(to_yaml(SEED.spec))
    (tmp_path / "runs" / "seed.pt").write_bytes(b"PK broken")
    (sentence,) = publish_and_tell(run_folder, *OF_SEARCH)
    assert "(was an earlier run)" in sentence
    assert run_of(tmp_path / "runs" / "seed.pt") == "two"


def test_files_that_a_run_does_not_have_are_left_as_they_are(folder, tmp_path):
    publish(folder("one"), *OF_SEARCH)
    second = folder("two")
    (second / "seed.pt").unlink()
    publish(second, *OF_SEARCH)
    assert run_of(tmp_path / "runs" / "best.yaml") == "two"
    assert run_of(tmp_path / "runs" / "seed.pt") == "one"


def test_a_seed_made_of_a_copy_does_not_inherit_its_run(folder, tmp_path):
    publish(folder("one"), *OF_SEARCH)
    copy = load_checkpoint(tmp_path / "runs" / "seed.pt")
    (tmp_path / "mine.pt").write_bytes(checkpoint_bytes(copy.with_classes(("a", "b", "c"))))
    assert copy.run == "one"
    assert load_checkpoint(tmp_path / "mine.pt").run == ""


def test_a_file_that_is_not_there_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"absent\.yaml"):
        run_of(tmp_path / "absent.yaml")


def test_python_s_search_leaves_the_newest_run_alone_unless_asked(tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    for file in OF_SEARCH:
        (runs / file).write_text("of a run that took an hour")
    searched(runs / "tiny", evaluate=accuracy_of)
    assert {(runs / file).read_text() for file in OF_SEARCH} == {"of a run that took an hour"}
    searched(runs / "tiny", evaluate=accuracy_of, publish=True)
    assert run_of(runs / "best.yaml") == "tiny"


def test_python_s_adapt_leaves_the_newest_run_alone_unless_asked(tmp_path):
    runs = tmp_path / "runs"
    run(runs / "tiny")
    assert not list(runs.glob("adapted.*"))
    run(runs / "tiny", publish=True)
    assert run_of(runs / "adapted.yaml") == run_of(runs / "adapted.pt") == "tiny"
