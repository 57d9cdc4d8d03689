import pytest

from nas.ablating.changes import NUMBERED, PLAIN, changed
from search_spaces import REFERENCES, InputError, count
from search_spaces.widths import make_divisible

LARGE = REFERENCES["mobilenet_v3_large"]()
V2 = REFERENCES["mobilenet_v2"]()


def activations(spec):
    return {spec.stem.act, spec.head.act, *(block.act for block in spec.blocks)}


def test_relu_is_everywhere():
    assert activations(changed(LARGE, "relu")) == {"relu"}


def test_hswish_begins_at_a_number_of_channels():
    assert changed(LARGE, "hswish@80") == LARGE
    by_width = {block.out: block.act for block in changed(LARGE, "hswish@112").blocks}
    assert (by_width[80], by_width[112]) == ("relu", "hswish")


def test_squeeze_and_excite_is_removed():
    assert not any(block.se for block in changed(LARGE, "no-squeeze-excite").blocks)
    # timm's count of the "minimal" network: ReLU, 3x3 kernels, no squeeze-and-excite
    minimal = changed(changed(changed(LARGE, "no-squeeze-excite"), "relu"), "kernel@3")
    assert count(minimal).params == 3_924_288


@pytest.mark.parametrize("size", [3, 5, 7])
def test_all_kernels_are_the_same(size):
    assert {block.kernel for block in changed(V2, f"kernel@{size}").blocks} == {size}


def test_all_expansions_are_the_same():
    narrower = changed(V2, "expansion@3")
    for block, cin in zip(narrower.blocks, narrower.widths()[:-1], strict=True):
        assert block.expand in (0, 3 * cin)


def test_the_last_stage_can_be_undone_and_redone():
    before = changed(LARGE, "original-last-stage")
    assert len(before.blocks) == len(LARGE.blocks) + 1
    assert changed(before, "last-stage") == LARGE


def test_a_stem_keeps_its_nonlinearity():
    stem = changed(LARGE, "stem@32").stem
    assert (stem.out, stem.act) == (32, "hswish")


def test_expansions_keep_the_rule_of_squeeze_and_excite():
    small = REFERENCES["mobilenet_v3_small"]()
    for block in changed(small, "expansion@8").blocks:
        assert block.se in (0, make_divisible(block.expand // 4))


@pytest.mark.parametrize(
    "change",
    [*(name for name in PLAIN if name != "last-stage"), *(f"{name}@15" for name in NUMBERED)],
)
def test_every_change_makes_another_network_of_large(change):
    assert changed(LARGE, change) != LARGE or change == "quarter-squeeze-excite"


def test_a_last_stage_is_not_redesigned_twice():
    with pytest.raises(InputError, match="already pools"):
        changed(LARGE, "last-stage")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("relus", "did you mean relu"),
        ("kernel", "no change 'kernel'"),
        ("kernel@four", "'four' is not a whole number"),
        ("kernel@4", "a kernel has an odd size"),
        ("expansion@0", "a ratio of 1 or more"),
        ("stem@0", "a number of filters"),
        ("hswish@0", "a number of channels"),
        ("relu@3", "no change 'relu@3'"),
    ],
)
def test_what_is_no_change_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        changed(LARGE, change)
