"""Folders and a network's classes: which is which, and what is never guessed."""

import json
import logging
import unicodedata
from dataclasses import replace

import pytest

from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.class_file import read_class_file
from nas.checkpoints.class_map import class_map
from nas.checkpoints.class_names import matched, placeholder_classes
from nas.checkpoints.retrain import fine_tune, for_classes
from nas.checkpoints.scoring import relabelled
from nas.checkpoints.usage import Usage
from nas.engine.watching import Silent
from nas.training.recipe import Recipe
from search_spaces import InputError
from tests.nas.adapting.test_adapt import DATA, SEED, SPEC, run


def usage(*classes, named=True):
    return Usage(classes, 32, (0.5,) * 3, (0.5,) * 3, named=named)


def unnamed(count):
    return usage(*placeholder_classes(count), named=False)


def data_of(*classes):
    return replace(DATA, classes=classes)


@pytest.mark.parametrize(
    ("known", "folders", "places"),
    [
        # A class is missing, and another one differs from it by case, sign or a mark only.
        (("A", "B", "a", "b"), ("B", "a", "b"), (1, 2, 3)),
        (("A", "B", "a", "b"), ("A", "B", "b"), (0, 1, 3)),
        (("-90", "0", "180", "90"), ("0", "180", "90"), (1, 2, 3)),
        (("-90", "0", "180", "90"), ("-90", "0", "180"), (0, 1, 2)),
        (("A", "A+", "A-"), ("A-", "A+"), (2, 1)),
        (("C", "C#", "c"), ("c", "C#"), (2, 1)),
        (("re-sign", "resign", "re sign"), ("re sign", "resign"), (2, 1)),
        (("Cardigan", "cardigan"), ("cardigan",), (1,)),
        (("Cardigan", "cardigan"), ("Cardigan",), (0,)),
        (("ß", "ss"), ("ss",), (1,)),
    ],
)
def test_exact_names_come_first(known, folders, places):
    found = class_map(folders, usage(*known))
    assert (found.indices(), found.notes) == (places, ())


@pytest.mark.parametrize(
    ("known", "folders", "places", "note"),
    [
        (("Granny Smith", "lemon"), ("granny_smith", "lemon"), (0, 1), "'granny_smith' = 'Granny Smith'"),
        (("oat-milk", "Kiwi"), ("Oat Milk", "kiwi"), (0, 1), "matched 2 classes by looser spelling"),
        (("A", "a", "Bee"), ("A", "bee"), (0, 2), "matched 1 class by looser spelling: 'bee' = 'Bee'"),
        (("covid-19",), ("COVID_19",), (0,), "'COVID_19' = 'covid-19'"),
    ],
)  # fmt: skip
def test_looser_spelling_is_told(known, folders, places, note):
    found = class_map(folders, usage(*known))
    assert found.indices() == places
    assert note in " ".join(found.notes)


