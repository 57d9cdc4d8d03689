"""The published networks against published counts and those of other code bases."""

import csv
from pathlib import Path

import pytest
import torchvision

from search_spaces import REFERENCES, ArchSpec, InputError, count
from search_spaces.cost import layers_by_stage

TABLE = Path(__file__).with_name("published_counts.csv")
ROWS = list(csv.DictReader(TABLE.read_text().splitlines()))

# Counted with timm 1.0.31 and, at MAdds, with fvcore's convention, which is ours: parameters, M MAdds.
TIMM = {
    ("mobilenet_v3_large", 0.75): (3_993_528, 154.56),
    ("mobilenet_v3_large", 1.0): (5_483_032, 216.59),
    ("mobilenet_v3_small", 0.75): (2_041_872, 43.40),
    ("mobilenet_v3_small", 1.0): (2_542_856, 56.51),
    ("mobilenet_v3_large_minimalistic", 1.0): (3_924_288, 209.14),
    ("mobilenet_v3_small_minimalistic", 1.0): (2_044_736, 52.29),
    ("mobilenet_v2", 1.0): (3_504_872, 300.77),
    ("mnasnet_a1", 0.5): (2_082_006, None),
    ("mnasnet_a1", 0.75): (2_912_278, 223.45),
    ("mnasnet_a1", 1.0): (3_887_038, 311.58),
    ("mnasnet_a1", 1.4): (6_105_992, 586.32),
    ("mnasnet_b1", 0.5): (2_218_512, 104.46),
    ("mnasnet_b1", 0.75): (3_170_208, None),
    ("mnasnet_b1", 1.0): (4_383_312, 314.42),
    ("mnasnet_b1", 1.3): (6_282_256, None),
    ("mnasnet_b1", 1.4): (7_115_728, None),
    ("mnasnet_small", 1.0): (2_030_264, 68.34),
}
# torchvision's widths for MobileNetV3: parameters, M MAdds.
TORCHVISION = {
    ("mobilenet_v3_large", 0.35): (997_064, 35.28),
    ("mobilenet_v3_large", 0.5): (1_734_576, 64.96),
    ("mobilenet_v3_large", 0.75): (3_377_576, 140.03),
    ("mobilenet_v3_large", 1.25): (8_164_744, 343.46),
    ("mobilenet_v3_small", 0.35): (558_744, 11.24),
    ("mobilenet_v3_small", 0.5): (917_264, 18.97),
    ("mobilenet_v3_small", 0.75): (1_653_920, 39.12),
    ("mobilenet_v3_small", 1.25): (3_644_912, 88.16),
}
AT_RESOLUTION = {
    "mobilenet_v3_large": {128: 73.43, 160: 112.47, 192: 160.19, 256: 281.66},
    "mobilenet_v3_small": {128: 19.85, 160: 29.85, 192: 42.07, 256: 73.18},
}


def agrees(ours: float, printed: str) -> bool:
    """Whether a printed figure is ours, rounded or truncated."""
    decimals = len(printed.split(".")[1]) if "." in printed else 0
    return abs(ours - float(printed)) < 10**-decimals


def test_the_table_has_every_network_line():
    named = {row["network"] for row in ROWS}
    # Nobody published the networks between a search and its improvements.
    assert named == {name for name in REFERENCES if "unimproved" not in name}


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda r: f"{r['network']}-{r['width']}-{r['resolution']}-{r['source']}"
)
def test_published_counts(row):
    spec = REFERENCES[row["network"]](width=float(row["width"]), resolution=int(row["resolution"]))
    cost = count(spec)
    madds_agree = agrees(cost.madds / 1e6, row["madds_m"])
    params_agree = agrees(cost.params / 1e6, row["params_m"])
    why = row["why_it_differs"]
    if not why:
        assert madds_agree
        assert params_agree
    elif why.startswith("parameters with"):
        norms = normalized_channels(spec)
        left_out = 2 * norms if "without" in why else norms
        assert madds_agree
        assert not params_agree
        assert agrees((cost.params - left_out) / 1e6, row["params_m"])
    elif "MnasNet README" in why:
        assert params_agree
        assert 1.005 < float(row["madds_m"]) / (cost.madds / 1e6) < 1.03
    else:
        assert not (madds_agree and params_agree)


