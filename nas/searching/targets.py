"""Parse devices as users write them: one or several, each with a target in milliseconds."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from latency.devices import DEVICES, opener
from search_spaces import InputError

Aim = tuple[str, float | None]
"""A device as typed, without its target, and the target in milliseconds, if any."""

_TO_THREADS = re.compile(r".*[:,]threads")


def with_targets(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Normalize settings: `device` is one device and `target_ms` its target, or `device` maps several.

    >>> with_targets({"device": ["cpu=8"]})
    {'device': 'cpu', 'target_ms': 8.0}
    >>> with_targets({"device": ["cpu=8", "pixel1=60"]})
    {'device': {'cpu': 8.0, 'pixel1': 60.0}, 'target_ms': None}

    Args:
        settings: With `device` in any form that users may write, or without it.

    Raises:
        InputError: A device is unknown, duplicate or, among several, without a target; a target is not a
            time, or one device has two.
    """
    if "device" not in settings:
        return dict(settings)
    aims, target_ms = _aims(settings["device"]), settings.get("target_ms")
    if len(aims) > 1:
        _require_targets(aims, target_ms)
        return {**settings, "device": dict(aims), "target_ms": None}
    ((device, own_ms),) = aims
    if own_ms is None:
        return {**settings, "device": device}
    if target_ms is not None:
        raise InputError(
            f"device {device} has two targets, {own_ms:g} and target_ms {_shown(target_ms)}: give one"
        )
    return {**settings, "device": device, "target_ms": own_ms}


def aim(written: str, *, alone: bool) -> Aim:
    """Split `DEVICE[=MS]` into the device and the target.

    A device may contain `=`. The number after the last one is the target, unless it is the value of
    `threads`, or a single device ends with the argument of a program or plug-in, which may be anything.

    >>> aim("cpu:threads=4", alone=True), aim("cpu:threads=4=8", alone=True)
    (('cpu:threads=4', None), ('cpu:threads=4', 8.0))
    >>> aim("command:./lab --board=2", alone=True), aim("command:./lab --board=2=60", alone=False)
    (('command:./lab --board=2', None), ('command:./lab --board=2', 60.0))

    Raises:
        InputError: The target is not a time.
    """
    device, equals, number = written.rpartition("=")
    name, colon, _ = device.partition(":")
    own = alone and colon and (name == "command" or name not in DEVICES)
    if not equals or own or _TO_THREADS.fullmatch(device):
        return written, None
    try:
        target_ms = float(number)
    except ValueError:
        if colon:  # part of an option, such as a path
            return written, None
        raise InputError(
            f"device {written!r}: {number!r} is not a time in milliseconds: give for instance {name}=8"
        ) from None
    return device, _above_0(target_ms, device)


def _aims(device: object) -> list[Aim]:
    """Return the devices from a text, a list of texts, or a mapping to targets."""
    if isinstance(device, str):
        return [aim(device, alone=True)]
    if isinstance(device, Mapping) and device:
        return [(str(name), _above_0(target, name)) for name, target in device.items()]
    if isinstance(device, list | tuple) and device and all(isinstance(d, str) for d in device):
        return [aim(written, alone=len(device) == 1) for written in device]
    raise InputError(
        f"device must be one, a list of them, or a mapping to targets, got {device!r}: "
        "give for instance [cpu=8, pixel1=60]"
    )


def _require_targets(aims: list[Aim], target_ms: object) -> None:
    """Check that several devices are distinct and have a target each."""
    for device, _ in aims:
        opener(device)
        if [other for other, _ in aims].count(device) > 1:
            raise InputError(f"device {device} is given twice: give each device once")
    if target_ms is not None:
        raise InputError(
            f"target_ms {_shown(target_ms)} cannot apply to {len(aims)} devices: give each its own, as in "
            f"{aims[0][0]}={_shown(target_ms)}"
        )
    for device, own_ms in aims:
        if own_ms is None:
            raise InputError(
                f"device {device} has no target: each of several devices needs one, as in {device}=8"
            )


def _above_0(target: object, device: object) -> float | None:
    """Return a target from a mapping or a text; None if it is left open."""
    if target is None:
        return None
    if isinstance(target, int | float) and not isinstance(target, bool) and 0 < target < math.inf:
        return float(target)
    raise InputError(
        f"target of device {device} must be above 0 ms, got {_shown(target)}: give milliseconds"
    )


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)