@pytest.mark.parametrize(
    ("known", "folders", "message"),
    [
        (("0", "90"), ("-90", "0"), "does not know the data's classes '-90'"),
        (("x_5",), ("x_-5",), "does not know the data's classes 'x_-5'"),
        (("A",), ("A-",), "does not know the data's classes 'A-'"),
        (("Cardigan", "cardigan"), ("CARDIGAN",), "'CARDIGAN' could be 'Cardigan' (0) or 'cardigan' (1)"),
        (("crane", "jay", "crane"), ("crane", "jay"), "'crane' could be 'crane' (0) or 'crane' (2)"),
        (("Kiwi",), ("kiwi", "KIWI"), "'kiwi' and 'KIWI' are both similar to 'Kiwi'"),
        (("tench", "jay"), ("tensh",), "'tensh' (did you mean 'tench'?)"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_listed(known, folders, message):
    with pytest.raises(InputError) as caught:
        class_map(folders, usage(*known)).indices()
    assert message in str(caught.value)
    assert "--classes FILE" in str(caught.value)


def test_all_unknown_names_are_listed_up_to_a_number():
    with pytest.raises(InputError, match=r"'x9' and 5 more"):
        class_map(tuple(f"x{n}" for n in range(15)), usage("cat", "dog")).indices()


def test_accents_are_the_same_composed_or_not():
    name = "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
    decomposed = unicodedata.normalize("NFD", name)
    assert decomposed != name
    found = class_map((decomposed, "tea"), usage("tea", name))
    assert (found.indices(), found.notes) == ((1, 0), ())
    assert class_map((decomposed.upper(),), usage(name)).indices() == (0,)


def test_invented_names_are_counted_in_order_or_not_at_all():
    folders = tuple(sorted(placeholder_classes(12)))  # 0, 1, 10, 11, 2, ...
    found = class_map(folders, unnamed(12))
    assert found.indices() == tuple(range(12))
    assert "2 = '10', ...)" in found.notes[0]
    assert found.names == folders
    for lacking in (folders[1:], folders[:-1], ("a", "b")):
        with pytest.raises(InputError, match="12 classes have no names, and the data has"):
            class_map(lacking, unnamed(12))
    known = usage(*folders)  # a network that was trained on them
    assert class_map(folders[1:], known).indices() == tuple(range(1, 12))


@pytest.fixture
def classes(tmp_path):
    def write(content, name="classes.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_class_file(path)

    return write


@pytest.mark.parametrize("name", ["classes.txt", "classes.json", "classes.yaml", "labels"])
def test_a_list_of_names_is_the_network_s_classes(classes, name):
    names = ["light", "no", "dark"]
    text = json.dumps(names) if name.endswith("json") else "\ufefflight\r\nno\r\ndark\r\n\r\n"
    text = "- light\n- no\n- dark\n" if name.endswith("yaml") else text
    found = class_map(("dark", "light"), unnamed(3), classes(text, name))
    assert (found.indices(), found.names) == ((2, 0), tuple(names))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("dark: 1\n'7': light-bulb\n", "map.yaml"),
        ('{"dark": 1, "7": "light-bulb"}', "map.json"),
    ],
)
def test_a_mapping_assigns_folders(classes, text, name):
    found = class_map(
        ("7", "dark", "sun"), usage("sun", "crane", "light-bulb", "crane"), classes(text, name)
    )
    assert (found.indices(), found.notes) == ((2, 1, 0), ())


def test_a_mapping_s_other_folders_are_told_and_names_stay_as_written(classes):
    file = classes("no: 0\n-90: 1\n1e3: 2\nabsent: 3\n", "map.yaml")
    found = class_map(("-90", "1e3", "no"), unnamed(4), file)
    assert found.indices() == (1, 2, 0)
    assert "names folders that the data does not have: 'absent'" in found.notes[0]
    assert found.names == ("no", "-90", "1e3", "3")


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("", "a.txt", "is empty"),
        ("cat\n\ndog\n", "a.txt", "line 2 is empty"),
        ("cat\ndog\n", "a.txt", "has 2 class names, the network has 3 classes"),
        (b"\xff\xfe\x00", "a.txt", "not UTF-8 text"),
        (b"\0\0", "a.txt", "not a text file"),
        ("{", "a.json", "not JSON"),
        ('{"a": 1, "a": 2}', "a.json", "'a' appears twice"),
        ('{"a": null}', "a.json", "expected the index or the name of one class"),
        ('{"a": [1]}', "a.json", "expected the index or the name of one class"),
        ("a: [1", "a.yaml", "not YAML"),
        ("a: 1\na: 2\n", "a.yaml", "'a' appears twice"),
        ("[a]: 1\n", "a.yaml", "neither a list of names nor a mapping"),
        ("7\n", "a.yaml", "neither a list of names nor a mapping"),
        ("x: 3\n", "a.yaml", "class 3 is out of range: give an index of 0 to 2"),
        ("x: -1\n", "a.yaml", "class -1 is out of range"),
        ("x: bird\n", "a.yaml", "the network has no class 'bird'"),
        ("x: crane\n", "a.yaml", "the network's classes 0, 1 are all called 'crane'"),
    ],
)
def test_class_files_that_cannot_be_used(classes, content, name, message):
    with pytest.raises(InputError) as caught:
        class_map(("x", "y"), usage("crane", "crane", "y"), classes(content, name))
    assert message in str(caught.value)
    assert "Spec(" not in str(caught.value)


