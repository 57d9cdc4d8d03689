"""The weights in the package: torchvision's MobileNetV2, trained on ImageNet, without its classifier."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from nas.checkpoints.importing.pretrained import import_checkpoint
from search_spaces import REFERENCES

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint

NAME = "mobilenet_v2"

_ASSET = files("nas.checkpoints") / "assets" / "mobilenet_v2.safetensors"


def embedded_checkpoint() -> Checkpoint:
    """Return the network; its classifier is random, and needs one for the user's classes anyway."""
    with as_file(_ASSET) as path:
        return import_checkpoint(REFERENCES[NAME](classes=1), path, headless=True)
