"""A run that another process holds: said before anything is read, and held from then on."""

import filelock
import pytest

from nas.engine.folder.run_folder import RunFolder
from search_spaces import InputError
from tests.nas.cli.test_faults import begin, config  # noqa: F401 - fixtures


@pytest.fixture
def unread(monkeypatch):
    """Images that must not be read."""

    def read(*_, **__):
        raise AssertionError

    monkeypatch.setattr("nas.cli.search.opening.find_images", read)
    monkeypatch.setattr("nas.cli.adapt.seed_images.find_images", read)


@pytest.fixture
def held():
    """Holds a folder as another process does."""
    locks = []

    def hold(folder):
        locks.append(filelock.FileLock(folder / ".lock"))
        locks[-1].acquire(timeout=0)

    yield hold
    for lock in locks:
        lock.release()


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize("program", ["nas_search", "netadapt"])
def test_a_run_that_another_process_holds(request, tmp_path, held, program):
    command = request.getfixturevalue(program)
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text("damaged: [")
    held(folder)
    code, _, err = command("--resume", folder)
    assert code == 2
    assert f"{folder}: another process is using this run" in err


def test_looking_at_a_run_needs_no_lock(begin, nas_search, tmp_path, held):  # noqa: F811
    assert begin("--run-name", "one")[0] == 0
    folder = tmp_path / "runs" / "one"
    held(folder)
    assert nas_search("--resume", folder, "--dry-run")[0] == 0
    assert nas_search("--resume", folder)[0] == 2


def test_a_folder_is_held_until_its_object_goes(tmp_path):
    folder = RunFolder(tmp_path)
    folder.hold()
    other = filelock.FileLock(tmp_path / ".lock")
    with pytest.raises(filelock.Timeout):
        other.acquire(timeout=0)
    with folder.locked():
        pass
    with pytest.raises(filelock.Timeout):
        other.acquire(timeout=0)
    del folder
    other.acquire(timeout=0)
    with pytest.raises(InputError, match="another process is using this run"):
        RunFolder(tmp_path).hold()
    other.release()