def test_names_mean_nothing_where_the_network_has_none(classes):
    with pytest.raises(InputError, match=r"classes have no names, so '1' cannot be one of them"):
        class_map(("x", "y"), unnamed(3), classes("x: '1'\ny: 0\n", "a.yaml"))
    with pytest.raises(InputError, match="does not say which of them 'y' is"):
        class_map(("x", "y"), unnamed(3), classes("x: 1\n", "a.yaml"))


def test_labels_follow_the_match():
    """Without classes of its own the data keeps its labels; with fewer or others they are looked up."""
    network = usage("light", "dark", "dim")
    again = relabelled(data_of("dark", "light"), network)
    assert again.classes == network.classes
    labels = next(again.train.batches(64))[1].tolist()
    assert labels == [1 - label for label in DATA.train.labels]
    assert relabelled(again, network) is again


def test_training_on_keeps_the_network_s_order_and_names():
    swapped = replace(SEED, usage=usage("Light", "dark"))
    told = []
    seed, data = for_classes(swapped, data_of("dark", "light"), notify=told.append)
    assert seed.usage.classes == data.classes == ("Light", "dark")
    assert next(data.train.batches(4))[1].tolist() == [1, 0, 1, 0]
    assert told == ["matched 1 class by looser spelling: 'light' = 'Light'"]
    nameless = replace(SEED, usage=unnamed(2))
    seed, data = for_classes(nameless, DATA, notify=told.append)
    assert seed.usage == replace(nameless.usage, classes=DATA.classes, named=True)
    assert "no names" in told[-1]


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (usage("Light", "dark"), "looser spelling: 'light' = 'Light'"),
        (unnamed(2), "matched to the folders in order (0 = 'dark', 1 = 'light')"),
        (SEED.usage, None),
    ],
)
def test_without_a_command_matches_are_logged(known, said, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run(tmp_path, seed=replace(SEED, usage=known), watcher=Silent())
    fine_tune(replace(SEED, usage=known), DATA, Recipe(steps=1, batch_size=16))
    told = {(record.name, said in record.getMessage()) for record in caplog.records if said}
    assert told == ({("nas.run_adapt", True), ("nas.checkpoints.retrain", True)} if said else set())
    assert said or not caplog.records


def test_two_folders_of_one_class_cannot_be_trained_on(classes):
    file = classes("dark: 1\nlight: 1\n", "a.yaml")
    with pytest.raises(InputError, match="'dark', 'light' are one class of the network"):
        for_classes(SEED, DATA, classes=file)
    assert relabelled(DATA, SEED.usage, classes=file).classes == SEED.usage.classes


def test_a_seed_says_whether_its_names_are_known(tmp_path):
    import torch

    from nas.checkpoints.checkpoint import checkpoint_bytes, load_checkpoint

    path = tmp_path / "seed.pt"
    for told in (unnamed(2), usage("0", "1")):
        path.write_bytes(checkpoint_bytes(Checkpoint(SPEC, SEED.weights, told)))
        assert load_checkpoint(path).usage == told
    content = torch.load(path, weights_only=True)
    del content["usage"]["named"]  # as earlier versions wrote it
    torch.save(content, path)
    assert not load_checkpoint(path).usage.named
    content["usage"]["classes"] = ("1", "0")
    torch.save(content, path)
    assert load_checkpoint(path).usage.named


def test_thousands_of_classes_are_matched(classes):
    """Each step looks names up; comparing all with all would take a minute."""
    names = tuple(f"class-{number}" for number in range(3000))
    folders = tuple(name.replace("-", "_") for name in names)
    assert len(matched(folders, names).looser) == 3000
    lines = "\n".join(f"{folder}: {name}" for folder, name in zip(folders, names, strict=True))
    assert class_map(folders, usage(*names), classes(lines, "map.yaml")).indices() == tuple(
        range(3000)
    )
    with pytest.raises(InputError, match="and 2990 more"):
        class_map(tuple(name[::-1] for name in names), usage(*names)).indices()
