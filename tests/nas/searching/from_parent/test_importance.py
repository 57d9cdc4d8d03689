"""The order of a parent's channels: what it says, and that sub-networks are nested."""

import torch

from nas.checkpoints.importance import channel_order, taylor_importance
from nas.searching.from_parent.parent import Parent
from nas.training.inputs import training_inputs
from search_spaces.channels import channel_counts
from tests.nas.searching.from_parent.conftest import IMAGES


def test_a_channel_that_changes_nothing_is_the_least_important(parent) -> None:
    weights = {name: tensor.clone() for name, tensor in parent.weights.items()}
    norm = "blocks.1.layers.0.1"
    for part in ("weight", "bias"):  # the expansion's third channel is always 0 ...
        weights[f"{norm}.{part}"][2] = 0
        weights["blocks.1.layers.1.1." + part][2] = 0  # ... and so is its depthwise filter's output
    dead = type(parent)(parent.spec, weights, parent.usage)
    importance = taylor_importance(dead, IMAGES[64])["block 1 expansion"]
    assert importance[2] == 0
    assert importance.count_nonzero() == len(importance) - 1
    assert channel_order(dead, IMAGES[64])["block 1 expansion"][-1] == 2


def test_importance_is_the_squared_change_of_the_loss_to_first_order(parent) -> None:
    """Against a difference quotient: scale one channel's batch norm down a little."""
    from search_spaces.network import build

    network = build(parent.spec).eval()
    network.load_state_dict(parent.weights)
    norm, channel, epsilon = "stem.1", 3, 1e-3
    first = next(iter(training_inputs(IMAGES[64], images=16, batch_size=16)))

    def loss():
        with torch.no_grad():
            return torch.nn.functional.cross_entropy(network(first[0]), first[1])

    gamma, beta = network.get_parameter(f"{norm}.weight"), network.get_parameter(f"{norm}.bias")
    whole = loss()
    with torch.no_grad():
        gamma[channel] *= 1 - epsilon
        beta[channel] *= 1 - epsilon
    change = (whole - loss()) / epsilon

    importance = _one_batch(parent, norm)
    torch.testing.assert_close(importance[channel], change**2, rtol=0.05, atol=1e-8)


def _one_batch(parent, norm):
    """Return the importance on the first batch, of this batch norm alone."""
    from search_spaces.network import build

    network = build(parent.spec).eval()
    network.load_state_dict(parent.weights)
    inputs, labels = next(iter(training_inputs(IMAGES[64], images=16, batch_size=16)))
    torch.nn.functional.cross_entropy(network(inputs), labels).backward()
    gamma, beta = network.get_parameter(f"{norm}.weight"), network.get_parameter(f"{norm}.bias")
    return (gamma * gamma.grad + beta * beta.grad).detach() ** 2


def test_every_space_is_ordered_and_sub_networks_are_nested(parent, space) -> None:
    order = channel_order(parent, IMAGES[64])
    for name, size in channel_counts(parent.spec).items():
        assert sorted(order[name].tolist()) == list(range(size)), name
    heirs = Parent(space.parent, parent.weights, order)
    wide = heirs.state_dict(space.decode(space.uniform(0.75, 64)))
    narrow = heirs.state_dict(space.decode(space.uniform(0.5, 32)))
    rows = {tuple(row.flatten().tolist()) for row in wide["stem.0.weight"]}
    assert {tuple(row.flatten().tolist()) for row in narrow["stem.0.weight"]} <= rows
