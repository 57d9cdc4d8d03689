"""The command that is told last works when it is pasted, whatever the folders are called."""

import json
import re
import shlex

import pytest

from tests.nas.cli.test_commands import QUICK, config  # noqa: F401  a fixture

NAMES = ['it\'s a "b" `c` $HOME']


def told(err, label):
    """The words of the command behind a label, as a shell splits them."""
    (line,) = re.findall(rf"^{label}: (.+)$", err, flags=re.MULTILINE)
    return shlex.split(line)


@pytest.mark.parametrize("name", NAMES)
def test_of_a_search(nas, nas_search, photos, config, tmp_path, name):  # noqa: F811
    common = ("--data", photos, "--config", config, *QUICK)
    code, _, err = nas_search(*common, "--runs", "-my runs", "--run-name", name)
    assert code == 0, err
    words = told(err, "next")
    assert words[-2:] == ["show", f"./-my runs/{name}/best.yaml"]
    assert nas(*words[-2:])[0] == 0
    # A second run replaces the first one's copies, and says so.
    code, _, err = nas_search(*common, "--runs", "-my runs", "--run-name", "next")
    assert code == 0, err
    said = " ".join(err.split())
    assert f"now come from run next (was run {name})" in said
    code, _, err = nas("train", "./-my runs/seed.pt", "--data", photos, "--epochs", 0.2, "--batch-size",
                       16, "-o", "my net.pt")  # fmt: skip
    assert code == 0, err
    assert err.count("from run next") == 1
    assert told(err, "next")[-2:] == ["export", "my net.pt"]
    assert (tmp_path / "my net.pt").is_file()


def test_of_an_interrupted_search(nas_search, photos, config, tmp_path, monkeypatch):  # noqa: F811
    from nas.engine.job import attempt

    def dies(evaluate, job):
        if job.index == 2:
            raise KeyboardInterrupt
        return attempt(evaluate, job)

    monkeypatch.setattr("nas.engine.runner.attempt", dies)
    common = ("--data", photos, "--config", config, *QUICK)
    code, _, err = nas_search(*common, "--runs", "my runs", "--run-name", "it's one")
    assert code == 130
    words = told(err, "to resume")
    assert words[-2:] == ["--resume", "my runs/it's one"]
    monkeypatch.setattr("nas.engine.runner.attempt", attempt)
    code, out, err = nas_search(*words[-2:], "--json")
    assert code == 0, err
    assert json.loads(out)["run"] == "my runs/it's one"
    assert "test accuracy: " in err
    assert "scored the test images before" not in err
    code, _, err = nas_search(*words[-2:])
    assert code == 0, err
    assert "this run had scored the test images before" in err


def test_of_a_name_that_is_taken(nas_search, photos, config):  # noqa: F811
    common = ("--data", photos, "--config", config, *QUICK, "--run-name", "my run")
    assert nas_search(*common)[0] == 0
    code, _, err = nas_search(*common)
    assert code == 2
    assert "resume it with --resume 'runs/my run'" in err


@pytest.mark.parametrize("name", NAMES)
def test_of_netadapt(nas, netadapt, seed, photos, tmp_path, name):
    quick = ("--device", "madds:1", "--finetune-steps", 1, "--batch-size", 16, "--workers", 0)
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.85, *quick, "--final", "none")
    code, _, err = netadapt(*common, "--run-name", name)
    assert code == 0, err
    words = told(err, "next")
    assert words[-2:] == ["show", f"runs/{name}/adapted.yaml"]
    assert nas(*words[-2:])[0] == 0
    assert f"runs/adapted.yaml: from run {name}" in nas("show", "runs/adapted.yaml")[2]
    code, _, err = netadapt(*common, "--run-name", "next")
    assert f"(was run {name})" in " ".join(err.split())


def test_of_a_target_that_no_widths_reach(netadapt, seed, photos):
    common = ("--seed", seed, "--data", photos, "--device", "madds:1", "--workers", 0, "--dry-run",
              "--batch-size", 16)  # fmt: skip
    code, _, err = netadapt(*common, "--target-ms", 1e-6)
    assert code == 2
    (suggested,) = re.findall(r"give --target-ms ([\d.]+)", err)
    assert netadapt(*common, "--target-ms", suggested)[0] == 0


def test_of_networks(nas, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my nets").mkdir()
    assert nas("improve", "mobilenet_v2", "-o", "my nets/it's.yaml")[0] == 0
    code, _, err = nas("improve", "my nets/it's.yaml", "-o", "my nets/new.yaml", "--hswish-from", 8)
    first, second = (shlex.split(line.removeprefix("next: ")) for line in err.splitlines()[-2:])
    assert code == 0
    assert first[-3:] == ["show", "my nets/it's.yaml", "my nets/new.yaml"]
    assert second[-4:] == ["train", "my nets/new.yaml", "--data", "DIR"]
    code, _, err = nas("evaluate", "my nets/new.yaml", "--data", "my data")
    assert code == 2
    assert "nas train 'my nets/new.yaml' --data 'my data'" in err
