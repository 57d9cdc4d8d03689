"""How long a network takes on a device: measured with an interval, or estimated and labelled so.

Start with `measurer` (the record and the contract). What measures is a `runtime` (runs networks on one kind
of device: `onnx_runtime`) in a `measured.Measured` (decides what runs when, and what it amounts to:
`interleave`, `statistics`, `anchor`, `quiet`). `madds` estimates. `devices` opens a source by name, `cache`
keeps its readings, `pool` makes one source of several devices.
"""

import os

from latency.devices import DEVICES, Kind, device_kinds, open_device
from latency.measuring.cache import Cached
from latency.measuring.measured import Measured, Reading
from latency.measuring.runtime import Conditions, Loaded, Runtime
from latency.measuring.source import (
    Device,
    DeviceLostError,
    Latency,
    LatencySource,
    MeasurementError,
    beside,
    check_latency_source,
    close,
    units,
)
from latency.measuring.statistics import Ratio, Timing
from latency.pool import Pool

# ONNX Runtime's wheels can report to their makers. Set before anything here loads it: nothing is reported.
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
    "Pool",
    "Ratio",
    "Reading",
    "Runtime",
    "Timing",
    "beside",
    "check_latency_source",
    "close",
    "device_kinds",
    "open_device",
    "units",
]
