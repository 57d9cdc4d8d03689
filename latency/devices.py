"""From what the user types after `--device` to a latency source."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from latency.measurer import LatencySource
from search_spaces.errors import InputError

GROUP = "mobile_nas.latency"
"""Entry points of this group are devices of third parties: a callable from the argument to a source."""


def _cpu(argument: str) -> LatencySource:
    from latency.onnx_runtime import OnnxRuntimeCpu

    if argument:
        raise InputError(f"device cpu takes no argument, got {argument!r}: give --device cpu")
    return OnnxRuntimeCpu()


def _madds(argument: str) -> LatencySource:
    from latency.madds import MaddsEstimate

    try:
        rate = float(argument)
    except ValueError:
        raise InputError(
            f"device madds needs a rate in G MAdds/s, got {argument!r}: give madds:10, say"
        ) from None
    return MaddsEstimate(rate)


DEVICES: dict[str, Callable[[str], LatencySource]] = {"cpu": _cpu, "madds": _madds}
"""The built-in kinds of device, each from its argument to a source."""


def open_device(device: str) -> LatencySource:
    """The source of `NAME` or `NAME:ARGUMENT`.

    >>> open_device("madds:10").device.name
    'estimate at 10 G MAdds/s'

    Raises:
        InputError: No such device, or an argument that it does not take.
    """
    name, _, argument = device.partition(":")
    if name in DEVICES:
        return DEVICES[name](argument)
    plugins = {point.name: point for point in entry_points(group=GROUP)}
    if name in plugins:
        source: LatencySource = plugins[name].load()(argument)
        return source
    known = ", ".join(["cpu", "madds:RATE", *sorted(plugins)])
    raise InputError(f"unknown device {device!r}: known are {known}")