def normalized_channels(spec: ArchSpec) -> int:
    return sum(layer.cout for _, layers in layers_by_stage(spec) for layer in layers if layer.norm)


@pytest.mark.parametrize(("name", "width"), TIMM)
def test_counts_of_timm(name, width):
    params, madds_m = TIMM[name, width]
    cost = count(REFERENCES[name](width=width))
    assert cost.params == params
    if madds_m is not None:
        assert cost.madds / 1e6 == pytest.approx(madds_m, abs=0.006)


def test_timm_keeps_the_stem_of_narrow_small_networks():
    # timm's mobilenetv3_small_050 has 1,593,224: a stem of 16, where the paper's rule gives 8.
    assert count(REFERENCES["mobilenet_v3_small"](width=0.5)).params == 1_593_224 - 520


@pytest.mark.parametrize(("name", "width"), TORCHVISION)
def test_counts_of_torchvision_convention(name, width):
    params, madds_m = TORCHVISION[name, width]
    cost = count(REFERENCES[name](width=width, convention="torchvision"))
    assert cost.params == params
    assert cost.madds / 1e6 == pytest.approx(madds_m, abs=0.006)


@pytest.mark.parametrize("width", [0.1, 0.35, 0.6, 1.4, 2.0])
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("mobilenet_v2", lambda w: torchvision.models.mobilenet_v2(width_mult=w)),
        ("mobilenet_v3_large", lambda w: torchvision.models.mobilenet_v3_large(width_mult=w)),
        ("mobilenet_v3_small", lambda w: torchvision.models.mobilenet_v3_small(width_mult=w)),
        ("mnasnet_b1", torchvision.models.MNASNet),
    ],
)
def test_any_width_has_torchvision_parameters(name, theirs, width):
    expected = sum(p.numel() for p in theirs(width).parameters())
    assert count(REFERENCES[name](width=width, convention="torchvision")).params == expected


@pytest.mark.parametrize(
    ("name", "px", "madds_m"),
    [(n, px, m) for n, rows in AT_RESOLUTION.items() for px, m in rows.items()],
)
def test_resolution_scales_madds(name, px, madds_m):
    assert count(REFERENCES[name](resolution=px)).madds / 1e6 == pytest.approx(madds_m, abs=0.006)


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2", "mnasnet_a1", "mnasnet_b1"])
def test_conventions_differ_for_mobilenet_v3_alone(name):
    narrow = REFERENCES[name](width=0.5)
    assert narrow == REFERENCES[name](width=0.5, convention="torchvision")


@pytest.mark.parametrize("name", REFERENCES)
def test_arguments(name):
    spec = REFERENCES[name](width=0.75, resolution=160, classes=7)
    assert (spec.resolution, spec.head.classes) == (160, 7)
    assert count(spec).params < count(REFERENCES[name](resolution=160, classes=7)).params


@pytest.mark.parametrize("width", [0, -0.5, float("nan"), float("inf")])
def test_a_width_must_be_positive(width):
    with pytest.raises(InputError, match=f"width must be a number above 0, got {width}"):
        REFERENCES["mobilenet_v2"](width=width)


def test_an_unknown_convention_is_named():
    with pytest.raises(InputError, match="paper or torchvision, got 'timm'"):
        REFERENCES["mobilenet_v2"](convention="timm")  # type: ignore[arg-type]


def test_minimalistic_networks_are_plain():
    for name in ("mobilenet_v3_large_minimalistic", "mobilenet_v3_small_minimalistic"):
        spec = REFERENCES[name]()
        assert {block.kernel for block in spec.blocks} == {3}
        assert {block.se for block in spec.blocks} == {0}
        assert {spec.stem.act, spec.head.act, *(b.act for b in spec.blocks)} == {"relu"}
