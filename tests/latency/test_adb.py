"""A fake phone behind the real adb."""

import gc
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from latency import (
    Conditions,
    DeviceLostError,
    Measured,
    MeasurementError,
    Timing,
    check_latency_source,
    devices_of,
    open_device,
)
from latency.files.tflite_file import open_tflite
from latency.runtimes.adb import AdbRuntime
from latency.runtimes.adb_phone import Phone, select_phone
from latency.runtimes.benchmark_model import parse_times_ms
from nas.cli.main import main
from nas.engine.measuring import measure
from search_spaces import REFERENCES, InputError, count
from tests.latency.fake_adbd import FakeAdbd
from tests.latency.model_files import tflite_model
from tests.latency.sshd import free_port

needs_adb = pytest.mark.skipif(
    shutil.which("adb") is None, reason="adb is missing: install the package adb"
)

SMALL = REFERENCES["mobilenet_v3_small"](resolution=64)
LARGE = REFERENCES["mobilenet_v3_large"]()

# A byte of the model stands for a microsecond.
BENCHMARK = """#!/bin/sh
for word in "$@"; do case $word in
  --graph=*) file=${word#--graph=};;
  --num_runs=*) runs=${word#--num_runs=};;
esac; done
test -f "$file" || { echo "ERROR: Could not open '$file'."; exit 1; }
us=$(wc -c <"$file"); first=$((us + 500))
cat <<END
STARTING!
Log parameter values verbosely: [0]
Num threads: [1]
Graph: [$file]
Loaded model $file
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
The input model file size (MB): 0.0
Initialized session in 3.214ms.
Running benchmark for at least 1 iterations and at least 0.1 seconds but terminate if exceeding 30 seconds.
count=9 first=$((us + 9000)) curr=$us min=$us max=$((us + 9000)) avg=$((us + 1000)) std=2828
END
if [ "$runs" = 1 ]; then echo "count=1 curr=$first"; avg=$first; else
  avg=$(((us * (runs - 1) + first) / runs))
  echo "count=$runs first=$first curr=$us min=$us max=$first avg=$avg std=70 p5=$us median=$us p95=$first"
fi
echo
printf 'Inference timings in us: Init: 3214, First inference: %s, ' $((us + 9000))
echo "Warmup (avg): 9, Inference (avg): $avg"
"""
GETPROP = """#!/bin/sh
case $1 in *model) echo Stand-In;; *serialno) echo {serial};; *fingerprint) echo {build};; *) echo "$1";;
esac
"""
PROGRAMS = {
    "taskset": '#!/bin/sh\nshift\nexec "$@"\n',
    "benchmark_model": BENCHMARK,
}
ZONES = {"battery": "90000", "cpu-0-0": "41500", "soc": "40"}


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory):
    """A private adb server, so that real phones are left alone."""
    if shutil.which("adb") is None:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # it makes itself a key
        subprocess.run(["adb", "start-server"], check=True, capture_output=True)
        yield
        subprocess.run(["adb", "kill-server"], check=True, capture_output=True)


@pytest.fixture
def connected(tmp_path):
    """Attach fake phones."""
    made = []

    def attach(name, *, build="build-1"):
        device = FakeAdbd(_file_system(tmp_path / name, build))
        made.append(device)
        subprocess.run(["adb", "connect", device.serial], check=True, capture_output=True)
        return device

    yield attach
    for device in made:
        subprocess.run(["adb", "disconnect", device.serial], check=False, capture_output=True)
        device.close()


@pytest.fixture
def phone(connected):
    return connected("phone")


def _file_system(root, build):
    programs = PROGRAMS | {"getprop": GETPROP.format(serial=root.name, build=build)}
    files = {f"bin/{name}": text for name, text in programs.items()}
    for core, (most, now) in enumerate([(1800000, 300000), (2800000, 2400000), (2800000, 2500000)]):
        folder = f"sys/devices/system/cpu/cpu{core}/cpufreq"
        files |= {
            f"{folder}/cpuinfo_max_freq": f"{most}\n",
            f"{folder}/scaling_cur_freq": f"{now}\n",
        }
    for number, (kind, value) in enumerate(ZONES.items()):
        zone = f"sys/class/thermal/thermal_zone{number}"
        files |= {f"{zone}/type": f"{kind}\n", f"{zone}/temp": f"{value}\n"}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    (root / "data/local/tmp").mkdir(parents=True)
    return root


