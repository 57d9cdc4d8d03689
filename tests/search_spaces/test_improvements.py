"""MobileNetV3's improvements reproduce the paper's savings and networks."""

from dataclasses import replace

import pytest

from search_spaces import REFERENCES, InputError, count, load_space
from search_spaces.improvements import (
    IMPROVEMENTS,
    hswish_from,
    quarter_squeeze_excite,
    redesign_last_stage,
    resize_stem,
    restore_last_stage,
    unfuse_hswish,
    without_improvements,
)
from search_spaces.network import build


def madds_m(spec):
    return count(spec).madds / 1e6


def test_all_together_lead_to_the_published_networks():
    spec = REFERENCES["mobilenet_v3_large_unimproved"]()
    for improve in IMPROVEMENTS.values():
        spec = improve(spec)
    assert spec == REFERENCES["mobilenet_v3_large"]()
    small = quarter_squeeze_excite(
        hswish_from(
            resize_stem(redesign_last_stage(REFERENCES["mobilenet_v3_small_unimproved"]())), 40
        )
    )
    assert small == REFERENCES["mobilenet_v3_small"]()


def test_savings_match_the_paper():
    before = REFERENCES["mobilenet_v3_large_unimproved"]()
    pooled_early = redesign_last_stage(before)
    # "30 million MAdds", 160 -> 320 and 320 -> 1280 at 7x7 and the depthwise layer, less 960 -> 1280 once.
    saved = 49 * (960 * 320 + 320 * 1280 + 9 * 960) - 960 * 1280
    assert count(before).madds - count(pooled_early).madds == saved
    assert 29e6 < saved < 36e6
    narrower = resize_stem(pooled_early)
    assert madds_m(pooled_early) - madds_m(narrower) == pytest.approx(10.4, abs=0.1)  # "10 million"
    assert narrower.blocks[0].skip == "identity"  # 16 -> 16 now


def test_the_last_stage_can_be_restored():
    after = REFERENCES["mobilenet_v3_large"]()
    before = restore_last_stage(after)
    assert (before.head.conv, before.head.hidden) == (1280, 0)
    assert (before.blocks[-1].expand, before.blocks[-1].out) == (960, 320)
    assert redesign_last_stage(before) == after


def test_hswish_from_a_width_on():
    large = REFERENCES["mobilenet_v3_large"]()
    assert hswish_from(large, 80) == large
    assert {b.act for b in hswish_from(large, 16).blocks} == {"hswish"}
    at_112 = hswish_from(large, 112)
    assert [b.act for b in at_112.blocks].count("hswish") == 5
    relu = hswish_from(large, None)
    assert {relu.head.act, *(b.act for b in relu.blocks)} == {"relu"}
    assert relu.stem.act == "hswish"
    # Once reached it stays, where a later block is narrower.
    narrowing = replace(
        large, blocks=(*large.blocks[:8], replace(large.blocks[8], out=16, skip="none"))
    )
    assert [b.act for b in hswish_from(narrowing, 80).blocks[6:]] == ["hswish"] * 3


def test_squeeze_and_excite_is_a_quarter_of_what_it_scales():
    spec = quarter_squeeze_excite(REFERENCES["mnasnet_a1"]())
    excited = [(b.expand, b.se, b.gate) for b in spec.blocks if b.se]
    assert excited[0] == (72, 24, "hsigmoid")
    assert all(se == pytest.approx(expand / 4, rel=0.34) for expand, se, _ in excited)
    untouched = [b for b in spec.blocks if not b.se]
    assert untouched == [b for b in REFERENCES["mnasnet_a1"]().blocks if not b.se]


def test_the_unfused_hswish_computes_the_same():
    import torch

    spec = REFERENCES["mobilenet_v3_small"](resolution=64, classes=5)
    plain, unfused = build(spec).eval(), build(unfuse_hswish(spec)).eval()
    unfused.load_state_dict(plain.state_dict())
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(plain(images), unfused(images), atol=1e-5)
    assert unfuse_hswish(spec).fingerprint != spec.fingerprint


def test_improvements_of_searched_networks(random_tokens):
    space = load_space("mnasnet", resolution=64, classes=4)
    applied = 0
    for seed in range(30):
        spec = space.decode(random_tokens(space.arities, seed))
        for name, improve in IMPROVEMENTS.items():
            if name == "last-stage" and spec.blocks[-1].op != "mbconv":
                with pytest.raises(InputError, match="expansion"):
                    improve(spec)
                continue
            spec = improve(spec)
            applied += name == "last-stage"
        build(spec)
        assert spec.stem.out == 16
    assert applied > 0


@pytest.mark.parametrize(
    ("name", "match"),
    [("mobilenet_v3_large", "pools before"), ("mobilenet_v1", "no 1x1 convolution")],
)
def test_where_the_last_stage_cannot_be_redesigned(name, match):
    with pytest.raises(InputError, match=match):
        redesign_last_stage(REFERENCES[name]())


def test_only_a_network_with_the_redesigned_stage_can_lose_it():
    with pytest.raises(InputError, match="already MobileNetV2's"):
        without_improvements(REFERENCES["mobilenet_v2"]())
