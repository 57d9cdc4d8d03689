"""Export a network to LiteRT (`.tflite`) with litert-torch."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from search_spaces.errors import InputError
from search_spaces.exporting.pixel_input import Exportable, PixelInput
from search_spaces.extras import INSTALL_LITERT
from search_spaces.heads.specs import LRASPPHead, RASPPHead


def to_tflite(network: Exportable) -> bytes:
    """Export a network in eval mode to a float `.tflite`.

    Input (1, resolution, resolution, 3), float32, or uint8 for a `PixelInput`; channels last, as in
    LiteRT's kernels and image libraries. Outputs as the network's, maps with channels last too. The
    network's mode is not changed.

    Raises:
        InputError: litert-torch is not installed.
    """
    litert_torch = litert_module("litert_torch")
    side, pixels = network.spec.resolution, isinstance(network, PixelInput)
    maps = [0] if isinstance(network.spec.head, LRASPPHead | RASPPHead) else []
    was_training = network.training
    network.eval()
    try:
        with silenced():
            channels_last = litert_torch.to_channel_last_io(
                network, args=[] if pixels else [0], outputs=maps
            ).eval()
            example = torch.zeros(1, side, side, 3, dtype=torch.uint8 if pixels else torch.float32)
            return bytes(litert_torch.convert(channels_last, (example,)).model_content())
    finally:
        network.train(was_training)


def litert_module(name: str) -> Any:
    """Import a module of the extra.

    Raises:
        InputError: It is not installed.
    """
    try:
        with silenced():
            return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"LiteRT files need litert-torch, which is not installed ({error}): {INSTALL_LITERT}"
        ) from error


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Suppress litert-torch's progress bars and messages on both streams."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
