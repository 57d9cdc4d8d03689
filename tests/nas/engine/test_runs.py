import errno
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from nas.atomic_files import write_whole
from nas.engine.folder.run_folder import RunFolder, free_name, new_folder, open_folder
from nas.engine.trial import Trial, read_trials
from nas.engine.trial_log import TrialLog
from search_spaces import InputError


def trial(index, kind="search"):
    return Trial(index, kind, 0, (1, 2), "f" * 16, 5, 0.5, (), 0.5, 10, 20, None, {})


def waiting(log):
    """The trials on disk that wait for their turn."""
    return [trial.index for trial in read_trials(log.ahead_path)]


def test_the_lock_is_held_by_one_process_and_freed_by_its_death(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from nas.engine.folder.run_folder import RunFolder\n"
        f"with RunFolder(Path({str(tmp_path)!r})).locked():\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with (
        pytest.raises(InputError, match="another process is using this run"),
        RunFolder(tmp_path).locked(),
    ):
        pass
    holder.kill()
    holder.wait()
    with (
        RunFolder(tmp_path).locked(),
        RunFolder(tmp_path).locked(),
    ):  # one process may hold it twice
        pass


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp/x", ".hidden"])
def test_run_names_are_folder_names(tmp_path, name):
    with pytest.raises(InputError, match="is not a folder name"):
        new_folder(tmp_path, name)


def test_a_run_is_never_written_over(tmp_path):
    (new_folder(tmp_path, "one") / "config.yaml").touch()
    with pytest.raises(
        InputError, match="exists: choose another --run-name, or resume it with --resume"
    ):
        new_folder(tmp_path, "one")


def test_who_takes_the_lock_removes_what_a_killed_process_was_writing(tmp_path):
    (tmp_path / "weights").mkdir()
    cut = [tmp_path / "weights" / "final-3.pt.4711.part", tmp_path / "spent.json.4711.part"]
    others = [tmp_path / "weights" / "final-2.pt", tmp_path / "my.part"]
    for path in (*cut, *others):
        path.write_bytes(b"w")
    with RunFolder(tmp_path).locked():
        assert not any(path.exists() for path in cut)
    assert all(path.exists() for path in others)


def test_two_runs_of_one_second_have_two_names(tmp_path):
    names = []
    for _ in range(3):
        names.append(free_name(tmp_path, "mnasnet-1"))
        new_folder(tmp_path, names[-1])
    assert names == ["mnasnet-1", "mnasnet-1-2", "mnasnet-1-3"]


def two_batches(path, *, failing, logged=6):
    """A log of two batches of three, of which the first so many trials have finished."""
    log = TrialLog(path)
    for batch in (0, 1):
        keys = [("search", index) for index in range(3 * batch, 3 * batch + 3)]
        log.open_batch(keys)
        for kind, index in keys:
            if index < logged:
                error = "lost" if index in failing else None
                log.add(replace(trial(index, kind), batch=batch, error=error))
    return keys


@pytest.mark.parametrize(
    ("failing", "logged", "stay", "wait"),
    [
        ({1, 4}, 6, [0, 1, 2, 3, 4, 5], []),  # the plan may have decided by the whole batch
        ({1, 4}, 5, [0, 1, 2, 3], []),  # it has not seen this one
        ({1, 3}, 5, [0, 1, 2], [4]),
        ({1, 3, 4, 5}, 6, [0, 1, 2], []),  # the run stopped because of these
    ],
)
def test_failures_are_tried_again_unless_the_plan_may_have_decided_by_them(
    tmp_path, failing, logged, stay, wait
):
    path = tmp_path / "trials.jsonl"
    keys = two_batches(path, failing=failing, logged=logged)
    again = TrialLog(path)
    first = [("search", index) for index in range(3)]
    again.forget_failures(first)
    again.open_batch(first)
    again.forget_failures(keys)
    assert [t.index for t in again.trials] == [t.index for t in TrialLog(path).trials] == stay
    assert waiting(again) == wait
    done = again.open_batch(keys)
    for kind, index in keys:
        if (kind, index) not in done:
            again.add(replace(trial(index, kind), batch=1))
    assert [t.index for t in TrialLog(path).trials] == list(range(6))
    assert not again.ahead_path.exists()


def test_failures_of_finals_are_tried_again_in_any_case(tmp_path):
    log = TrialLog(tmp_path / "finals.jsonl")
    keys = [("final", 0), ("final", 1), ("repeat", 0)]
    log.open_batch(keys)
    for (kind, index), error in zip(keys, ("lost", None, None), strict=True):
        log.add(replace(trial(index, kind), error=error))
    again = TrialLog(tmp_path / "finals.jsonl")
    again.forget_failures(keys, even_if_seen=True)
    assert set(again.open_batch(keys)) == {("final", 1), ("repeat", 0)}
    again.add(trial(0, "final"))
    assert [t.key for t in TrialLog(tmp_path / "finals.jsonl").trials] == keys


