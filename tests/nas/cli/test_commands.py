"""The commands as their users meet them: documents on standard output, one line when something is wrong."""

import json
import re
import subprocess
import sys

import numpy as np
import onnxruntime as ort
import pytest
import torch
from PIL import Image

from latency import Device, Latency
from nas.cli.search.plan_lines import Prospect
from nas.cli.search.planning import _apart, first_lesson
from nas.engine.folder.publishing import run_of
from nas.formatting import three_digits
from nas.searching.config import load_config
from nas.searching.planning.forecast import Span
from nas.searching.presets import make_config
from search_spaces import REFERENCES
from search_spaces.spec import save

QUICK = [
    "--from-scratch",
    "--device",
    "madds:1",
    "--target-ms",
    "2",
    "--resolution",
    "32",
    "--workers",
    "0",
]


@pytest.fixture
def config(tmp_path, searched_space):
    path = tmp_path / "config.yaml"
    path.write_text(
        f"space: {searched_space}\ntrials: 4\nbatch_size: 2\nrecipe: {{steps: 6, batch_size: 16}}\n"
        "finals: {count: 1, epochs_factor: 2, repeats: 1}\n"
    )
    return path


def test_show_prints_a_spec_with_its_cost(nas, tmp_path):
    save(REFERENCES["mobilenet_v3_small"](), tmp_path / "net.yaml")
    code, out, _ = nas("show", tmp_path / "net.yaml", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["params"] == 2_542_856
    assert document["madds"] == 56_510_400
    code, out, _ = nas("show", "mobilenet_v3_small", "--resolution", 128)
    assert "19.8M MAdds at 128 px" in out
    assert "bneck, 5x5" in out


def test_measure_prints_latencies(nas):
    code, out, _ = nas("measure", "mobilenet_v2", "mnasnet_a1", "--device", "madds:2", "--json")
    first, second = json.loads(out)
    assert code == 0
    assert first["median_ms"] == pytest.approx(300.774272 / 2)
    assert set(first) >= {"median_ms", "ci95_ms", "device", "estimate"}
    assert second["name"] == "mnasnet_a1"
    code, out, _ = nas("measure", "mobilenet_v3_small", "--resolution", 32, "--no-cache")
    assert code == 0
    assert "ONNX Runtime" in out


def test_a_search_from_images_to_files_that_work(nas, nas_search, photos, config, tmp_path):
    code, out, err = nas_search(
        *QUICK, "--data", photos, "--config", config, "--run-name", "one", "--json", "--verbose"
    )
    assert code == 0, err
    result = json.loads(out)
    folder = tmp_path / "runs" / "one"
    for name in (
        "config.yaml", "trials.jsonl", "pareto.csv", "best.yaml", "best.onnx", "seed.pt", "report.html",
    ):  # fmt: skip
        assert (folder / name).stat().st_size > 0
    for name in ("seed.pt", "best.yaml"):  # those of the newest run, which they name
        copy = tmp_path / "runs" / name
        assert run_of(copy) == "one"
        assert (
            json.loads(nas("show", copy, "--json")[1])["spec"]
            == json.loads(nas("show", folder / name, "--json")[1])["spec"]
        )
        assert f"{copy}: from run one" in nas("show", copy)[2]
        assert "from run" not in nas("show", folder / name)[2]
    assert list((folder / "tensorboard").glob("events.*"))
    assert "estimate" in err
    assert "MobileNetV3-Large" in err
    said = " ".join(err.split())
    assert "How: " in said
    assert "screened REINFORCE" in said
    assert result["within_target"] == (result["latency"]["median_ms"] <= 2)
    # The seed is data, not code, and computes what the ONNX file computes.
    content = torch.load(folder / "seed.pt", weights_only=True)
    assert content["usage"]["classes"] == ("dark", "light")
    images = np.random.default_rng(1).random((1, 3, 32, 32), dtype=np.float32)
    session = ort.InferenceSession(folder / "best.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"image": images})
    from nas.checkpoints.checkpoint import load_checkpoint

    with torch.inference_mode():
        expected = load_checkpoint(folder / "seed.pt").network()(torch.from_numpy(images)).numpy()
    assert np.allclose(logits, expected, atol=1e-4)
    # Everything else takes what a run leaves.
    assert nas("show", folder / "seed.pt", "--json")[0] == 0
    assert nas("show", folder)[0] == 0
    code, out, _ = nas("export", folder / "seed.pt", "--onnx", "-o", tmp_path / "x.onnx", "--json")
    assert json.loads(out)["largest_difference"] < 1e-4
    code, out, _ = nas("report", folder, "--json")
    assert json.loads(out)["trial"] == result["trial"]
    # A finished run resumes to the same result, and nothing trains.
    before = (folder / "trials.jsonl").read_bytes()
    code, out, err = nas_search("--resume", folder, "--workers", "0", "--json")
    assert code == 0, err
    assert json.loads(out) | {"run": result["run"]} == result
    assert (folder / "trials.jsonl").read_bytes() == before
    assert nas_search("--resume", folder, "--trials", "9")[0] == 2


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(nas_search, photos, config, tmp_path):
    dry = ("--config", config, "--space", "mnasnet", "--dry-run", "--verbose")
    code, _, err = nas_search(*QUICK, "--data", photos, *dry)
    assert code == 0
    assert "measuring the latency range of the space" in err
    assert "--target-ms changes it" not in err
    assert "2.8e+18 networks" in err
    assert "cost" in err
    assert not (tmp_path / "runs").exists()
    code, out, _ = nas_search(*QUICK, "--data", photos, "--config", config, "--dry-run", "--json")
    document = json.loads(out)
    assert document["target_ms"] == 2
    assert document["fastest_ms"] < document["slowest_ms"]
    assert set(document["references_ms"]) == {"mobilenet_v3_large", "mobilenet_v3_small"}


def test_what_a_user_may_not_have_meant_is_pointed_out(nas_search, photos, config):
    options = [*QUICK, "--data", photos, "--config", config, "--dry-run"]
    _, _, err = nas_search(*options, "--batch-size", 4)
    assert "the screened controller proposes 12 trials before it uses a result" in " ".join(
        err.split()
    )
    assert "a trial trains for only 6 steps" in " ".join(err.split())


@pytest.mark.parametrize(
    ("controller", "trials"),
    [
        ("uniform", None),
        ("screened", 10),
        ({"name": "screened", "options": {"warmup": 11}}, 20),
        ("rnn", 20),
        ("evolution", 20),
        ({"name": "mine", "options": {"warmup": "slow"}}, 10),
    ],
)
def test_how_many_trials_no_result_decides(controller, trials):
    assert first_lesson(make_config(overrides={"controller": controller})) == trials


def test_an_interrupted_run_refuses_other_images(nas_search, photos, config, tmp_path):
    command = [*QUICK, "--data", photos, "--config", config, "--run-name", "one"]
    assert nas_search(*command)[0] == 0
    folder = tmp_path / "runs" / "one"
    (photos / "light" / "3.png").unlink()
    log = (folder / "trials.jsonl").read_bytes()
    code, _, err = nas_search("--resume", folder)
    assert code == 2
    assert "one: 1 image was removed from train (light) since the run began" in err.splitlines()[-1]
    assert (folder / "trials.jsonl").read_bytes() == log
    assert "4 of 4 trials done, and 2 final tr" in " ".join(err.split())


@pytest.mark.slow
def test_a_dry_run_of_a_resumed_search_trains_nothing(nas_search, photos, config, tmp_path):
    command = [*QUICK, "--data", photos, "--config", config, "--run-name", "one"]
    assert nas_search(*command)[0] == 0
    folder = tmp_path / "runs" / "one"
    log = folder / "trials.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:2]))
    before = log.read_bytes()
    code, _, err = nas_search("--resume", folder, "--dry-run")
    assert code == 0
    assert "2 of 4 trials done" in " ".join(err.split())
    assert log.read_bytes() == before
    code, _, err = nas_search("--resume", folder)
    assert code == 0
    assert "the rest took" in " ".join(err.split())


def test_what_comes_later_wins(nas_search, photos, config):
    config.write_text(config.read_text() + "budget_s: 300\n")
    options = [*QUICK, "--data", photos, "--config", config, "--dry-run", "--verbose"]
    assert "as many trials as fit 5 min" in " ".join(nas_search(*options)[2].split())
    assert "4 trials in batches" in " ".join(nas_search(*options, "--trials", "4")[2].split())


def test_a_file_is_not_blamed_for_what_was_typed(nas_search, photos, config):
    options = [*QUICK, "--data", photos, "--config", config, "--dry-run"]
    code, _, err = nas_search(*options, "--trials", "0")
    assert code == 2
    assert err == "nas-search: settings: trials: must be greater than 0, got 0\n"
    config.write_text("trials: 0\n")
    code, _, err = nas_search(*options)
    assert code == 2
    assert f"{config}: trials: must be greater than 0" in " ".join(err.split())


@pytest.mark.parametrize("controller", ["screened", "evolution"])
@pytest.mark.slow
def test_how_latency_is_guessed_is_found_anew(nas_search, photos, config, tmp_path, controller):
    """Laws that a file brings along were of another search's device."""
    config.write_text(
        config.read_text() + "latency_warmup: {laws: [{scale_ms: 1000.0, power: 100.0}]}\n"
    )
    options = [
        *QUICK,
        "--data",
        photos,
        "--config",
        config,
        "--controller",
        controller,
        "--verbose",
    ]
    code, _, err = nas_search(*options, "--run-name", "one")
    assert code == 0, err
    laws = load_config(tmp_path / "runs/one/config.yaml").latency_warmup.laws
    if controller == "evolution":
        assert laws == ()
        assert "kept near the target" not in err
    else:
        assert laws[0].power == pytest.approx(1.0)  # the device's latency is its multiply-adds
        assert (
            "candidates are kept near the target by their MAdds (typical error 0% here)"
            in " ".join(err.split())
        )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("{law: []}", "unknown key 'latency_warmup.law'"),
        ("{laws: [{scale_ms: -1.0, power: 1.0}]}", "must be greater than 0, got -1.0"),
        ("{laws: [{scale_ms: 1.0, power: .nan}]}", "got nan"),
        ("near", "latency_warmup: expected keys and values, got 'near'"),
    ],
)
def test_a_warm_up_that_cannot_be(nas_search, photos, config, given, reason):
    config.write_text(config.read_text() + f"latency_warmup: {given}\n")
    code, out, err = nas_search(*QUICK, "--data", photos, "--config", config, "--dry-run")
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert reason in err


