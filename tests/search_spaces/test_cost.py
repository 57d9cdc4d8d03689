import pytest
import torch
from torch import nn

from search_spaces import REFERENCES, count, load_space
from search_spaces.network import build

# Published, or counted by others with timm and torchvision: parameters, M MAdds at 224.
PUBLISHED = {
    "mobilenet_v2": (3_504_872, 300.77),
    "mobilenet_v3_large": (5_483_032, 216.59),
    "mobilenet_v3_small": (2_542_856, 56.51),
    "mnasnet_a1": (3_887_038, 311.58),
    "mnasnet_b1": (4_383_312, 314.42),
}
AT_RESOLUTION = {
    "mobilenet_v3_large": {128: 73.43, 160: 112.47, 192: 160.19, 256: 281.66},
    "mobilenet_v3_small": {128: 19.85, 160: 29.85, 192: 42.07, 256: 73.18},
}
# M MAdds of each line of the paper's table (stem, blocks, last convolution; then the classifier).
LARGE_ROWS = [
    *(5.419, 5.018, 19.468, 12.87, 9.092, 9.886, 9.886, 11.713, 6.625, 6.095, 6.095),
    *(19.025, 30.915, 21.069, 16.69, 16.69, 7.526 + 2.509),
]


@pytest.mark.parametrize("name", PUBLISHED)
def test_references_count_as_published(name):
    params, madds_m = PUBLISHED[name]
    cost = count(REFERENCES[name]())
    assert cost.params == params
    assert cost.madds / 1e6 == pytest.approx(madds_m, abs=0.006)


@pytest.mark.parametrize(
    ("name", "px", "madds_m"),
    [(n, px, m) for n, rows in AT_RESOLUTION.items() for px, m in rows.items()],
)
def test_resolution_scales_madds(name, px, madds_m):
    assert count(REFERENCES[name](resolution=px)).madds / 1e6 == pytest.approx(madds_m, abs=0.006)


def test_each_line_costs_what_it_should():
    stages = count(REFERENCES["mobilenet_v3_large"]()).stages
    assert [stage.madds / 1e6 for stage in stages] == pytest.approx(LARGE_ROWS, abs=0.002)


def hooked_madds(network: nn.Module, px: int) -> int:
    """A second count: from the shapes that really pass through each layer."""
    total = 0

    def add(layer: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal total
        fan_in = layer.weight[0].numel()
        total += output.numel() * fan_in

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 3, px, px))
    return total


@pytest.mark.parametrize("seed", range(12))
def test_counts_agree_with_the_built_network(seed, random_tokens):
    space = load_space("mnasnet", resolution=[33, 64, 97][seed % 3], classes=7)
    spec = space.decode(random_tokens(space.arities, seed))
    network = build(spec)
    cost = count(spec)
    assert cost.params == sum(p.numel() for p in network.parameters())
    assert cost.madds == hooked_madds(network, spec.resolution)
    assert cost.madds == sum(stage.madds for stage in cost.stages)
    assert len(cost.stages) == len(spec.blocks) + 2
