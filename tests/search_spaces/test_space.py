from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import REFERENCES, InputError, load_space
from search_spaces.spaces import space_from_dict

MNASNET = load_space("mnasnet", classes=10)
OWN = """
schema: 1
name: mine
bn_eps: 0.001
stem: {out: 16, kernel: 3, stride: 2, act: hswish}
blocks:
- {stride: 2, op: mbconv4, kernel: [3, 5, 7], se: [0, 0.25], skip: identity, out: [16, 24],
   depth: [1, 2], act: [relu, hswish], se_rule: mobilenetv3}
- {stride: 1, op: [sepconv, mbconv2.5], kernel: 3, se: 0, skip: none, out: 40,
   depth: [0, 1], act: relu, se_rule: mnasnet}
head: {conv: 96, hidden: 128, act: hswish, dropout: 0.2}
"""


def tokens_of(space):
    return st.tuples(*(st.integers(0, arity - 1) for arity in space.arities))


def test_the_builtin_space_is_the_papers():
    # 4 ops x 2 kernels x 2 SE ratios x 3 skips x 3 widths x 3 depths in each of 7 blocks.
    assert MNASNET.arities == (4, 2, 2, 3, 3, 3) * 7
    assert MNASNET.size == 432**7
    widths = [block.out for block in MNASNET.blocks]
    v2 = (16, 24, 32, 64, 96, 160, 320)
    assert widths == [(int(0.75 * f), f, int(1.25 * f)) for f in v2]
    depths = [block.depth for block in MNASNET.blocks]
    assert depths == [(n - 1, n, n + 1) for n in (1, 2, 3, 4, 3, 3, 1)]
    assert [block.stride for block in MNASNET.blocks] == [1, 2, 2, 2, 1, 2, 1]


@settings(max_examples=60, deadline=None)
@given(tokens_of(MNASNET))
def test_encode_inverts_decode(tokens):
    spec = MNASNET.decode(tokens)
    again = MNASNET.encode(spec)
    assert MNASNET.decode(again) == spec
    assert again <= tokens  # the first of the sequences that give this network


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_encode_inverts_decode_in_a_user_space(data):
    space = space_from_dict(yaml.safe_load(OWN), classes=3)
    spec = space.decode(data.draw(tokens_of(space)))
    assert space.decode(space.encode(spec)) == spec


def test_mobilenet_v2_is_in_the_space_but_for_its_activation():
    v2 = REFERENCES["mobilenet_v2"](classes=10)
    # With the space's ReLU in place of ReLU6, V2 is the middle of everything.
    relu = replace(
        v2,
        bn_eps=MNASNET.bn_eps,
        stem=replace(v2.stem, act="relu"),
        blocks=tuple(replace(block, act="relu") for block in v2.blocks),
        head=replace(v2.head, act="relu"),
    )
    assert MNASNET.decode(MNASNET.encode(relu)) == relu


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (
            "mnasnet_a1",
            r"layer 10 \(block 4 of the space\) has out 112, not one of \[72, 96, 120\]",
        ),
        (
            "mnasnet_b1",
            r"layer 12 \(block 5 of the space\) has out 192, not one of \[120, 160, 200\]",
        ),
    ],
)
def test_reasons_why_published_networks_are_outside(name, reason):
    spec = replace(REFERENCES[name](classes=10), bn_eps=MNASNET.bn_eps)
    with pytest.raises(InputError, match=reason):
        MNASNET.encode(spec)


def test_a1_is_inside_but_for_one_width():
    a1 = REFERENCES["mnasnet_a1"](classes=10)
    blocks = list(a1.blocks)
    for index in (10, 11):  # 112 -> 120, and what follows from it
        blocks[index] = replace(blocks[index], out=120)
    blocks[11] = replace(blocks[11], expand=720, se=30)
    blocks[12] = replace(blocks[12], expand=720, se=30)
    nearest = replace(a1, blocks=tuple(blocks))
    assert MNASNET.decode(MNASNET.encode(nearest)) == nearest