def test_a_run_that_never_began_leaves_its_name_free(
    nas_search, photos, config, tmp_path, monkeypatch
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    command = [*QUICK, "--data", photos, "--config", config, "--run-name", "one"]
    monkeypatch.setattr("nas.engine.runner.attempt", interrupted)
    assert nas_search(*command)[0] == 130
    assert not (tmp_path / "runs" / "one").exists()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)


def test_an_unfinished_run_has_no_network_yet(nas, tmp_path):
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "trials.jsonl").touch()
    code, _, err = nas("show", tmp_path / "half")
    assert code == 2
    assert "has no result yet: resume it with the same call in Python" in err
    (tmp_path / "half" / "config.yaml").touch()
    assert (
        "has no result yet: resume it with nas-search --resume" in nas("show", tmp_path / "half")[2]
    )


def test_kept_readings_are_said_to_be(nas):
    _, _, err = nas("measure", "mobilenet_v3_small", "--resolution", 32)
    assert "measured earlier" not in err
    # An unstable reading is not kept, and a test cannot ask a machine to be quiet.
    if "unstable" not in err:
        assert "cached reading" in nas("measure", "mobilenet_v3_small", "--resolution", 32)[2]


def test_an_estimate_has_no_interval(nas):
    code, out, _ = nas("measure", "mobilenet_v2", "--device", "madds:2")
    assert code == 0
    assert "an estimate, not measured" in out
    assert "95%" not in out


