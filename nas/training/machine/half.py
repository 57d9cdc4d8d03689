"""Computing in half precision."""

from __future__ import annotations

import torch

from nas.training.recipe import HalfPrecision

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def autocast(half: HalfPrecision, device: torch.device) -> torch.autocast:
    """Return the context of a forward pass: half precision on CUDA devices, if it is asked for."""
    enabled = bool(half) and device.type == "cuda"
    return torch.autocast("cuda", DTYPES.get(str(half), torch.bfloat16), enabled=enabled)


def loss_scaler(half: HalfPrecision, device: torch.device) -> torch.amp.GradScaler:
    """Return what scales losses, so that float16 can hold their gradients; it does nothing otherwise."""
    return torch.amp.GradScaler("cuda", enabled=half == "float16" and device.type == "cuda")
