"""What Ray's workers import, where its files lie, and what is said of its deaths."""

import os
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from nas.engine.job import Outcome
from nas.engine.on_ray.cluster import Resources
from nas.engine.on_ray.deaths import LOWER, of_cluster, of_memory
from nas.engine.on_ray.tune import run_on_ray
from nas.engine.on_ray.worker_paths import own_paths
from nas.engine.runner import RunStoppedError
from nas.short_folder import short_folder, shorten_sockets
from search_spaces import InputError
from tests.nas.conftest import accuracy_of

FOREIGN = "raise RuntimeError('foreign code')\n"


def test_the_folders_before_pythons_own(tmp_path):
    library = Path(os.__file__).parent
    path = [str(tmp_path), "", str(library), "/later"]
    assert own_paths(path, {}) == [str(tmp_path), str(Path.cwd())]
    assert (
        own_paths([str(library.with_suffix(".zip").with_name("python311.zip")), str(tmp_path)], {})
        == []
    )


@pytest.mark.parametrize(
    "name", ["random.py", "controllers/__init__.py", "torch.py", "latency/__init__.py"]
)
def test_a_folder_that_hides_a_loaded_module_is_left_out(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(FOREIGN)
    assert own_paths([str(tmp_path), str(tmp_path / "absent")]) == [str(tmp_path / "absent")]


def test_a_folder_of_modules_that_were_imported_from_it_stays(tmp_path):
    (tmp_path / "mine.py").write_text("")
    (tmp_path / "numpy").mkdir()  # a folder of files, which no import would prefer
    mine = types.ModuleType("mine")
    mine.__file__ = str(tmp_path / "mine.py")
    loaded = {"mine": mine, "numpy": sys.modules["os"]}
    assert own_paths([str(tmp_path)], loaded) == [str(tmp_path)]


@pytest.mark.parametrize("name", ["x" * 70, "a b", "é", "absent"])
def test_sockets_get_a_short_folder(tmp_path, monkeypatch, name):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    place = tmp_path / name
    if name != "absent":
        place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    with short_folder() as made:
        assert len(made) <= 43
        assert Path(made).is_dir()
    assert not Path(made).exists()


def test_a_folder_that_will_do_is_left_to_ray(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    with short_folder() as made:
        assert made is None
    monkeypatch.setenv("RAY_TMPDIR", "/nowhere")
    monkeypatch.setattr("nas.short_folder.PLACES", ())
    with (
        pytest.raises(InputError, match="set RAY_TMPDIR to one, or give --workers 0"),
        short_folder(),
    ):
        pass


def test_processes_that_load_images_talk_in_a_short_folder(tmp_path, monkeypatch):
    from multiprocessing import current_process, util

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 80)))
    monkeypatch.setitem(current_process()._config, "tempdir", None)
    shorten_sockets()
    assert len(util.get_temp_dir()) < 40


def test_deaths_in_one_line():
    assert LOWER in of_memory("")
    assert of_cluster("").startswith("part of the Ray cluster died (no reason was given)")
    told = of_memory(
        "was 2.43GB used / 23.59GB limit (0.10)\nPID\tMEM(GB)\tCOMMAND\n7\t0.64\t/a/b/python -m x\n"
    )
    assert "2.43 of 23.59 GB in use; python -m x 0.64 GB" in told


class Looking:
    """Says what a worker imports; ends it, or the mailbox beside it, where it is told to."""

    def __init__(self, ours: str, *, kill: str = ""):
        self.ours, self.kill = ours, kill

    def __call__(self, job):
        import controllers

        assert str(Path(controllers.__file__).parents[1]) == self.ours
        import random

        assert "foreign" not in Path(random.__file__).read_text()
        if self.kill == "me":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kill == "mailbox":
            _kill("Mailbox")
        return Outcome(accuracy_of(job), weights=b"w" if job.kind == "final" else None)


def _kill(name):
    """End a worker of this cluster: others may be at work on this machine."""
    import psutil

    for process in psutil.Process(os.getppid()).children():
        if name in " ".join(process.cmdline()):
            process.kill()


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A working directory with modules of the user's own."""
    folder = tmp_path / "hostile"
    for name in ("controllers", "nas", "latency", "search_spaces", "netadapt"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(FOREIGN)
    for name in ("random", "types", "numpy", "torch", "ray", "json"):
        (folder / f"{name}.py").write_text(FOREIGN)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.usefixtures("hostile")
def test_workers_import_what_this_process_does_and_deaths_end_the_search(
    make_loop, tmp_path, monkeypatch
):
    """One cluster a call, since each sees to its own: the three are in one test to be few."""
    import controllers

    ours = str(Path(controllers.__file__).parents[1])
    long = tmp_path / ("x" * 70)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    loop = make_loop(tmp_path / "whole", trials=4, batch_size=2)
    run_on_ray(loop, Looking(ours), Resources(workers=2))
    assert [trial.error for trial in loop.logs.trials] == [None] * 4
    loop = make_loop(tmp_path / "killed", trials=4, batch_size=2)
    with pytest.raises(RunStoppedError, match=r"the worker died .*fewer --workers"):
        run_on_ray(loop, Looking(ours, kill="me"), Resources(workers=1, retries=0))
    loop = make_loop(tmp_path / "lost", trials=4, batch_size=2)
    with pytest.raises(RunStoppedError, match=r"part of the Ray cluster died .*resume"):
        run_on_ray(loop, Looking(ours, kill="mailbox"), Resources(workers=1, retries=0))


def test_the_command_as_a_module_does_not_import_from_the_working_directory(hostile):
    shutil.rmtree(hostile / "nas")  # of what is found first Python itself decides
    for module in hostile.glob("*.py"):
        module.unlink()
    ours = str(Path(run_on_ray.__code__.co_filename).parents[3])
    environment = os.environ | {"PYTHONPATH": ours}
    shown = subprocess.run(
        [sys.executable, "-m", "nas.cli.main", "--version"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