def test_controllers_may_be_named_alone_and_files_may_be_empty(
    nas_search, photos, config, tmp_path
):
    short = tmp_path / "short.yaml"
    short.write_text(config.read_text() + "controller: evolution\n")
    options = [*QUICK, "--data", photos, "--dry-run", "--verbose", "--config"]
    code, _, err = nas_search(*options, short)
    assert code == 0
    assert "evolution controller, 4 trials" in " ".join(err.split())
    short.write_text("# nothing\n")
    # The recipe's default, for 60 images.
    assert "batch_size (set it with --config) is 128" in nas_search(*options, short)[2]
    short.write_text("recipe: fast\n")
    assert "recipe: expected keys and values, got 'fast'" in nas_search(*options, short)[2]


def test_where_an_estimate_guesses_the_plan_says_so(nas_search, photos, config):
    options = ["--data", photos, "--config", config, "--dry-run", "--json", "--workers", "0"]
    _, out, err = nas_search(*options, "--device", "pixel1")
    assert "MobileNetV3-Large's latency; --target-ms changes it" in " ".join(err.split())
    (warning,) = [w for w in json.loads(out)["warnings"] if "extrapolates" in w]
    assert warning.startswith("pixel1 extrapolates for ")
    assert "Note: pixel1 extrapolates" in " ".join(err.split())
    _, out, _ = nas_search(*options, "--device", "madds:10")
    assert "extrapolates" not in out


def test_a_target_that_does_not_bind_is_pointed_out(nas_search, photos, config):
    options = ["--data", photos, "--config", config, "--dry-run", *QUICK, "--target-ms"]
    _, _, err = nas_search(*options, 10_000)
    assert "every sampled network is under 10000 ms here: try --target-ms" in " ".join(err.split())
    _, _, err = nas_search(*options, 0.0001)
    assert "no sampled network is under 0.0001 ms" in " ".join(err.split())