def test_encode_says_what_else_differs():
    spec = MNASNET.decode((1,) * 42)
    with pytest.raises(InputError, match="resolution is 96, the space has 224"):
        MNASNET.encode(replace(spec, resolution=96))
    with pytest.raises(InputError, match="it ends after 3 layers"):
        MNASNET.encode(replace(spec, blocks=spec.blocks[:3]))
    with pytest.raises(InputError, match="kernel 7"):
        MNASNET.encode(replace(spec, blocks=(replace(spec.blocks[0], kernel=7), *spec.blocks[1:])))


@pytest.mark.parametrize(
    ("tokens", "message"),
    [((0,) * 41, "takes 42 tokens, got 41"), ((4, *(0,) * 41), "token must be in 0..3, got 4")],
)
def test_tokens_out_of_range(tokens, message):
    with pytest.raises(InputError, match=message):
        MNASNET.decode(tokens)


def test_labels_name_every_decision():
    labels = MNASNET.labels
    assert tuple(len(choices) for _, choices in labels) == MNASNET.arities
    assert labels[0] == ("block 0 op", ("conv", "sepconv", "mbconv3", "mbconv6"))


def test_user_space_from_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(OWN)
    space = load_space(path, resolution=64, classes=3)
    assert space.name == "mine"
    assert space.arities == (3, 2, 2, 2, 2, 2, 2)  # a single choice is no decision
    spec = space.decode((2, 1, 0, 1, 1, 1, 1))
    first, second, third = spec.blocks
    assert (first.kernel, first.expand, first.act, first.stride) == (7, 64, "hswish", 2)
    assert (first.se, first.gate) == (16, "hsigmoid")  # a quarter of the expansion
    assert (second.skip, second.stride) == ("identity", 1)
    assert (third.op, third.expand) == ("mbconv", 40)
    assert spec.head.classes == 3
    assert spec.resolution == 64


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kernel: [3, 5, 7]", "kernel: [3, 4]", r"blocks\.0: kernel must be odd, got \[3, 4\]"),
        ("op: mbconv4", "op: mbconvX", "op must be conv, sepconv or mbconv<ratio>, got 'mbconvX'"),
        (
            "op: mbconv4",
            "op: mbconv0.0",
            "op must be conv, sepconv or mbconv<ratio>, got 'mbconv0.0'",
        ),
        ("op: mbconv4", "opp: mbconv4", r"unknown key 'blocks\.0\.opp'"),
        ("se: [0, 0.25], ", "", r"missing key 'blocks\.0\.se'"),
        ("out: [16, 24]", "out: [16, 16]", "choices must be distinct"),
        ("out: [16, 24]", "out: []", r"blocks\.0\.out"),
        ("out: [16, 24]", "out: [16, wide]", r"blocks\.0\.out"),
        ("depth: [1, 2]", "depth: [0, 2]", "depth 0 needs stride 1"),
        ("se: [0, 0.25]", "se: [0, 2]", r"blocks\.0\.se"),
        ("schema: 1", "schema: 3", "schema: 1"),
        ("dropout: 0.2", "dropout: 0.2, classes: 3", "unknown key 'classes'"),
        ("name: mine", "name: mine\nresolution: 3", "unknown key 'resolution'"),
    ],
)
def test_bad_spaces_are_rejected_by_name(tmp_path, old, new, message):
    assert old in OWN
    path = tmp_path / "mine.yaml"
    path.write_text(OWN.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as caught:
        load_space(path)
    assert str(path) in str(caught.value)


def test_spaces_without_a_choice_and_unknown_names():
    data = yaml.safe_load(OWN)
    for block in data["blocks"]:
        block.update({key: v[0] for key, v in block.items() if isinstance(v, list)})
    with pytest.raises(InputError, match="nothing to search"):
        space_from_dict(data)
    with pytest.raises(InputError, match="unknown space 'mnas': known are mnasnet"):
        load_space("mnas")
    with pytest.raises(InputError, match="absent"):
        load_space("absent.yaml")


def test_importing_the_package_loads_no_torch():
    import subprocess
    import sys

    code = "import sys, search_spaces, controllers, latency, nas.cli.main; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