@pytest.fixture
def runtime(phone):
    return AdbRuntime(Phone(phone.serial, adb_s=10.0), patience_s=5.0)


@needs_adb
def test_the_contract(runtime, monkeypatch):
    litert = types.ModuleType("search_spaces.exporting.litert_export")
    litert.to_tflite = lambda network: b"\0\0\0\0TFL3" + bytes(count(network.spec).madds // 10_000)
    monkeypatch.setitem(sys.modules, "search_spaces.exporting.litert_export", litert)
    timing = Timing(warmup_s=0.0, block_s=0.0, block_runs=5, min_blocks=2, max_s=0.1, retries=0)
    source = Measured(runtime, timing=timing)
    check_latency_source(source, SMALL, LARGE)
    madds_10k = 8 + count(LARGE).madds // 10_000
    assert source.latency(LARGE).median_ms == pytest.approx(madds_10k / 1e3, rel=1e-3)


@needs_adb
def test_a_block_is_its_first_run_and_the_mean_of_the_others(runtime, phone):
    network = runtime.load(bytes(20_000))
    assert network.run(1) == [20.5]
    assert network.run(11) == pytest.approx([20.5, 20.0], rel=1e-4)
    ran = next(command for command in phone.commands if "--num_runs=11" in command)
    assert "taskset 4 " in ran  # the last of the two fast cores
    assert "--num_threads=1" in ran


@needs_adb
def test_the_device_and_its_conditions(runtime):
    assert runtime.device.name.endswith("Stand-In, 1 thread on core 2, benchmark_model")
    assert runtime.conditions() == Conditions(41.5, None)
    runtime.load(bytes(20_000)).run(1)
    assert runtime.conditions() == Conditions(41.5, 2500.0)  # at the end of the run


@needs_adb
def test_files_are_removed(runtime, phone):
    network = runtime.load(bytes(100_000))
    (file,) = (phone.root / "data/local/tmp").iterdir()
    assert file.read_bytes() == bytes(100_000)
    network.close()
    assert not file.exists()


@needs_adb
def test_a_file_that_is_never_closed_is_removed_with_its_network(runtime, phone):
    network = runtime.load(bytes(1000))
    assert list((phone.root / "data/local/tmp").iterdir())
    del network
    gc.collect()
    assert not list((phone.root / "data/local/tmp").iterdir())


@needs_adb
def test_a_file_that_arrives_in_part_is_removed(runtime, phone, monkeypatch):
    def cut(_self, _local, remote):
        Path(phone.here(remote)).write_bytes(b"a part")
        raise KeyboardInterrupt

    monkeypatch.setattr(Phone, "push", cut)
    with pytest.raises(KeyboardInterrupt):
        runtime.load(bytes(1000))
    assert not list((phone.root / "data/local/tmp").iterdir())


@needs_adb
def test_benchmark_model_is_pushed_or_found(phone, tmp_path):
    (phone.root / "bin/benchmark_model").unlink()
    known = Phone(phone.serial)
    with pytest.raises(InputError, match="has no benchmark_model"):
        AdbRuntime(known)
    odd = "/data/local/tmp/it's $(touch hit)"
    with pytest.raises(InputError, match="neither a local file nor a program on the phone"):
        AdbRuntime(known, benchmark=odd)
    ours = tmp_path / "our benchmark; touch hit"
    ours.write_text(BENCHMARK)
    pushed = AdbRuntime(known, benchmark=str(ours))
    assert pushed.load(bytes(7000)).run(2) == pytest.approx([7.5, 7.0])
    (phone.root / "data/local/tmp/mobile-nas-benchmark_model").rename(phone.here(odd))
    assert AdbRuntime(known, benchmark=odd).load(bytes(7000)).run(1) == [7.5]
    assert not list(phone.root.rglob("hit"))


@needs_adb
def test_a_failing_script_is_an_error(runtime, phone, tmp_path):
    assert runtime.phone.shell("echo some; exit 3", timeout_s=5.0) == (3, "some\n\n")
    with pytest.raises(MeasurementError, match="No such file or directory"):
        runtime.script("cat /data/absent")
    chmod = phone.root / "bin/chmod"
    chmod.write_text("#!/bin/sh\necho 'chmod: Operation not permitted'; exit 1\n")
    chmod.chmod(0o755)
    ours = tmp_path / "benchmark_model"
    ours.write_text(BENCHMARK)
    with pytest.raises(MeasurementError, match=f"{phone.serial}: chmod: Operation not permitted"):
        AdbRuntime(runtime.phone, benchmark=str(ours))


@needs_adb
@pytest.mark.parametrize("fault", ["drop", "hang"])
def test_a_lost_phone_is_retried(phone, fault):
    runtime = AdbRuntime(Phone(phone.serial, adb_s=10.0), patience_s=1.5)
    network = runtime.load(bytes(20_000))
    phone.faults = [fault]
    assert network.run(1) == [20.5]


@needs_adb
def test_a_phone_that_stays_lost_is_an_error(runtime, phone):
    network = runtime.load(bytes(20_000))
    phone.close()
    runtime.phone.adb_s = 2.0
    with pytest.raises(DeviceLostError, match=r"did not come back"):
        network.run(1)


@needs_adb
def test_a_network_that_crashes_a_phone_is_rejected(runtime, phone):
    network = runtime.load(bytes(20_000))
    phone.faults = ["drop", "drop"]  # and it answers otherwise
    with pytest.raises(MeasurementError) as caught:
        network.run(1)
    assert not isinstance(caught.value, DeviceLostError)
    assert network.run(1) == [20.5]


@needs_adb
@pytest.mark.parametrize(
    ("printed", "problem"),
    [
        ("ERROR: Didn't find op for builtin opcode 'GELU' version '2'.\nERROR: x", "'GELU'"),
        ("Loaded\nERROR: Encountered unresolved custom op: FlexErf.\nfailed", "custom op: FlexErf"),
        ("Segmentation fault", "benchmark_model: Segmentation fault"),
        ("", "it printed nothing"),
        ("count=1 curr=nan\nInference (avg): nan", "a time of nan ms"),
        ("count=1 curr=-5\nInference (avg): -5", "a time of -0.005 ms"),
        ("count=1 curr=soon\nInference (avg): 1", "'soon'"),
    ],
)
def test_failures_show_the_telling_line(runtime, phone, printed, problem):
    network = runtime.load(bytes(20_000))
    phone.faults = [f"{printed}\n\nkHz=\n\nmobile-nas exit status 0\n"]
    with pytest.raises(MeasurementError, match=problem):
        network.run(1)


@needs_adb
def test_an_unauthorized_phone(phone):
    subprocess.run(["adb", "disconnect", phone.serial], check=True, capture_output=True)
    phone.authorized = False
    subprocess.run(["adb", "connect", phone.serial], check=False, capture_output=True)
    with pytest.raises(
        InputError, match="'unauthorized' to adb: allow USB debugging on its screen"
    ):
        Phone(phone.serial)


@pytest.fixture
def quick(monkeypatch):
    """Devices opened by name measure briefly; a model's size is proportional to its latency."""
    litert = types.ModuleType("search_spaces.exporting.litert_export")
    litert.to_tflite = lambda network: b"\0\0\0\0TFL3" + bytes(count(network.spec).madds // 10_000)
    monkeypatch.setitem(sys.modules, "search_spaces.exporting.litert_export", litert)
    timing = Timing(warmup_s=0.0, block_s=0.0, block_runs=5, min_blocks=2, max_s=0.1, retries=0)
    monkeypatch.setattr("latency.runtimes.adb.TIMING", timing)


@needs_adb
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "typed", [("mobilenet_v3_small",), ("m.tflite", "--resolution", "64"), ("bad.tflite",)]
)
def test_measuring_leaves_nothing_on_the_phone(phone, tmp_path, monkeypatch, capsys, typed):
    """Neither the networks nor the anchor remain."""
    (tmp_path / "m.tflite").write_bytes(tflite_model((1, 1, 1, 3), signature=(1, -1, -1, 3)))
    (tmp_path / "bad.tflite").write_bytes(tflite_model((1, 8, 8, 3)))
    seen = tmp_path / "seen"
    keep = f'cp "${{word#--graph=}}" {seen}-$(wc -c <"${{word#--graph=}}")'
    program = phone.root / "bin/benchmark_model"
    program.write_text(
        BENCHMARK.replace("file=${word#--graph=};;", f"file=${{word#--graph=}}; {keep};;")
    )
    if typed[0].startswith("bad"):
        phone.faults = ["ERROR: Didn't find op\n\nkHz=\n\nmobile-nas exit status 0\n"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["nas", "measure", *typed, "--device", f"adb:{phone.serial}"])
    with pytest.raises(SystemExit) as ended:
        main()
    _, err = capsys.readouterr()
    assert ended.value.code == (2 if typed[0].startswith("bad") else 0), err
    assert not list((phone.root / "data/local/tmp").iterdir())
    if typed[0] == "m.tflite":
        pushed = [open_tflite(path, path.read_bytes(), resolution=None) for path in _models(seen)]
        assert [(model.height, model.width) for model in pushed] == [(64, 64)]


def _models(seen):
    """Copies of what `benchmark_model` was given, without the anchor."""
    copies = seen.parent.glob(f"{seen.name}-*")
    return [path for path in copies if path.stat().st_size < 2000]


def networks(number):
    return [REFERENCES["mobilenet_v3_small"](resolution=32 * (n + 1)) for n in range(number)]


@needs_adb
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("typed", ["adb:{0}+{1}", "adb:all"])
def test_several_phones_are_a_pool(connected, typed):
    phones = [connected("one"), connected("two")]
    pool = open_device(typed.format(*(phone.serial for phone in phones)))
    assert "Stand-In" in pool.device.name
    assert len(devices_of(pool)) == 2
    assert pool.device.fingerprint not in {unit.fingerprint for unit in devices_of(pool)}
    specs = networks(4)
    told = measure([pool], specs)
    assert [latency.median_ms for (latency,) in told] == pytest.approx(
        [(8 + count(spec).madds // 10_000) / 1e3 for spec in specs], rel=1e-2
    )
    for phone in phones:  # both were at work
        assert any("--graph=" in command for command in phone.commands)


@needs_adb
@pytest.mark.usefixtures("quick")
def test_a_lost_phone_is_dropped_from_its_pool(connected, caplog):
    one, two = connected("one"), connected("two")
    pool = open_device(f"adb:{one.serial}+{two.serial}")
    for member in pool._members:
        member.runtime.phone.adb_s = 2.0
    one.close()
    told = measure([pool], networks(3))
    assert [len(latencies) for latencies in told] == [1, 1, 1]
    assert [unit.name for unit in devices_of(pool)] == [pool.device.name]
    assert f"(1 left): {one.serial}" in caplog.text
    again = open_device(f"adb:{one.serial}+{two.serial}")  # as on a resume
    assert again.device == pool.device
    two.close()
    with pytest.raises(DeviceLostError, match="no device of the pool is left"):
        measure([pool], networks(5))


@needs_adb
@pytest.mark.usefixtures("quick")
def test_a_pool_needs_one_make(connected):
    one, two = connected("one"), connected("two", build="build-2")
    with pytest.raises(InputError, match="differ in Android's build or in benchmark_model"):
        open_device(f"adb:{one.serial}+{two.serial}")
    with pytest.raises(InputError, match="is in the pool twice"):
        open_device(f"adb:{one.serial}+{one.serial}")


@needs_adb
def test_a_pool_without_phones():
    with pytest.raises(InputError, match="adb sees no phone: plug one in"):
        open_device("adb:all")
    with pytest.raises(InputError, match="adb sees no phone 'A'"):
        open_device("adb:A+B")


def test_missing_adb(monkeypatch):
    monkeypatch.setenv("PATH", "/absent")
    with pytest.raises(InputError, match="adb is not installed"):
        Phone()


@pytest.mark.parametrize("serial", ["", "-s", "a b", "a;b", "$(x)"])
def test_unknown_serials(serial):
    with pytest.raises(InputError, match=r"adb sees no phone .*: it sees a"):
        select_phone({"a": "device"}, serial)


WIRELESS = "adb-4c75-lL2him (2)._adb-tls-connect._tcp"


@pytest.mark.parametrize("typed", [WIRELESS, None])
def test_a_serial_with_spaces(tmp_path, monkeypatch, typed):
    adb = tmp_path / "adb"
    adb.write_text(f"""#!/bin/sh
case $1 in devices) printf 'List of devices attached\\n{WIRELESS}\\tdevice\\n\\n'; exit;; esac
test "$2" = '{WIRELESS}' && exec sh -c "$4"
""")
    adb.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert Phone(typed).shell("echo here", timeout_s=10) == (0, "here\n\n")


@pytest.mark.parametrize(
    ("phones", "serial", "problem"),
    [
        ({}, None, "adb sees no phone: plug one in"),
        ({"a": "device", "b": "device"}, None, r"several phones \(a, b\): give one, as in adb:a"),
        ({"b (2)": "device", "c": "device"}, None, r"give one, as in 'adb:b \(2\)'$"),
        ({"a": "device"}, "c", "no phone 'c': it sees a"),
        ({"a": "offline"}, "a", "phone a is 'offline' to adb: unplug it"),
        ({"a": "no permissions (user in plugdev)"}, None, "this user may not use it"),
        ({"a": "recovery"}, None, "phone a is 'recovery' to adb$"),
    ],
)
def test_unusable_phones(phones, serial, problem):
    with pytest.raises(InputError, match=problem):
        select_phone(phones, serial)


def test_real_output_is_parsed():
    timings = (
        "Inference timings in us: Init: 17187, First inference: 3512391, Warmup (avg): 3.51239e+06"
    )
    slow = f"""count=1 curr=3512391

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=2990275 curr=2913402 min=2727568 max=3189954 avg=2.95034e+06 std=109798

{timings}, Inference (avg): 2.95034e+06
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE
"""
    assert parse_times_ms(slow, runs=50) == pytest.approx([2990.275, 2949.525], rel=1e-6)
    logged = f"""I tflite  : count=2 first=230000 curr=210000 min=210000 max=230000 avg=220000 std=10000
I tflite  : count=25 first=187533 curr=140990 min=140071 max=195121 avg=145528 std=13583 p5=1 median=2 p95=3
I tflite  : {timings}, Inference (avg): 145528
"""
    assert parse_times_ms(logged, runs=25)[1] == pytest.approx((25 * 145.528 - 187.533) / 24)
    alike = "count=3 curr=2000(all same)\nInference (avg): 2000"
    assert parse_times_ms(alike, runs=3) == [2.0, 2.0]
    newest = alike.replace("same)", "same) p5=2000 median=2000 p95=2000")
    assert parse_times_ms(newest, runs=3) == [2.0, 2.0]
    with pytest.raises(MeasurementError, match="did 3 of 9 runs"):
        parse_times_ms(alike, runs=9)


@pytest.mark.parametrize("counts", ["", "count=10 first=7500 curr=7400 min=7300 max=7500 std=9\n"])
@pytest.mark.parametrize("space", [" ", "      "])
def test_times_of_litert_are_refused(counts, space):
    printed = f"""{counts}
========== BENCHMARK RESULTS ==========
Model initialization: 12.10 ms
Inference (avg):{space}7430.20 ms (10 runs)
"""
    with pytest.raises(
        MeasurementError, match=r"a mean of 7430\.20 ms, as LiteRT's does: give TFL"
    ):
        parse_times_ms(printed, runs=10)