class TestOutOfReach:
    """A target below every network that was looked at."""

    def plan(self, nas_search, photos, config, *options):
        common = ("--data", photos, "--config", config, "--space", "mnasnet", *QUICK, "--verbose")
        code, out, err = nas_search(*common, "--json", *options)
        return code, out, " ".join(err.split())

    @pytest.mark.parametrize("target_ms", [0.0001, 0.3, 0.54])
    def test_it_ends_the_search_and_the_target_suggested_can_be_met(
        self, nas_search, photos, config, tmp_path, target_ms
    ):
        code, out, err = self.plan(nas_search, photos, config, "--target-ms", target_ms)
        assert (code, out) == (2, "")
        assert not (tmp_path / "runs").exists()
        assert "kept near the target" not in err
        assert f"target {three_digits(target_ms)} ms: out of reach" in err
        assert "The target cannot be met: no sampled network is under" in err
        suggested = re.findall(r"try --target-ms ([\d.]+)", err)
        assert len(set(suggested)) == 1
        options = ("--dry-run", "--target-ms", suggested[0])
        code, out, err = self.plan(nas_search, photos, config, *options)
        document = json.loads(out)
        assert (code, document["target_in_reach"], document["out_of_reach"]) == (0, True, [])
        assert document["fastest_ms"] <= float(suggested[0]) <= 1.1 * document["fastest_ms"]
        assert "kept near the target" in err

    def test_a_dry_run_tells_it_and_is_no_failure(self, nas_search, photos, config):
        options = ("--dry-run", "--target-ms", 0.1)
        code, out, err = self.plan(nas_search, photos, config, *options)
        document = json.loads(out)
        assert code == 0
        assert not document["target_binds"]
        assert not document["target_in_reach"]
        assert document["out_of_reach"] == [
            next(line for line in document["out_of_reach"] if line.startswith("device madds:1: "))
        ]
        assert "kept near the target" not in err
        assert "The target cannot be met" in err

    def test_exactly_the_fastest_is_in_reach(self, nas_search, photos, config):
        fastest = json.loads(self.plan(nas_search, photos, config, "--dry-run")[1])["fastest_ms"]
        for target_ms, in_reach in ((fastest, True), (fastest * (1 - 1e-9), False)):
            options = ("--dry-run", "--target-ms", repr(target_ms))
            document = json.loads(self.plan(nas_search, photos, config, *options)[1])
            assert document["target_in_reach"] is in_reach

    def test_one_of_several_devices_is_enough(self, nas_search, photos, config, tmp_path):
        common = ("--data", photos, "--config", config, "--resolution", 32, "--workers", 0)
        code, _, err = nas_search(*common, "--device", "madds:1=2", "--device", "pixel1=0.001")
        said = " ".join(err.split())
        assert code == 2
        assert "begins within the target" not in said
        assert "nas-search: device pixel1: no sampled network is under 0.001 ms" in said
        assert "try --device pixel1=" in said
        assert not (tmp_path / "runs").exists()

    def test_the_default_target_of_a_space_of_large_networks(
        self, nas_search, photos, config, space, tmp_path
    ):
        large = (
            space.read_text()
            .replace("out: [8, 16]", "out: [800, 1600]")
            .replace("stem: {out: 8", "stem: {out: 400")
        )
        space.write_text(large)
        common = ("--data", photos, "--config", config, "--device", "madds:1", "--resolution", 32)
        code, _, err = nas_search(*common, "--workers", 0, "--space", space)
        assert code == 2
        assert "no sampled network is under" in err.splitlines()[-1]


