"""Devices and their targets, in every form that users write them in."""

import pytest

from nas.searching.config import SearchConfig, config_yaml, load_config
from nas.searching.presets import make_config
from nas.searching.targets import aim
from search_spaces import InputError


@pytest.mark.parametrize(
    ("written", "device", "target_ms"),
    [
        ("cpu", "cpu", None),
        ("cpu=8", "cpu", 8.0),
        ("cpu=8.5", "cpu", 8.5),
        ("cpu=1e-3", "cpu", 1e-3),
        ("cpu:threads=4", "cpu:threads=4", None),
        ("cpu:threads=4=8", "cpu:threads=4", 8.0),
        ("cpu:threads=4,provider=cuda=8", "cpu:threads=4,provider=cuda", 8.0),
        ("ssh:pi,threads=4", "ssh:pi,threads=4", None),
        ("ssh:me@pi=20", "ssh:me@pi", 20.0),
        ("adb:R58M=60", "adb:R58M", 60.0),
        ("adb:127.0.0.1:5555=60", "adb:127.0.0.1:5555", 60.0),
        ("adb:R58M,benchmark=/data/b", "adb:R58M,benchmark=/data/b", None),
        ("adb:A+B,benchmark=./b=60", "adb:A+B,benchmark=./b", 60.0),
        ("table:a=b.jsonl", "table:a=b.jsonl", None),
        ("madds:10=8", "madds:10", 8.0),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_the_last_number_is_the_target(written, device, target_ms, alone):
    assert aim(written, alone=alone) == (device, target_ms)


@pytest.mark.parametrize("written", ["command:./lab --x=3", "command:./lab x=3", "toaster:level=3"])
def test_what_a_program_takes_is_left_to_it_where_it_stands_alone(written):
    assert aim(written, alone=True) == (written, None)
    assert aim(written, alone=False) == (written.removesuffix("=3"), 3.0)
    assert aim(f"{written}=60", alone=False) == (written, 60.0)


SEVERAL = {"madds:1": 8.0, "pixel1": 60.0}


@pytest.mark.parametrize(
    ("written", "targets"),
    [
        ("device: cpu", {"cpu": None}),
        ("device: cpu\ntarget_ms: 8", {"cpu": 8.0}),
        ("device: cpu=8", {"cpu": 8.0}),
        ("device: [cpu=8]", {"cpu": 8.0}),
        ("device: {cpu: 8}", {"cpu": 8.0}),
        ("device: ['madds:1=8', pixel1=60]", SEVERAL),
        ("device: {'madds:1': 8, pixel1: 60}", SEVERAL),
        ("device:\n- madds:1=8\n- pixel1=60", SEVERAL),
    ],
)
def test_all_forms_mean_the_same(tmp_path, written, targets):
    file = tmp_path / "mine.yaml"
    file.write_text(written)
    config = make_config(file=file)
    assert config.targets == targets
    assert list(config.targets) == list(targets)  # the first is what is shown first
    (tmp_path / "config.yaml").write_text(config_yaml(config))
    assert load_config(tmp_path / "config.yaml") == config


def test_one_device_is_kept_as_before():
    config = SearchConfig.model_validate({"device": ["cpu=8"]})
    assert (config.device, config.target_ms) == ("cpu", 8.0)


@pytest.mark.parametrize(
    ("written", "typed", "targets"),
    [
        ("device: cpu\ntarget_ms: 5", ["pixel1=60"], {"pixel1": 60.0}),
        ("device: cpu\ntarget_ms: 5", ["pixel1"], {"pixel1": 5.0}),
        ("target_ms: 5", ["madds:1=8", "pixel1=60"], SEVERAL),
        ("device: {cpu: 3, pixel1: 4}", ["madds:1=8", "pixel1=60"], SEVERAL),
        ("device: {cpu: 3, pixel1: 4}", ["pixel1"], {"pixel1": None}),
    ],
)
def test_what_is_typed_wins_over_the_file(tmp_path, written, typed, targets):
    (tmp_path / "mine.yaml").write_text(written)
    config = make_config(file=tmp_path / "mine.yaml", overrides={"device": typed})
    assert config.targets == targets


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"device": ["cpu=8", "pixel1"]}, "device pixel1 has no target: .* as in pixel1=8"),
        ({"device": ["cpu=8", "cpu:threads=4"]}, "device cpu:threads=4 has no target"),
        ({"device": {"cpu": 8, "pixel1": None}}, "device pixel1 has no target"),
        ({"device": ["cpu=8", "cpu=9"]}, "device cpu is given twice"),
        ({"device": ["cpu=8", "pixel1=60"], "target_ms": 5.0}, "target_ms 5 cannot apply to 2"),
        ({"device": "cpu=8", "target_ms": 8.0}, "device cpu has two targets, 8 and target_ms 8"),
        ({"device": ["madds:1", "toaster"], "target_ms": 5.0}, "unknown device 'toaster': known"),
        ({"device": "cpu=soon"}, "device 'cpu=soon': 'soon' is not a time in milliseconds"),
        ({"device": "cpu=0"}, "target of device cpu must be above 0 ms, got 0"),
        ({"device": "cpu=-3"}, "must be above 0 ms, got -3"),
        ({"device": "cpu=nan"}, "must be above 0 ms, got nan"),
        ({"device": {"cpu": "8"}}, "must be above 0 ms, got '8'"),
        ({"device": {"cpu": True}}, "must be above 0 ms, got True"),
        ({"device": []}, r"device must be one, a list of them, .* got \[\]"),
        ({"device": 5}, "got 5: give"),
        ({"device": [5]}, r"got \[5\]: give"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_line(settings, problem):
    with pytest.raises(InputError, match=problem) as caught:
        make_config(overrides=settings)
    assert "\n" not in str(caught.value)


def test_several_devices_of_a_file_leave_no_room_for_one_target(tmp_path):
    (tmp_path / "mine.yaml").write_text("device: {cpu: 3, pixel1: 4}")
    with pytest.raises(InputError, match="target_ms 5 cannot apply to 2 devices"):
        make_config(file=tmp_path / "mine.yaml", overrides={"target_ms": 5.0})