def test_another_plan_is_refused_before_anything_is_rewritten(tmp_path):
    path = tmp_path / "finals.jsonl"
    log = TrialLog(path)
    keys = [("final", 0), ("final", 1)]
    log.open_batch(keys)
    for key, error in zip(keys, (None, "lost"), strict=True):
        log.add(replace(trial(key[1], key[0]), error=error))
    before = path.read_bytes()
    with pytest.raises(InputError, match="final 0 is not what this run would ask"):
        TrialLog(path).forget_failures([("final", 1), ("final", 2)], even_if_seen=True)
    assert path.read_bytes() == before


def test_a_trial_that_cannot_be_written_leaves_no_file(tmp_path):
    """A run has begun, for its settings, as soon as the file of waiting trials exists."""
    log = TrialLog(tmp_path / "trials.jsonl")
    log.open_batch([("search", 0), ("search", 1)])
    with pytest.raises(TypeError):
        log.add(replace(trial(1), reward=object()))
    assert list(tmp_path.iterdir()) == []


def test_a_trial_that_a_crash_left_in_both_files_counts_once(tmp_path):
    """It was moved to the log, and the process killed before it was taken from the waiting ones."""
    log = TrialLog(tmp_path / "trials.jsonl")
    log.open_batch([("search", 0), ("search", 1)])
    log.add(trial(1))
    kept = log.ahead_path.read_bytes()
    log.add(trial(0))
    log.ahead_path.write_bytes(kept)
    again = TrialLog(tmp_path / "trials.jsonl")
    assert [t.index for t in again.trials] == [0, 1]
    again.open_batch([("search", 0), ("search", 1)])
    again.open_batch([("search", 2)])
    assert not again.ahead_path.exists()


def test_who_only_looks_cuts_nothing(tmp_path):
    """Another process may be writing that line."""
    for name in ("trials.jsonl", "finals.jsonl", "finals.ahead.jsonl"):
        (tmp_path / name).write_text('{"index": 0, "ki')
    folder = RunFolder(tmp_path)
    assert not folder.search_begun or (tmp_path / "finals.ahead.jsonl").exists()
    assert not folder.ending
    for name in ("trials.jsonl", "finals.jsonl", "finals.ahead.jsonl"):
        assert (tmp_path / name).read_text() == '{"index": 0, "ki'


def test_only_run_folders_are_opened(tmp_path):
    with pytest.raises(InputError, match="is not a run's folder"):
        open_folder(tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_full_disk_stops_with_one_line_and_keeps_the_log(tmp_path):
    log = TrialLog(tmp_path / "trials.jsonl")
    log.open_batch([("search", 0), ("search", 1)])
    log.add(trial(0))
    kept = (tmp_path / "trials.jsonl").read_bytes()
    log.path = tmp_path / "full.jsonl"
    log.path.symlink_to("/dev/full")
    with pytest.raises(
        InputError, match=r"No space left on device: free the disk; the log keeps what it has"
    ):
        log.add(trial(1))
    assert (tmp_path / "trials.jsonl").read_bytes() == kept
    assert [t.index for t in TrialLog(tmp_path / "trials.jsonl").trials] == [0]


def test_files_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "best.yaml"
    write_whole(path, "old")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_lines_come_in_the_order_asked_whatever_finishes_first(tmp_path):
    log = TrialLog(tmp_path / "trials.jsonl")
    keys = [("search", index) for index in range(4)]
    assert log.open_batch(keys) == {}
    for index in (2, 0, 3, 1):
        log.add(trial(index))
    assert [t.index for t in TrialLog(tmp_path / "trials.jsonl").trials] == [0, 1, 2, 3]
    assert not (tmp_path / "trials.ahead.jsonl").exists()


def test_a_crash_between_the_log_and_the_waiting_file_doubles_nothing(tmp_path):
    log = TrialLog(tmp_path / "trials.jsonl")
    keys = [("search", 0), ("search", 1)]
    log.open_batch(keys)
    log.add(trial(1))
    waiting = (tmp_path / "trials.ahead.jsonl").read_bytes()
    log.add(trial(0))
    (tmp_path / "trials.ahead.jsonl").write_bytes(waiting)  # killed before it was removed
    again = TrialLog(tmp_path / "trials.jsonl")
    assert set(again.open_batch(keys)) == set(keys)
    assert [t.index for t in again.trials] == [0, 1]
    assert (tmp_path / "trials.jsonl").read_bytes().count(b"\n") == 2