def test_targets_of_two_devices_that_no_network_meets_together_are_pointed_out():
    """Each can be met, but by other networks: on one device small ones are fast, on one large ones."""
    specs = [REFERENCES["mobilenet_v2"](width=width) for width in (0.5, 1.0)]
    lab = Device("lab", "lab")
    spans = [
        Span([(s, Latency.exactly(ms, lab)) for s, ms in pairs], {}, 0.0)
        for pairs in (
            zip(specs, (1.0, 2.0), strict=True),
            zip(specs[::-1], (1.0, 2.0), strict=True),
        )
    ]
    prospects = [
        Prospect(name, None, span, 1.5, "--device", given=True)
        for name, span in zip("ab", spans, strict=True)
    ]
    assert [prospect.out_of_reach for prospect in prospects] == [None, None]
    assert "none of the measured networks meets the targets of all devices" in _apart(prospects)[0]
    assert _apart(prospects[:1]) == []
    assert _apart([prospects[0], prospects[0]]) == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--space", "nope"], "unknown space 'nope'"),
        (["--device", "toaster"], "unknown device 'toaster'"),
        (["--target-ms", "0"], "target_ms: must be greater than 0, got 0"),
        (["--target-ms", "-3"], "got -3"),
        (["--target-ms", "soon"], "'--target-ms'"),
        (["--target-ms", "nan"], "target_ms"),
        (["--trials", "0"], "trials"),
        (["--preset", "fast"], "unknown preset 'fast'"),
        (["--controller", "oracle"], "unknown controller oracle"),
        (["--data", "absent/"], "absent"),
        (["--data", "empty"], "empty"),
        (["--data", "single"], "single"),
        (["--data", "broken"], "3.png"),
        (["--data", "few"], "batch"),
        (["--config", "absent.yaml"], "absent.yaml"),
        (["--config", "typo.yaml"], "unknown key 'trails'"),
        (["--resume", "empty"], "is not a run's folder"),
        (["--run-name", "../x"], "is not a folder name"),
        (["--frobnicate"], "--frobnicate"),
        (["--resolution", "2"], "resolution"),
        (["--cpus-per-trial", "4096"], "cpus_per_trial is 4096, but this process may use"),
        (["--gpus-per-trial", "99"], "gpus_per_trial is 99, but torch sees"),
        (["--proxy-resolution", "1"], "proxy_resolution"),
        (
            ["--proposals", "1", "--batch-size", "2"],
            "a batch of 2 cannot be chosen from 1 proposals",
        ),
        (["--proposals", "10000000"], "proposals must be a whole number from 1 to 100000"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(nas_search, tmp_path, arguments, reason):
    (tmp_path / "empty").mkdir()
    image = Image.new("RGB", (16, 16))
    for folder in ("single/a", "broken/a", "broken/b", "few/a", "few/b"):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(5):
            image.save(tmp_path / folder / f"{number}.png")
    (tmp_path / "broken/b/3.png").write_bytes(b"\x89PNG\r\n\x1a\nnot an image")
    (tmp_path / "typo.yaml").write_text("trails: 5\n")
    there = sorted(tmp_path.rglob("*"))
    settled = [] if arguments[0] == "--resume" else QUICK
    code, out, err = nas_search(*settled, *arguments)  # of an option given twice the last counts
    assert code == 2
    message = err.strip().splitlines()[-1]
    assert message.startswith("nas-search: ")
    assert reason in message
    assert "Traceback" not in err
    assert out == ""
    assert [p for p in sorted(tmp_path.rglob("*")) if "cache" not in p.parts] == there


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "absent.yaml"],
        ["show", "nothing"],
        ["show", "mobilenet_v2", "--resolution", "0"],
        ["measure", "mobilenet_v2", "--device", "madds:x"],
        ["export", "absent.pt"],
        ["export", "mobilenet_v2", "-o", "no/such/folder/x.onnx"],
        ["report", "."],
        ["frob"],
        ["show"],
    ],
)
def test_other_commands_fail_in_one_line_too(nas, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, out, err = nas(*arguments)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert out == ""


def test_seed_files_that_are_not_ours(nas, tmp_path):
    import pickle

    (tmp_path / "noise.pt").write_bytes(b"\x00\x01 noise")
    (tmp_path / "code.pt").write_bytes(pickle.dumps(print))
    weights = torch.tensor([1.0, 2.0, 3.0])
    torch.save({"weights": weights}, tmp_path / "other.pt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    (tmp_path / "empty.pt").touch()
    whole = bytearray((tmp_path / "other.pt").read_bytes())
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    place = whole.index(weights.numpy().tobytes())
    whole[place] ^= 0xFF
    (tmp_path / "flipped.pt").write_bytes(whole)
    for name in ("cut", "flipped"):
        assert "damaged" in nas("show", tmp_path / f"{name}.pt")[2]
    for name in ("noise", "code", "other", "module", "tensor", "empty", "cut", "flipped"):
        code, _, err = nas("show", tmp_path / f"{name}.pt")
        assert code == 2, name
        assert f"{name}.pt" in err
        assert len(err.strip().splitlines()) == 1


def test_help_needs_no_torch():
    code = (
        "import sys; sys.argv = ['nas-search', '--help']\n"
        "from nas.cli.main import search_main\n"
        "try: search_main()\n"
        "except SystemExit: print([m for m in ('torch', 'ray', 'pandas', 'onnxruntime', 'plotly') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
    assert "--target-ms" in done.stdout
