"""Latency of a network on a device: measured with an interval, or estimated and labelled as such.

Start with `measuring.source` (the `Latency` record and the `LatencySource` contract). `runtimes` run
networks on one kind of device each; `measuring.measured` decides what runs when and summarizes the times.
`estimates` compute latency from MAdds, lookup tables or published figures. `devices` opens a source by
name, `measuring.cache` caches readings, and `pool` makes one source of several identical devices.
"""

import os

from latency.devices import DEVICES, Kind, device_kinds, open_device
from latency.measuring.cache import Cached
from latency.measuring.measured import Measured, Reading
from latency.measuring.paced import Paced
from latency.measuring.runtime import Conditions, Loaded, Runtime
from latency.measuring.source import (
    Device,
    DeviceLostError,
    Latency,
    LatencySource,
    MeasurementError,
    check_latency_source,
    close,
    devices_of,
    with_anchor,
)
from latency.measuring.statistics import Ratio, Timing
from latency.pool import Pool

# Disable ONNX Runtime's telemetry before anything here loads it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "DEVICES",
    "Cached",
    "Conditions",
    "Device",
    "DeviceLostError",
    "Kind",
    "Latency",
    "LatencySource",
    "Loaded",
    "Measured",
    "MeasurementError",
    "Paced",
    "Pool",
    "Ratio",
    "Reading",
    "Runtime",
    "Timing",
    "check_latency_source",
    "close",
    "device_kinds",
    "devices_of",
    "open_device",
    "with_anchor",
]
