"""A search on several devices, and on one that is lost, as its user meets them."""

import json

import pytest

from latency import Device, DeviceLostError, Latency
from latency.devices import DEVICES, Kind
from search_spaces import count


@pytest.fixture
def config(tmp_path, searched_space):
    path = tmp_path / "config.yaml"
    path.write_text(
        f"space: {searched_space}\nresolution: 32\ntrials: 6\nbatch_size: 2\n"
        "recipe: {steps: 3, batch_size: 16}\n"
        "finals: {count: 1, epochs_factor: 2, repeats: 1}\nschedule: {workers: 0}\n"
    )
    return path


@pytest.fixture
def lab(monkeypatch):
    """`--device lab`: another machine, which is lost after `lives` latencies."""

    class Lab:
        device = Device("a board, 1 thread", "lab-1")
        lives = 10**6

        def latency(self, spec):
            if self.lives == 0:
                raise DeviceLostError("the board does not answer")
            type(self).lives -= 1
            return Latency.exactly(count(spec).madds / 1e6, self.device)

    monkeypatch.setitem(DEVICES, "lab", Kind(lambda _: Lab(), "lab", "a board"))
    return Lab


def lines(path):
    return [{k: v for k, v in json.loads(line).items() if k != "time"} for line in path.open()]


TWO = ("--device", "madds:1=2", "--device", "pixel1=3")


def test_a_search_on_two_devices(nas, nas_search, photos, config, tmp_path):
    command = (*TWO, "--data", photos, "--config", config)
    code, out, err = nas_search(*command, "--run-name", "two", "--json")
    assert code == 0, err
    shown = " ".join(err.split())
    assert "device not measured: estimate at 1 G MAdds/s" in shown
    assert "device not measured: Pixel 1, estimate from published TFLite figures" in shown
    assert "target 2.00 ms" in shown
    assert "target 3.00 ms" in shown
    assert "ms (estimate) on estimate at 1 G MAdds/s and" in shown
    folder, result = tmp_path / "runs" / "two", json.loads(out)
    medians = [result["latency"]["median_ms"], result["other_latencies"][0]["median_ms"]]
    assert result["other_targets_ms"] == [3.0]
    assert result["within_target"] == (medians[0] <= 2 and medians[1] <= 3)
    log = lines(folder / "trials.jsonl")
    assert all(len(line["other_latencies"]) == 1 for line in log)
    assert "other_latencies" in (folder / "result.json").read_text()
    assert "Pixel 1" in (folder / "best.yaml").read_text()
    assert "latency_2_ms" in (folder / "pareto.csv").read_text()
    assert 'id="scatter-2"' in (folder / "report.html").read_text()
    assert nas("show", folder)[0] == 0
    code, out, _ = nas("report", folder, "--json")
    assert json.loads(out)["other_targets_ms"] == [3.0]
    # Gone on with from any of its lines, it is the same.
    content = (folder / "trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "trials.jsonl").write_text("".join(content[:3]))
    (folder / "finals.jsonl").unlink()
    code, out, err = nas_search("--resume", folder, "--json")
    assert code == 0, err
    assert json.loads(out) | {"run": result["run"]} == result
    assert lines(folder / "trials.jsonl") == log


def test_a_target_may_stand_with_its_device(nas_search, photos, config):
    command = ("--data", photos, "--config", config, "--dry-run", "--json", "--device")
    _, typed, _ = nas_search(*command, "madds:1=2")
    _, apart, _ = nas_search(*command, "madds:1", "--target-ms", 2)
    del (first := json.loads(typed))["expected_s"], (second := json.loads(apart))["expected_s"]
    assert first == second
    assert first["target_ms"] == 2
    assert first["other_devices"] == []


def test_the_plan_tells_of_each_device(nas_search, photos, config):
    options = ("--data", photos, "--config", config, "--space", "mnasnet", "--device", "pixel1=3",
               "--dry-run", "--json")  # fmt: skip
    code, out, err = nas_search(*options, "--device", "madds:1=900")
    assert code == 0, err
    document = json.loads(out)
    assert document["target_binds"]
    assert document["device"].startswith("Pixel 1")
    (other,) = document["other_devices"]
    assert (other["target_ms"], other["target_binds"], other["estimate"]) == (900, False, True)
    assert other["fastest_ms"] < other["slowest_ms"] < 900
    said = " ".join(err.split())
    assert "every sampled network is under 900 ms here: try --device madds:1=" in said


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        (["madds:1=2", "pixel1"], "device pixel1 has no target"),
        (["madds:1=2", "madds:1=3"], "device madds:1 is given twice"),
        (["madds:1=2", "madds:1.0=3"], "estimate at 1 G MAdds/s is given twice"),
        (["madds:1=2", "toaster=3"], "unknown device 'toaster'"),
        (["madds:1=0"], "target of device madds:1 must be above 0 ms, got 0"),
        (["pixel1=soon"], "'soon' is not a time"),
        (["adb:all=60", "cpu=8"], "adb"),
    ],
)
def test_bad_devices_are_one_line(nas_search, config, tmp_path, monkeypatch, typed, reason):
    monkeypatch.setenv("PATH", "/absent")  # without adb
    code, out, err = nas_search("--config", config, *(f"--device={d}" for d in typed))
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert reason in err
    assert not (tmp_path / "runs").exists()


