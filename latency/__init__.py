"""How long a network takes on a device: measured with an interval, or estimated and labelled so.

Start with `measurer` (the record and the contract), then `statistics` (from timed runs to a figure);
`onnx_runtime` and `madds` are sources, `devices` opens one by name, `cache` keeps its readings.
"""

from latency.cache import Cached
from latency.devices import DEVICES, open_device
from latency.measurer import (
    Device,
    Latency,
    LatencySource,
    MeasurementError,
    check_latency_source,
)

__all__ = [
    "DEVICES",
    "Cached",
    "Device",
    "Latency",
    "LatencySource",
    "MeasurementError",
    "check_latency_source",
    "open_device",
]
