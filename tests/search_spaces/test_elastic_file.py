"""YAML files of a parent's sub-networks."""

from dataclasses import replace

import pytest
import yaml

from search_spaces import REFERENCES, ElasticSpace, InputError, load_space
from search_spaces.spaces.elastic_file import ElasticFile
from search_spaces.spec import save

OWN = """\
name: my-elastic
parent: mobilenet_v2
resolutions: [96, 128]
widths: [0.5, 0.75, 1.0]
expansions: [0.5, 1.0]
kernels: [3, 5, 7]
squeezes: true
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(OWN)
    return path


def test_a_file_is_the_space_of_its_keys(path):
    space = load_space(path, classes=7)
    parent = REFERENCES["mobilenet_v2"](classes=7, resolution=128)
    assert space == ElasticSpace(
        name="my-elastic",
        parent=parent,
        resolutions=(96, 128),
        widths=(0.5, 0.75, 1.0),
        expansions=(0.5, 1.0),
        kernels=(3, 5, 7),
    )
    # Resolution; width of the stem and of 7 stages; depth of 5; expansion of 6, kernel of 7.
    assert space.size == 2 * 3**8 * (2 * 3 * 4 * 3 * 3) * 2**6 * 3**7
    assert space.decode(space.encode(parent)) == parent


def test_resolutions_that_the_file_leaves_open_come_with_the_search(path):
    path.write_text(OWN.replace("resolutions: [96, 128]\n", ""))
    assert ElasticFile.read(path).resolutions is None
    assert load_space(path, resolution=160).resolutions == (160,)
    space = ElasticFile.read(path).space(classes=3, resolutions=(64, 32))
    assert (space.resolutions, space.parent.resolution, space.parent.head.classes) == (
        (64, 32),
        64,
        3,
    )


def test_a_parent_may_be_a_spec_beside_the_file_or_in_it(path, tmp_path, monkeypatch):
    spec = REFERENCES["mobilenet_v3_small"](width=0.5)
    save(spec, tmp_path / "own-parent.yaml")
    path.write_text(OWN.replace("mobilenet_v2", "own-parent.yaml"))
    monkeypatch.chdir(tmp_path.parent)
    file = ElasticFile.read(path)
    assert file.parent == spec
    whole = tmp_path / "elsewhere" / "whole.yaml"
    whole.parent.mkdir()
    whole.write_text(file.to_yaml())
    assert load_space(whole) == load_space(path)


def test_other_files_and_names_have_no_parent(tmp_path):
    settings = tmp_path / "list.yaml"
    settings.write_text("- 1\n")
    for source in ("mnasnet", "elastic", settings):
        assert ElasticFile.read(source) is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("mobilenet_v2", "mobilenet_v22", "unknown parent 'mobilenet_v22'.*did you mean mobilenet_v2"),
        ("mobilenet_v2", "seed.pt", "unknown parent 'seed.pt': known are .*, or give a .yaml spec"),
        ("mobilenet_v2", "gone.yaml", "gone.yaml: No such file"),
        ("mobilenet_v2", "{schema: 1}", "parent: missing key"),
        ("mobilenet_v2", "3", "unknown parent 3"),
        ("name: my-elastic\n", "", "missing key 'name'"),
        ("widths", "width", "unknown key 'width'"),
        ("[0.5, 0.75, 1.0]", "[0.5, 0.75]", "widths must have 1"),
        ("[3, 5, 7]", "[3, 4]", "kernels must be odd"),
        ("[3, 5, 7]", "[3, five]", r"kernels\.1"),
        ("[96, 128]", "[96, 100]", "resolution 100 is not a multiple of the network's stride"),
        ("[96, 128]", "96", "resolutions"),
        ("[96, 128]", "[]", "resolutions"),
        ("[96, 128]", "[2001-01-01]", "use plain numbers and strings"),
        ("name", "schema: 2\nname", "schema must be 1, got 2"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_in_one_line(path, old, new, said):
    path.write_text(OWN.replace(old, new, 1))
    with pytest.raises(InputError, match=said) as caught:
        load_space(path)
    assert str(path.parent) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_file_with_a_schema_is_the_same(path):
    before = load_space(path)
    path.write_text("schema: 1\n" + OWN)
    assert load_space(path) == before
    text = yaml.safe_load(ElasticFile.read(path).to_yaml())
    assert text["schema"] == 1
    assert text["parent"]["head"]["conv"] == 1280
    assert replace(before.parent, resolution=224) == REFERENCES["mobilenet_v2"]()
