from dataclasses import replace

import pytest
import yaml

from search_spaces import REFERENCES, ArchSpec, InputError
from search_spaces.spec import BlockSpec, from_dict, load, save, to_dict, to_yaml


@pytest.fixture
def spec() -> ArchSpec:
    return REFERENCES["mobilenet_v3_small"]()


@pytest.mark.parametrize("name", REFERENCES)
def test_yaml_round_trip(name, tmp_path):
    spec = REFERENCES[name](resolution=160, classes=7)
    save(spec, tmp_path / "spec.yaml")
    assert load(tmp_path / "spec.yaml") == spec
    assert load(tmp_path / "spec.yaml").fingerprint == spec.fingerprint


def test_yaml_has_one_line_per_block(spec):
    lines = to_yaml(spec).splitlines()
    assert sum(line.startswith("- {op: ") for line in lines) == len(spec.blocks)
    assert lines[0] == "schema: 1"


def test_the_fingerprint_is_the_same_in_every_process_and_version(spec):
    # Caches on users' disks are keyed by it: a change here orphans them all.
    assert spec.fingerprint == "15ab05532b0e4079"


def test_the_fingerprint_depends_on_every_field(spec):
    other = [
        replace(spec, resolution=192),
        replace(spec, bn_eps=1e-5),
        replace(spec, stem=replace(spec.stem, act="relu")),
        replace(spec, head=replace(spec.head, classes=10)),
        replace(spec, blocks=spec.blocks[:-1]),
        replace(spec, blocks=(replace(spec.blocks[0], kernel=5), *spec.blocks[1:])),
    ]
    assert len({each.fingerprint for each in [spec, *other]}) == 7


def change(spec: ArchSpec, path: str, value: object) -> dict:
    data = yaml.safe_load(to_yaml(spec))
    *parents, last = path.split(".")
    target = data
    for key in parents:
        target = target[int(key) if key.isdigit() else key]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("stem.colour", "red", "unknown key 'stem.colour'"),
        ("blocks.2.kernle", 3, "unknown key 'blocks.2.kernle'"),
        ("depth", 3, "unknown key 'depth'"),
        ("blocks.0.out", None, "missing key 'blocks.0.out'"),
        ("head", None, "missing key 'head'"),
        ("schema", None, "schema must be 1, got None"),
        ("schema", 2, "schema must be 1, got 2"),
        ("stem.out", "16", "stem.out: .*integer, got '16'"),
        ("stem.out", 16.5, "stem.out: .*integer.*16.5"),
        ("stem.out", True, "stem.out: .*integer, got True"),
        ("blocks.1.stride", 3, "blocks.1.stride: .*1 or 2, got 3"),
        ("blocks.1.kernel", 4, "blocks.1: kernel must be odd, got 4"),
        ("blocks.1.op", "resnet", "blocks.1.op: .*got 'resnet'"),
        ("blocks.1.act", "gelu", "blocks.1.act: .*got 'gelu'"),
        ("blocks.0.expand", 8, "only mbconv has an expansion, got expand 8 in sepconv"),
        ("blocks.1.se", 8, "se and gate go together"),
        ("blocks.1.skip", "identity", "block 1: skip identity needs"),
        ("head.dropout", 1.0, "head.dropout"),
        ("head.classes", 0, "head.classes"),
        ("resolution", -1, "resolution"),
        ("blocks", "none", "blocks"),
    ],
)
def test_bad_specs_are_rejected_by_name(spec, path, value, message):
    with pytest.raises(InputError, match=message) as caught:
        from_dict(change(spec, path, value), where="net.yaml")
    assert str(caught.value).startswith("net.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [None, 3, "text", [1], {}])
def test_data_that_is_not_a_spec_is_rejected(data):
    with pytest.raises(InputError):
        from_dict(data)


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.yaml"):
        load(tmp_path / "absent.yaml")
    (tmp_path / "broken.yaml").write_text("stem: {out: 16")
    with pytest.raises(InputError, match=r"broken\.yaml: not YAML at line"):
        load(tmp_path / "broken.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match=r"binary\.yaml"):
        load(tmp_path / "binary.yaml")


def test_numbers_in_exponent_notation(spec, tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(to_yaml(spec).replace("bn_eps: 0.001", "bn_eps: 1e-3"))
    assert load(path) == spec


def test_yaml_cannot_run_code(tmp_path):
    (tmp_path / "evil.yaml").write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(InputError):
        load(tmp_path / "evil.yaml")


def test_specs_are_frozen(spec):
    with pytest.raises(AttributeError):
        spec.resolution = 1
    assert to_dict(spec)["blocks"][0]["op"] == "sepconv"


def test_a_block_is_checked_on_replace(spec):
    with pytest.raises(ValueError, match="kernel must be odd, got 2"):
        replace(spec.blocks[0], kernel=2)
    assert isinstance(replace(spec.blocks[0], kernel=7), BlockSpec)
