"""Pretrained weights by name, fetched by the library that publishes them: torchvision or timm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

import torch

from nas.checkpoints.importing.pretrained import import_checkpoint
from nas.checkpoints.importing.timm_layout import timm_network
from search_spaces import REFERENCES, InputError
from search_spaces.shell import quoted

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint

TORCHVISION = {
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v3_large": "mobilenet_v3_large",
    "mobilenet_v3_small": "mobilenet_v3_small",
    "mnasnet_b1": "mnasnet1_0",
    "mnasnet_b1@0.5": "mnasnet0_5",
    "mnasnet_b1@0.75": "mnasnet0_75",
    "mnasnet_b1@1.3": "mnasnet1_3",
}
"""torchvision's name of the weights of a reference network."""


def is_published(name: str) -> bool:
    """Return whether a library publishes weights of this name.

    >>> is_published("mobilenet_v2"), is_published("mobilenetv3_large_100"), is_published("seed.pt")
    (True, True, False)
    """
    return name in TORCHVISION or name in TORCHVISION.values() or timm_network(name) is not None


def published_checkpoint(name: str) -> Checkpoint:
    """Return the ImageNet weights that a library publishes under a name; it downloads and keeps them.

    Args:
        name: torchvision's name or that of our reference network, or timm's.

    Raises:
        InputError: No library publishes such weights, it is not installed, or it cannot be reached.
    """
    if name in TORCHVISION or name in TORCHVISION.values():
        return _of_torchvision(name)
    if timm_network(name) is not None:
        return _of_timm(name)
    known = ", ".join([*TORCHVISION, "or timm's, such as mobilenetv3_large_100"])
    raise InputError(f"no published weights {name!r}: give a file, or one of {known}")


def _of_torchvision(name: str) -> Checkpoint:
    from torchvision.models import get_model_weights

    ours = {theirs: ours for ours, theirs in TORCHVISION.items()}.get(name, name)
    weights: Any = get_model_weights(TORCHVISION[ours]).DEFAULT
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    try:
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            # The name ends with the first digits of the content's hash.
            digits = file.stem.rpartition("-")[2]
            torch.hub.download_url_to_file(weights.url, str(file), hash_prefix=digits)
    except (URLError, OSError, RuntimeError) as error:
        raise InputError(_unreachable(name, error, f"{weights.url}", ours)) from error
    base, _, multiplier = ours.partition("@")
    spec = REFERENCES[base](width=float(multiplier or 1), convention="torchvision")
    return import_checkpoint(spec, file)


def _of_timm(name: str) -> Checkpoint:
    try:
        import timm
    except ImportError as error:
        raise InputError(
            f"{name} is timm's name, and timm is not installed: pip install timm, or give a file"
        ) from error
    network = timm_network(name)
    assert network is not None
    try:
        state = timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # the errors of several libraries that fetch
        raise InputError(_unreachable(name, error, "its page at timm", name)) from error
    return _from_state(state, network)


def _from_state(state: dict[str, torch.Tensor], network: Any) -> Checkpoint:
    """Import a state dict under timm's names."""
    import tempfile

    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        save_file({key: value.contiguous() for key, value in state.items()}, file)
        return import_checkpoint(network.spec, file, normalization=network.normalization)


def _unreachable(name: str, error: Exception, where: str, arch: str) -> str:
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"the weights of {name} cannot be fetched ({reason[0]}): download them from {where} on a machine "
        f"with internet, then nas import --arch {quoted(arch)} --weights FILE"
    )
