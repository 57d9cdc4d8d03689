"""`nas improve`: what each step does, what is written, and what is refused."""

import json
import shutil
from dataclasses import replace

import pytest

from latency import Device, Latency, MeasurementError
from search_spaces import REFERENCES, count, load_space
from search_spaces.spec import load, save

UNIMPROVED = "mobilenet_v3_large_unimproved"
ALL_OFF = ["--no-last-stage", "--no-stem", "--no-hswish", "--no-squeeze-excite"]


@pytest.fixture(autouse=True)
def _in_an_own_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_the_published_network_comes_out(nas, tmp_path):
    code, out, err = nas("improve", UNIMPROVED)
    written = tmp_path / f"{UNIMPROVED}-improved.yaml"
    assert code == 0
    assert load(written) == REFERENCES["mobilenet_v3_large"]()
    assert f"next: nas show {UNIMPROVED} {written.name}" in err
    assert f"nas train {written.name} --data DIR" in err
    assert "train it from scratch" in err
    assert "5,483,032" in out  # torchvision's
    code, _, _ = nas(
        "improve", "mobilenet_v3_small_unimproved", "--hswish-from", 40, "-o", "s.yaml"
    )
    assert code == 0
    assert load(tmp_path / "s.yaml") == REFERENCES["mobilenet_v3_small"]()


def test_every_step_says_what_it_saves(nas):
    _, out, _ = nas("improve", UNIMPROVED, "--json")
    document = json.loads(out)
    madds = [step["madds"] for step in document["steps"]]
    params = [step["params"] for step in document["steps"]]
    assert [step["step"] for step in document["steps"]] == [
        None, "last stage", "stem", "h-swish from 80", "squeeze-excite",
    ]  # fmt: skip
    # Figure 5 of the paper: the depthwise layer, the projection and the 1x1 convolution on 49 pixels go,
    # the same convolution on one pixel comes.
    assert madds[0] - madds[1] == 49 * (9 * 960 + 960 * 320 + 320 * 1280) - 960 * 1280
    # 16 filters of 3x3x3 on 112x112, and as many channels of the first block: 3x3, and 1x1 to 16.
    assert madds[1] - madds[2] == 112**2 * (16 * 27 + 16 * 9 + 16 * 16)
    assert (madds[3], params[3]) == (madds[2], params[2])
    # Weights and biases of the wider bottlenecks, from a quarter of the input to one of the expansion.
    widths = [(72, 6, 24), (120, 10, 32), (120, 10, 32), (480, 20, 120), (672, 28, 168)]
    widths += [(672, 28, 168), (960, 40, 240), (960, 40, 240)]
    assert params[4] - params[3] == sum((2 * exp + 1) * (new - old) for exp, old, new in widths)
    assert document["fingerprint"] == REFERENCES["mobilenet_v3_large"]().fingerprint
    assert document["spec"]["stem"]["out"] == 16


def test_the_table_has_a_row_a_step(nas):
    _, out, _ = nas("improve", UNIMPROVED)
    rows = {line.split("  ")[0]: line.split() for line in out.splitlines()}
    assert rows["before"][1:] == ["3,730,094", "260.1M"]
    assert rows["last stage"][2:] == ["4,229,614", "+499.5k", "225.8M", "-34.32M"]
    assert rows["stem"][1:] == ["4,228,718", "-896", "215.3M", "-10.44M"]
    assert rows["h-swish from 80"][3:] == ["4,228,718", "215.3M"]
    assert max(map(len, out.splitlines())) <= 80


def test_a_step_that_cannot_be_applied_says_why(nas, tmp_path):
    code, out, _ = nas("improve", "mobilenet_v1")
    assert code == 0
    assert "the head has no 1x1 convolution to move" in " ".join(out.split())
    assert load(tmp_path / "mobilenet_v1-improved.yaml").stem.out == 16
    _, out, _ = nas("improve", "mobilenet_v1", "--json", "-o", "again.yaml")
    steps = {step["step"]: step for step in json.loads(out)["steps"]}
    assert not steps["last stage"]["applied"]
    assert "no 1x1 convolution" in steps["last stage"]["reason"]
    assert steps["stem"]["applied"]
    assert steps["squeeze-excite"]["reason"] == "changes nothing here"


def test_single_improvements(nas, tmp_path):
    before = REFERENCES["mnasnet_a1"]()

    def improved(*options):
        assert nas("improve", "mnasnet_a1", *options, "-o", "x.yaml")[0] == 0
        return load(tmp_path / "x.yaml")

    only_stem = improved("--no-last-stage", "--no-hswish", "--no-squeeze-excite")
    assert only_stem.stem == replace(before.stem, out=16)  # ReLU still: no h-swish was asked for
    assert only_stem.blocks[1:] == before.blocks[1:]
    only_excite = improved("--no-last-stage", "--no-hswish", "--no-stem")
    assert (only_excite.stem, only_excite.head) == (before.stem, before.head)
    assert {block.gate for block in only_excite.blocks if block.se} == {"hsigmoid"}
    only_hswish = improved(
        "--no-last-stage", "--no-stem", "--no-squeeze-excite", "--hswish-from", 1
    )
    assert {block.act for block in only_hswish.blocks} == {"hswish"}
    assert only_hswish.stem == before.stem


