"""Set torch's process-wide settings for one training, and restore them."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


@contextlib.contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Use this many CPU threads, then restore torch's setting."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def restored_generators(device: torch.device) -> Iterator[None]:
    """Restore the state of torch's global generators on exit: `seed_layers` changes it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_layers(seed: int, device: torch.device) -> None:
    """Seed torch's global generators: dropout takes no generator and draws from that of its device."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


@contextlib.contextmanager
def layer_settings(
    module: nn.Module, *, dropout: float | None, batch_norm_decay: float | None
) -> Iterator[None]:
    """Set dropout and the decay of batch norm's statistics until exit; None leaves the module's own."""
    settings: list[tuple[nn.Module, str, float]] = []
    for layer in module.modules():
        if isinstance(layer, nn.Dropout) and dropout is not None:
            settings.append((layer, "p", dropout))
        elif isinstance(layer, nn.BatchNorm2d) and batch_norm_decay is not None:
            settings.append((layer, "momentum", 1 - batch_norm_decay))
    before = [(layer, name, getattr(layer, name)) for layer, name, _ in settings]
    for layer, name, value in settings:
        setattr(layer, name, value)
    try:
        yield
    finally:
        for layer, name, value in before:
            setattr(layer, name, value)
