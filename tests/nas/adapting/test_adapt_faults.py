"""What goes wrong in a NetAdapt run: devices, disks, workers, data; nothing that was done is lost."""

import errno
import math
import os
from dataclasses import replace

import pytest
import torch

from latency import DeviceLostError, MeasurementError, open_device
from nas.adapting.baselines import Found, missing_baselines
from nas.checkpoints.checkpoint import load_checkpoint
from nas.checkpoints.torch_files import state_of
from nas.engine.job import Outcome
from nas.engine.runner import RunStoppedError
from nas.engine.schedule_config import ScheduleConfig
from nas.run_adapt import adapt
from search_spaces import InputError, count
from tests.nas.adapting.test_adapt import CONFIG, DATA, FULL_MS, SEED, SPEC, Trainer, logged, run
from tests.nas.adapting.test_adapt_compare import COMPARED, Seeded

SHORT = {"target_ms": 0.85 * FULL_MS}
QUICK = CONFIG.model_copy(update=SHORT)
BESIDE = COMPARED.model_copy(update=SHORT)


class Device:
    """MAdds, but for some networks."""

    def __init__(self, refuse):
        self.source, self.refuse, self.asked = open_device("madds:1"), refuse, 0
        self.device = self.source.device

    def latency(self, spec):
        self.asked += 1
        self.refuse(self, spec)
        return self.source.latency(spec)


def start(folder, *, source=None, trainer=None, config=QUICK, **changes):
    return adapt(
        SEED, **{"data": DATA, **changes}, latency=source or open_device("madds:1"),
        config=config, folder=folder, evaluate=trainer or Seeded(),
    )  # fmt: skip


def test_a_proposal_that_cannot_be_measured_is_discarded_and_logged(tmp_path):
    def refuse(device, spec):
        if spec.blocks[1].expand == 8:
            raise MeasurementError("the runtime crashed")

    plain = start(tmp_path / "plain")
    result = start(tmp_path / "moody", source=Device(refuse))
    assert result.reached
    lines = logged(tmp_path / "moody")["proposals.jsonl"]
    lost = [line for line in lines if line["error"]]
    assert {line["error"] for line in lost} == {"latency: the runtime crashed"}
    assert all(line["latency"] is None and line["accuracy"] is None for line in lost)
    first = [line for line in lines if line["batch"] == 0]
    whole = [line for line in logged(tmp_path / "plain")["proposals.jsonl"] if line["batch"] == 0]
    assert len(first) == len(whole)  # one in place of another
    assert plain.family[0].fingerprint in {line["fingerprint"] for line in whole}
    # A run that goes on does not ask again what is in the log.
    again = start(tmp_path / "moody", source=open_device("madds:1"), trainer=Seeded(0))
    assert again.to_dict() == result.to_dict()


def test_a_device_that_measures_nothing_stops_the_run_which_can_go_on(tmp_path):
    def refuse(device, spec):
        if spec != SPEC:
            raise MeasurementError("busy")

    with pytest.raises(RunStoppedError, match=r"no width group of step 1 could be"):
        start(tmp_path / "broken", source=Device(refuse))
    result = start(tmp_path / "broken")
    assert result.to_dict() == start(tmp_path / "whole").to_dict()
    assert logged(tmp_path / "broken") == logged(tmp_path / "whole")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A run's device, and its result."""
    counting = Device(lambda device, spec: None)
    return counting, start(tmp_path_factory.mktemp("whole"), source=counting, config=BESIDE)


@pytest.mark.parametrize("questions", [3, 12, 25, -1])
def test_a_lost_device_stops_with_its_log_kept(tmp_path, uninterrupted, questions):
    counting, whole = uninterrupted
    last = questions if questions > 0 else counting.asked - 1
    assert last < counting.asked

    def refuse(device, spec):
        if device.asked > last:
            raise DeviceLostError("no answer from the phone")

    with pytest.raises(
        RunStoppedError, match=r"the device is lost .no answer from the phone.: the log"
    ):
        start(tmp_path / "lost", source=Device(refuse), config=BESIDE)
    result = start(tmp_path / "lost", config=BESIDE)
    assert result.to_dict() == whole.to_dict()
    assert logged(tmp_path / "lost") == logged(whole.folder.path)


@pytest.mark.parametrize("writes", [1, 2, 9, 23, 40])
def test_a_full_disk_stops_with_a_line_and_the_run_goes_on(
    tmp_path, uninterrupted, monkeypatch, writes
):
    whole = uninterrupted[1]
    done, fsync = [], os.fsync

    def filling(descriptor):
        done.append(descriptor)
        if len(done) > writes:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", filling)
        with pytest.raises(InputError, match="No space left on device") as caught:
            start(tmp_path / "full", config=BESIDE)
    assert "\n" not in str(caught.value)
    result = start(tmp_path / "full", config=BESIDE)
    assert result.to_dict() == whole.to_dict()
    assert logged(tmp_path / "full") == logged(whole.folder.path)


class Failing(Seeded):
    """Trains nothing for a while, as where memory is short."""

    def __init__(self, fails):
        super().__init__()
        self.fails = fails

    def __call__(self, job):
        outcome = super().__call__(job)
        return Outcome(None, "out of memory") if self.fails(job) else outcome


def test_a_step_that_failed_whole_is_tried_again_once_the_run_goes_on(tmp_path):
    with pytest.raises(RunStoppedError, match=r"all \d+ proposals of a step failed: out of memory"):
        start(tmp_path / "broken", trainer=Failing(lambda job: job.batch == 1))
    with pytest.raises(RunStoppedError, match="out of memory"):  # as often as it fails
        start(tmp_path / "broken", trainer=Failing(lambda job: job.batch == 1))
    result = start(tmp_path / "broken")
    assert result.to_dict() == start(tmp_path / "whole").to_dict()
    assert logged(tmp_path / "broken") == logged(tmp_path / "whole")


