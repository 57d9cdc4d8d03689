"""What goes wrong around a search is one line, and what was done stays."""

import errno
import json
import os

import filelock
import pytest
import ray

from nas.cli.errors import INTERRUPTED
from nas.cli.main import main
from nas.cli.search import planning
from nas.engine.watching import TensorBoard
from tests.nas.cli.conftest import SMALL_SPACE
from tests.nas.cli.test_commands import QUICK


@pytest.fixture
def config(tmp_path, searched_space):
    path = tmp_path / "config.yaml"
    path.write_text(
        f"space: {searched_space}\ntrials: 4\nbatch_size: 2\nrecipe: {{steps: 2, batch_size: 16}}\n"
        "finals: {count: 1, epochs_factor: 2, repeats: 1}\n"
    )
    return path


@pytest.fixture
def begin(nas_search, photos, config):
    """A search of a few steps with further options."""
    return lambda *options: nas_search(*QUICK, "--data", photos, "--config", config, *options)


def last_line(err):
    assert "Traceback" not in err
    return err.strip().splitlines()[-1]


def test_brackets_in_names_are_no_markup(begin, tmp_path):
    code, _, err = begin("--run-name", "exp[bold]")
    assert code == 0, err
    assert err.count("runs/exp[bold]") >= 3
    assert (tmp_path / "runs" / "exp[bold]" / "result.json").is_file()


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.ENOSPC, "No space left on device", "events.out"),
        OSError(errno.EROFS, "Read-only file system", "events.out"),
        PermissionError(errno.EACCES, "Permission denied", "events.out"),
    ],
)
@pytest.mark.slow
def test_a_disk_that_fails_beside_the_log_is_one_line_and_the_run_goes_on_later(
    begin, nas_search, monkeypatch, tmp_path, failure
):
    def fails(_self, trial, *, replayed):
        if trial.index == 2:
            raise failure

    monkeypatch.setattr(TensorBoard, "finished", fails)
    code, out, err = begin("--run-name", "one")
    assert (code, out) == (2, "")
    assert last_line(err).startswith(f"nas-search: events.out: {failure.strerror}: ")
    assert "to resume: " in err
    folder = tmp_path / "runs" / "one"
    kept = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    assert 2 in [trial["index"] for trial in kept]
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert nas_search("--resume", folder)[0] == 0


def test_ray_that_does_not_start_is_one_line_with_how_to_resume(
    begin, nas_search, monkeypatch, tmp_path
):
    def stop(*_, **__):
        raise KeyboardInterrupt

    def timed_out(**_):
        raise Exception("The current node timed out during startup.")  # noqa: TRY002  as Ray does

    with monkeypatch.context() as patched:
        patched.setattr(TensorBoard, "finished", stop)
        assert begin("--run-name", "one")[0] == INTERRUPTED
    monkeypatch.setattr(ray, "init", timed_out)
    code, _, err = nas_search("--resume", tmp_path / "runs" / "one", "--workers", "1")
    assert code == 2
    assert "Ray: cannot start a cluster on this machine: The current node timed out" in last_line(
        err
    )
    assert "to resume: " in err


def test_a_folder_that_cannot_be_locked_is_one_line(begin, nas_search, monkeypatch, tmp_path):
    assert begin("--run-name", "one")[0] == 0
    for number, mend in (
        (errno.EROFS, "make the folder writable to resume"),
        (errno.ENOLCK, "this file system has no locks: give --runs on a local disk, or move"),
        (errno.ENOTSUP, "this file system has no locks: give --runs on a local disk, or move"),
    ):

        def refused(_self, number=number, **_options):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(filelock.FileLock, "acquire", refused)
        code, _, err = nas_search("--resume", tmp_path / "runs" / "one")
        assert code == 2
        assert f"runs/one: {os.strerror(number)}: {mend}" in last_line(err)


def test_what_is_written_before_the_search_is_all_there_or_nothing(begin, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    code, _, err = begin("--run-name", "one")
    assert code == 2
    assert "No space left on device" in last_line(err)
    assert not (tmp_path / "runs" / "one").exists()


def test_a_folder_without_a_run_is_told_from_one_with_it(begin, tmp_path):
    (tmp_path / "runs" / "one").mkdir(parents=True)
    code, _, err = begin("--run-name", "one")
    assert code == 2
    assert "exists: choose another --run-name, or remove it (it is not a run)" in last_line(err)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--preset", "quick"], "--preset cannot change on --resume"),
        (["--runs", "elsewhere"], "--runs cannot change on --resume"),
        (["--cpus-per-trial", "4096"], "cpus_per_trial is 4096, but this process may use"),
        (["--ray-address", "nowhere:1"], "workers is 0, which trains in this process"),
    ],
)
def test_what_a_resumed_run_cannot_use_is_refused(begin, nas_search, tmp_path, options, said):
    assert begin("--run-name", "one")[0] == 0
    code, _, err = nas_search("--resume", tmp_path / "runs" / "one", *options)
    assert code == 2
    assert said in last_line(err)