def test_one_target_for_two_devices_is_refused(nas_search, config):
    code, _, err = nas_search("--config", config, *TWO, "--target-ms", 5)
    assert code == 2
    assert "target_ms 5 cannot apply to 2 devices: give each its own, as in madds:1=5" in err


@pytest.mark.parametrize("beside", [(), ("--device", "pixel1=3")])
@pytest.mark.slow
def test_a_lost_device_stops_the_search_which_goes_on_when_it_is_back(
    nas_search, photos, config, tmp_path, lab, beside
):
    command = ("--data", photos, "--config", config, "--device", "lab=2", *beside)
    assert nas_search(*command, "--run-name", "whole")[0] == 0
    # By another fingerprint, since its readings are in the cache. Ten are of the plan.
    lab.device = Device("a board, 1 thread", "lab-2")
    lab.lives = 10 + 3
    code, _, err = nas_search(*command, "--run-name", "part")
    assert code == 1
    last = err.strip().splitlines()[-1]
    assert last.startswith("nas-search: the device is lost (the board does not answer)")
    assert "resume" in last
    assert "Traceback" not in err
    folder = tmp_path / "runs" / "part"
    assert "to resume: " in err
    assert f"nas-search --resume {folder.relative_to(tmp_path)}" in err
    assert (
        len(lines(folder / "trials.jsonl")) == 2
    )  # the batches that were whole, and no failed trial
    assert nas_search("--resume", folder)[0] == 1  # it is still away
    lab.lives = 10**6
    code, _, err = nas_search("--resume", folder)
    assert code == 0, err
    for log in ("trials.jsonl", "finals.jsonl"):
        resumed = (folder / log).read_text().replace("lab-2", "lab-1")
        (folder / log).write_text(resumed)
        assert lines(folder / log) == lines(tmp_path / "runs" / "whole" / log)


@pytest.mark.slow
def test_a_run_of_before_there_were_several_devices_goes_on(nas_search, photos, config, tmp_path):
    command = ("--data", photos, "--config", config, "--device", "madds:1", "--target-ms", 2)
    assert nas_search(*command, "--run-name", "one")[0] == 0
    folder = tmp_path / "runs" / "one"
    assert "other_latencies" not in (folder / "trials.jsonl").read_text()
    assert "device: madds:1\ntarget_ms: 2.0\n" in (folder / "config.yaml").read_text()
    facts = json.loads((folder / "run.json").read_text())
    del facts["other_devices"], facts["device"]["make"]
    (folder / "run.json").write_text(json.dumps(facts))
    whole = lines(folder / "trials.jsonl")
    content = (folder / "trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "trials.jsonl").write_text("".join(content[:3]))
    (folder / "finals.jsonl").unlink()
    code, _, err = nas_search("--resume", folder)
    assert code == 0, err
    assert lines(folder / "trials.jsonl") == whole
