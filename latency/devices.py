"""Open the latency source that `--device` names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

from latency.device_names import NOT_FOR_TRAINING, suggestion
from latency.estimates.lazy_table import LazyTable
from latency.estimates.madds import MaddsEstimate
from latency.estimates.published import PublishedEstimate
from latency.estimates.table import LookupTable
from latency.measuring.anchor import AnchorRecord
from latency.measuring.measured import Measured
from latency.measuring.raw_times import RawTimes
from latency.measuring.runtime import Runtime
from latency.measuring.source import LatencySource, MeasurementError
from latency.measuring.statistics import Timing
from latency.measuring.user_folders import cache_folder, expand_user
from latency.pool import open_pool
from latency.runtimes import adb, command
from latency.runtimes.adb_phone import Phone, attached_phones
from latency.runtimes.ssh import SshRuntime
from latency.runtimes.ssh_connection import Remote
from search_spaces.errors import InputError

GROUP = "mobile_nas.latency"
"""Entry point group of plug-ins; each is a callable from the argument to a source."""

EVERY = "all"
"""Instead of a serial: a pool of every phone that adb sees."""


def measured(runtime: Runtime, timing: Timing | None = None) -> Measured:
    """Make a source that measures on a runtime and keeps records and raw times in the cache folder."""
    folder = cache_folder()
    return Measured(
        runtime,
        timing=timing,
        record=AnchorRecord(folder / "anchors"),
        on_reading=RawTimes(folder / "raw"),
    )


def _cpu(argument: str) -> LatencySource:
    from latency.runtimes.onnx_runtime import OnnxRuntime

    options = _options(argument, device="cpu:", known={"threads": 1, "provider": "cpu"})
    return measured(OnnxRuntime(threads=int(options["threads"]), provider=str(options["provider"])))


def _ssh(argument: str) -> LatencySource:
    host, _, rest = argument.partition(",")
    known: dict[str, int | str] = {"python": "python3", "threads": 1, "runtime": "", "config": ""}
    options = _options(rest, device=f"ssh:{host},", known=known)
    remote = Remote(host, python=str(options["python"]), threads=int(options["threads"]))
    if options["runtime"]:
        remote = replace(remote, wanted=(str(options["runtime"]),))
    if options["config"]:
        remote = replace(remote, config=expand_user(str(options["config"])))
    return measured(SshRuntime(remote))


def _adb(argument: str) -> LatencySource:
    named, _, rest = argument.partition(",")
    if "=" in named:  # the only phone, and options
        named, rest = "", argument
    options = _options(rest, device="adb:SERIAL,", known={"benchmark": ""})

    def opened(serial: str | None) -> LatencySource:
        runtime = adb.AdbRuntime(Phone(serial), benchmark=str(options["benchmark"]) or None)
        return measured(runtime, adb.TIMING)

    if named == EVERY:
        serials = sorted(attached_phones(), key=lambda serial: (":" in serial, serial))  # USB first
        if not serials:
            return opened(None)  # raises the error that explains why
        return open_pool([partial(opened, serial) for serial in serials], once=True)
    if "+" in named:
        return open_pool([partial(opened, serial) for serial in named.split("+")])
    return opened(named or None)


def _command(argument: str) -> LatencySource:
    return measured(command.CommandRuntime(argument), command.TIMING)


def _options(argument: str, *, device: str, known: Mapping[str, int | str]) -> dict[str, int | str]:
    """Parse `key=value,key=value`; missing options keep their defaults.

    >>> _options("threads=4", device="cpu:", known={"threads": 1, "provider": "cpu"})
    {'threads': 4, 'provider': 'cpu'}
    """
    options = dict(known)
    for part in filter(None, argument.split(",")):
        name, equals, value = part.partition("=")
        if name not in known or not equals:
            listed = ", ".join(f"{key}={default}" for key, default in known.items())
            raise InputError(
                f"device {device.split(':')[0]} does not take {part!r}: give options as {device}{listed}"
            )
        options[name] = value if isinstance(known[name], str) else _whole(value, part)
    return options


def _whole(value: str, part: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise InputError(f"device option {part!r}: expected a whole number") from None


def _madds(argument: str) -> LatencySource:
    try:
        rate = float(argument)
    except ValueError:
        raise InputError(
            f"device madds needs a rate in G MAdds/s, got {argument!r}: give for instance madds:10"
        ) from None
    return MaddsEstimate(rate)


def _litert(argument: str) -> LatencySource:
    from latency.runtimes.litert import LiteRt

    defaults: dict[str, int | str] = {"threads": 1}
    options = _options(argument, device="litert", known=defaults)
    return measured(LiteRt(threads=int(options["threads"])))


def _table(argument: str) -> LatencySource:
    if not argument:
        raise InputError(
            "device table needs a file that nas profile wrote: give for instance table:cpu.jsonl"
        )
    return LookupTable(Path(argument))


def _pieces(argument: str) -> LatencySource:
    if not argument:
        raise InputError("device pieces needs a measuring device: give for instance pieces:cpu")
    source = open_device(argument)
    if not isinstance(source, Measured):
        raise InputError(
            f"device pieces:{argument} needs a measuring device: give for instance pieces:cpu"
        )
    return LazyTable(source)


def _pixel(phone: str) -> Callable[[str], LatencySource]:
    def opened(argument: str) -> LatencySource:
        if argument:
            raise InputError(
                f"device {phone} takes no argument, got {argument!r}: give --device {phone}"
            )
        return PublishedEstimate(phone)

    return opened


@dataclass(frozen=True)
class Kind:
    """A kind of device.

    Attributes:
        open: Opens a source from the text after `NAME:`.
        example: The option's value, as typed.
        about: One-line description.
        ready: Whether the example works as it stands, on this machine alone.
    """

    open: Callable[[str], LatencySource] = field(repr=False)
    example: str
    about: str
    ready: bool = True


_PAPERS = "a phone of the MobileNetV3 paper; an estimate from published figures"

DEVICES: dict[str, Kind] = {
    "cpu": Kind(_cpu, "cpu", "this machine, ONNX Runtime; cpu:threads=4, cpu:provider=cuda"),
    "ssh": Kind(
        _ssh,
        "ssh:HOST",
        "another machine, such as a Raspberry Pi; HOST as ssh takes it",
        ready=False,
    ),
    "adb": Kind(
        _adb,
        "adb",
        "an Android phone, TFLite's benchmark_model; adb:SERIAL+SERIAL or adb:all is a pool",
        ready=False,
    ),
    "command": Kind(
        _command, "command:PROGRAM", "your program: gets a model, prints milliseconds", ready=False
    ),
    "litert": Kind(_litert, "litert", "this machine, LiteRT with XNNPACK; needs litert-torch"),
    "table": Kind(_table, "table:FILE", "a table that nas profile made; an estimate", ready=False),
    "pieces": Kind(
        _pieces,
        "pieces:DEVICE",
        "a device that measures, by pieces timed when first needed; an estimate",
        ready=False,
    ),
    "pixel1": Kind(_pixel("pixel1"), "pixel1", _PAPERS),
    "pixel2": Kind(_pixel("pixel2"), "pixel2", _PAPERS),
    "pixel3": Kind(_pixel("pixel3"), "pixel3", _PAPERS),
    "madds": Kind(_madds, "madds:RATE", "G MAdds/s, a constant rate; an estimate", ready=False),
}
"""Built-in kinds of device by name."""


def device_kinds() -> list[Kind]:
    """List all kinds, installed plug-ins last."""
    plugins = entry_points(group=GROUP)
    return [
        *DEVICES.values(),
        *(
            Kind(point.load(), point.name, f"plug-in {point.value}", ready=False)
            for point in plugins
        ),
    ]


def open_device(device: str) -> LatencySource:
    """Open the source of `NAME` or `NAME:ARGUMENT`.

    >>> open_device("madds:10").device.name
    'estimate at 10 G MAdds/s'

    Raises:
        InputError: No such device, an argument that it does not take, or it cannot be reached.
    """
    opened = opener(device)
    try:
        return opened(device.partition(":")[2])
    except MeasurementError as error:
        raise InputError(str(error)) from error


def opener(device: str) -> Callable[[str], LatencySource]:
    """What opens devices of this kind, from what follows `NAME:`.

    Raises:
        InputError: There is no such kind.
    """
    name = device.partition(":")[0]
    if name in DEVICES:
        return DEVICES[name].open
    plugins = {point.name: point for point in entry_points(group=GROUP)}
    if name in plugins:
        opened: Callable[[str], LatencySource] = plugins[name].load()
        return opened
    known = ", ".join([*(kind.example for kind in DEVICES.values()), *sorted(plugins)])
    hint = suggestion(device, [*DEVICES, *plugins])
    listed = "" if hint.startswith(f": {NOT_FOR_TRAINING}") else f": known are {known}"
    raise InputError(f"unknown device {device!r}{listed}{hint}")