def test_a_narrow_stem_is_not_widened(nas, tmp_path):
    assert nas("improve", "mnasnet_small", "-o", "x.yaml")[0] == 0
    stem = load(tmp_path / "x.yaml").stem
    assert (stem.out, stem.act) == (8, "hswish")


def test_latencies_are_told_and_estimates_named(nas):
    _, out, _ = nas("improve", UNIMPROVED, "--device", "madds:10")
    assert "an estimate, not measured: estimate at 10 G MAdds/s" in out
    assert "95% interval" not in out
    _, out, _ = nas("improve", UNIMPROVED, "--device", "madds:10", "--json", "-o", "again.yaml")
    steps = json.loads(out)["steps"]
    assert [step["latency"]["median_ms"] for step in steps] == pytest.approx(
        [step["madds"] / 10e6 for step in steps]
    )
    assert all(step["latency"]["estimate"] for step in steps)


class Phone:
    """A device that tells an interval, cannot run h-swish, and finds the unimproved network unstable."""

    device = Device("a phone", "phone-1")

    def latency(self, spec):
        if spec.blocks[-1].act == "hswish":
            raise MeasurementError("no h-swish here")
        ms = count(spec).madds / 1e7
        stable = spec.head.hidden > 0
        return Latency(
            ms, (ms - 0.5, ms + 0.5), ms - 1, ms + 1, 40, "a phone", "phone-1", False, stable
        )


def test_a_measured_latency_has_its_interval(nas, monkeypatch):
    monkeypatch.setattr("nas.cli.commands.improve.open_device", lambda name: Phone())
    code, out, _ = nas("improve", "mobilenet_v2", "--no-hswish", "--device", "phone")
    rows = {line.split("  ")[0]: line for line in out.splitlines()}
    assert code == 0
    assert "30.1  29.6 to 30.6  unstable" in rows["before"]
    assert "26.6  26.1 to 27.1" in rows["last stage"]
    assert "unstable" not in rows["last stage"]
    assert "measured: a phone, batch 1" in out


def test_a_network_that_the_device_cannot_run_is_not_written(nas, tmp_path, monkeypatch):
    monkeypatch.setattr("nas.cli.commands.improve.open_device", lambda name: Phone())
    code, out, err = nas("improve", "mobilenet_v2", "--device", "phone")
    assert (code, out) == (2, "")
    assert err.strip().endswith("cannot be measured on phone: no h-swish here")
    assert not list(tmp_path.glob("*.yaml"))


def test_it_applies_to_what_a_search_found(nas, tmp_path, random_tokens):
    space = load_space("mnasnet", resolution=64, classes=4)
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    found = space.decode(random_tokens(space.arities, 3))
    save(found, run / "best.yaml")
    assert nas("improve", run)[0] == 0
    improved = load(run / "best-improved.yaml")
    assert improved != found
    assert count(improved).madds < count(found).madds
    assert improved.stem.out == 16
    shutil.copy(run / "best.yaml", tmp_path / "mine.yml")
    assert nas("improve", "mine.yml")[0] == 0
    assert load(tmp_path / "mine-improved.yaml") == improved


def test_it_does_not_write_over_what_it_made(nas, tmp_path):
    path = tmp_path / "mobilenet_v2-improved.yaml"
    path.write_text("mine")
    code, _, err = nas("improve", "mobilenet_v2")
    assert code == 2
    assert "mobilenet_v2-improved.yaml exists" in err
    assert path.read_text() == "mine"


def test_a_multiplier_stays_out_of_the_file_name(nas, tmp_path):
    _, _, err = nas("improve", "mobilenet_v2@0.75")
    assert (tmp_path / "mobilenet_v2-0.75-improved.yaml").is_file()
    assert "nas show mobilenet_v2@0.75 mobilenet_v2-0.75-improved.yaml" in err
    assert nas("show", "mobilenet_v2@0.75", "mobilenet_v2-0.75-improved.yaml")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nope"], "no network 'nope'"),
        (["absent.yaml"], "absent.yaml"),
        (["mobilenet_v2", "--hswish-from", "0"], "hswish-from must be at least 1, got 0"),
        (["mobilenet_v2", "--hswish-from", "many"], "'--hswish-from'"),
        (["mobilenet_v2", "--hswish-from", "80", "--no-hswish"], "exclude each other"),
        (["mobilenet_v2", *ALL_OFF], "every improvement is switched off"),
        (["mobilenet_v3_large"], "no improvement applies to mobilenet_v3_large"),
        (["mobilenet_v2", "-o", "no/such/x.yaml"], "no folder no/such"),
        (["mobilenet_v2", "-o", "x.onnx"], "must end in .yaml, got x.onnx"),
        (["net.yaml", "-o", "./net.yaml"], "is the input file"),
        (["mobilenet_v2", "--device", "toaster"], "unknown device 'toaster'"),
        (["mobilenet_v2", "--device", "madds:x"], "got 'x'"),
        ([], "Missing argument"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(nas, tmp_path, arguments, reason):
    save(REFERENCES["mobilenet_v2"](), tmp_path / "net.yaml")
    before = (tmp_path / "net.yaml").read_bytes()
    code, out, err = nas("improve", *arguments)
    assert (code, out) == (2, "")
    assert reason in err
    assert len(err.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["net.yaml"]
    assert (tmp_path / "net.yaml").read_bytes() == before