@pytest.mark.slow
def test_a_run_of_a_cluster_goes_on_in_this_process(begin, nas_search, tmp_path):
    assert begin("--run-name", "one")[0] == 0
    path = tmp_path / "runs" / "one" / "config.yaml"
    settings = path.read_text()
    assert "workers: 0" in settings
    assert "ray_address: null" in settings
    settings = settings.replace("workers: 0", "workers: null")
    path.write_text(settings.replace("ray_address: null", "ray_address: nowhere:1"))
    code, _, err = nas_search("--resume", tmp_path / "runs" / "one", "--workers", "0")
    assert code == 0, err


def test_a_space_that_changes_during_the_plan_is_searched_as_it_was_read(
    begin, space, monkeypatch, tmp_path
):
    original = planning.plan

    def plan(job, runs, **options):
        planned = original(job, runs, **options)
        space.unlink()
        return planned

    monkeypatch.setattr("nas.cli.search.planning.plan", plan)
    code, _, err = begin("--space", space, "--run-name", "one")
    assert code == 0, err
    assert (tmp_path / "runs" / "one" / "space.yaml").read_text() == SMALL_SPACE


@pytest.mark.parametrize(
    ("failure", "one_line"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "there"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (PermissionError(errno.EPERM, "Operation not permitted"), False),  # of a socket, say
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), False),
    ],
)
def test_only_what_is_a_disk_s_is_told_as_such(nas, monkeypatch, failure, one_line):
    def fails(*_, **__):
        raise failure

    monkeypatch.setattr("nas.cli.commands.show.open_spec", fails)
    if not one_line:
        with pytest.raises(OSError, match=failure.strerror):
            nas_main(monkeypatch)
        return
    code, _, err = nas("show", "mobilenet_v2")
    assert code == 2
    assert failure.strerror in last_line(err)


def nas_main(monkeypatch):
    monkeypatch.setattr("sys.argv", ["nas", "show", "mobilenet_v2"])
    main()


def test_how_far_a_run_has_come_as_a_document(begin, nas_search, tmp_path):
    assert begin("--run-name", "one")[0] == 0
    folder = tmp_path / "runs" / "one"
    code, out, err = nas_search("--resume", folder, "--dry-run", "--json")
    assert code == 0, err
    assert json.loads(out) == {
        "run": str(folder), "trials_done": 4, "finals_done": 2, "ended": True,
    }  # fmt: skip


def test_too_few_images_for_a_batch_name_the_setting(nas_search, photos):
    code, _, err = nas_search(*QUICK, "--data", photos)
    assert code == 2
    assert (
        "recipe.batch_size (set it with --config) is 128, but photos has 60 training images: "
        "take at most 60" in last_line(err)
    )


def test_a_run_keeps_its_own_space(begin, nas_search, space, tmp_path):
    assert begin("--space", space, "--run-name", "one")[0] == 0
    folder = tmp_path / "runs" / "one"
    space.write_text(SMALL_SPACE.replace("stem: {out: 8", "stem: {out: 16"))
    log = folder / "trials.jsonl"
    whole = log.read_bytes()
    log.write_bytes(b"".join(whole.splitlines(keepends=True)[:3]))
    (folder / "finals.jsonl").unlink()
    moved = folder.rename(tmp_path / "elsewhere")
    code, _, err = nas_search("--resume", moved)
    assert code == 0, err
    networks = [json.loads(line)["fingerprint"] for line in whole.splitlines()]
    again = (moved / "trials.jsonl").read_text().splitlines()
    assert [json.loads(line)["fingerprint"] for line in again] == networks


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("space.yaml", "stem: {out: 8", "stem: {out: 16", "it was another network then"),
        (
            "config.yaml",
            "resolution: 32",
            "resolution: 64",
            "resolution was 32 when this run started",
        ),
        ("config.yaml", "kind: soft", "kind: hard", "reward.kind was 'soft' when this run started"),
    ],
)
def test_a_run_whose_files_were_changed_does_not_go_on_as_if_not(
    begin, nas_search, space, tmp_path, file, old, new, said
):
    assert begin("--space", space, "--run-name", "one")[0] == 0
    path = tmp_path / "runs" / "one" / file
    before = path.read_text()
    path.write_text(before.replace(old, new, 1))
    assert path.read_text() != before
    code, _, err = nas_search("--resume", tmp_path / "runs" / "one")
    assert code == 2
    assert said in last_line(err)


def test_a_first_part_that_is_longer_than_asked_is_told_as_it_is(begin, tmp_path, config):
    config.write_text(config.read_text().replace("steps: 2", "steps: 200"))
    code, _, err = begin("--fidelity", 0.1, "--dry-run")
    assert code == 0, err
    assert "all train for 25% of the steps" in " ".join(err.split())
    assert not (tmp_path / "runs").exists()


def test_a_netadapt_run_is_not_gone_on_with_as_a_search(nas_search, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.yaml").write_text("delta: 0.1\n")
    (tmp_path / "other" / "run.json").write_text('{"kind": "netadapt"}')
    code, _, err = nas_search("--resume", tmp_path / "other")
    assert code == 2
    assert "is a NetAdapt run: resume it with netadapt --resume" in err