def test_proposals_that_failed_alone_stay_discarded(tmp_path):
    """Tried again they might be chosen, and what followed would be of another network."""
    first = start(tmp_path, trainer=Failing(lambda job: job.kind == "proposal" and job.index == 0))
    lines = logged(tmp_path)
    assert lines["proposals.jsonl"][0]["error"] == "out of memory"
    assert start(tmp_path).to_dict() == first.to_dict()
    assert logged(tmp_path) == lines


def test_last_trainings_that_all_failed_are_tried_again(tmp_path):
    lost = start(tmp_path / "run", trainer=Failing(lambda job: job.kind != "proposal"))
    assert [trial.ok for trial in lost.finals] == [False, False]
    assert not lost.folder.ending
    result = start(tmp_path / "run")
    assert result.to_dict() == start(tmp_path / "whole").to_dict()
    assert logged(tmp_path / "run") == logged(tmp_path / "whole")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Outcome(math.nan, weights=b"w"), "accuracy is nan"),
        (Outcome(0.5), "the evaluator returned no weights"),
    ],
)
def test_an_evaluator_s_mistake_is_a_failure_with_its_reason(tmp_path, given, said):
    with pytest.raises(RunStoppedError, match=f"proposals of a step failed: {said}"):
        start(tmp_path, trainer=lambda job: given)


def test_a_baseline_that_the_device_refuses_is_none(tmp_path):
    def refuse(device, spec):
        if spec.fingerprint == odd.fingerprint:
            raise MeasurementError("the runtime crashed")

    odd = replace(SPEC, blocks=SPEC.blocks[:-1])
    baselines = {"odd": lambda request: Found(odd, "without its last block", None)}
    result = start(tmp_path, source=Device(refuse), baselines=baselines)
    assert not result.baselines
    assert missing_baselines(result.folder) == ["odd"]


def test_images_of_another_size_are_refused(tmp_path):
    with pytest.raises(InputError, match="are 64 px wide, the seed is deployed at 32 px"):
        start(tmp_path / "run", data=replace(DATA, resolution_px=64))
    assert not (tmp_path / "run").exists()


def test_another_number_of_classes_is_refused(tmp_path):
    with pytest.raises(InputError, match="the data has 3 classes, the network's head 2"):
        start(tmp_path / "run", data=replace(DATA, classes=("a", "b", "c")))


def test_a_run_that_goes_on_keeps_its_settings(tmp_path):
    start(tmp_path)
    for change, name in (({"delta": 0.2}, "settings.delta"), ({"seed": 1}, "settings.seed")):
        with pytest.raises(InputError, match=f"{name} was .* when this run started and is"):
            start(tmp_path, config=QUICK.model_copy(update=change))
    with pytest.raises(InputError, match=r"target_ms was .* when this run started"):
        start(tmp_path, config=QUICK.model_copy(update={"target_ms": 0.8 * FULL_MS}))
    start(
        tmp_path, config=QUICK.model_copy(update={"schedule": ScheduleConfig(workers=0, retries=2)})
    )


def test_a_searchs_folder_is_no_netadapt_run(tmp_path):
    (tmp_path / "run.json").write_text('{"space": "mnasnet"}')
    with pytest.raises(InputError, match="not written by netadapt"):
        start(tmp_path)


class Deadly(Trainer):
    """Kills its process at some networks: at one the first time, at another each time."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def __call__(self, job):
        marker = self.folder / f"died-{job.index}"
        if job.kind == "proposal" and (job.index == 2 or (job.index == 1 and not marker.exists())):
            marker.touch()
            os._exit(9)
        return super().__call__(job)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.long
def test_a_killed_worker_is_retried_and_a_deadly_proposal_discarded(tmp_path):
    config = QUICK.model_copy(update={"schedule": ScheduleConfig(workers=2)})
    (tmp_path / "marks").mkdir()
    result = start(tmp_path / "run", trainer=Deadly(tmp_path / "marks"), config=config)
    assert result.reached
    lines = {line["index"]: line for line in logged(tmp_path / "run")["proposals.jsonl"]}
    assert lines[1]["error"] is None
    assert "worker died" in lines[2]["error"]
    assert count(result.spec).madds / 1e6 <= config.target_ms


@pytest.mark.parametrize("name", ["run.json", "plans/step-0.json", "tests.json"])
def test_a_damaged_file_is_named_in_one_line(tmp_path, name):
    run(tmp_path, config=QUICK)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=f"{name}: missing or damaged"):
        run(tmp_path, config=QUICK)


def test_a_last_training_that_does_worse_than_the_last_step_is_told(tmp_path):
    class Ends(Trainer):
        def __init__(self, last):
            super().__init__()
            self.last = last

        def skill(self, job):
            return 0.7 if job.kind == "proposal" else self.last

    short = run(tmp_path / "short", Ends(0.5), QUICK)
    assert short.better_step == short.family[-1]
    shipped = load_checkpoint(tmp_path / "short/adapted.pt").weights
    kept = state_of((tmp_path / f"short/family/step-{len(short.family)}.pt").read_bytes())
    assert all(torch.equal(shipped[name], kept[name]) for name in kept)
    assert run(tmp_path / "long", Ends(0.8), QUICK).better_step is None


def test_weights_of_the_family_say_how_they_become_a_seed(tmp_path):
    run(tmp_path, config=QUICK)
    with pytest.raises(InputError, match=r"weights alone: convert them by nas import --arch"):
        load_checkpoint(tmp_path / "family" / "step-1.pt")
