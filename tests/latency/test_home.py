"""Without a writable home, readings are cached elsewhere and a warning is logged once."""

import logging
import os
import pwd
import stat
from pathlib import Path

import pytest

from latency import open_device
from latency.measuring import user_folders
from latency.measuring.user_folders import cache_folder, ensure_home, temporary_home
from nas.data.torchvision_sets import download_root
from search_spaces import InputError


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.setattr(user_folders, "_warned", set())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("MOBILE_NAS_CACHE", "XDG_CACHE_HOME", "MOBILE_NAS_DOWNLOADS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def stranger(monkeypatch):
    """A user unknown to the system."""

    def unknown(_):
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.mark.usefixtures("stranger")
@pytest.mark.parametrize("given", [None, "", "relative", "/nonexistent-home"])
def test_without_a_home(tmp_path, monkeypatch, caplog, given):
    monkeypatch.delenv("HOME") if given is None else monkeypatch.setenv("HOME", given)
    with caplog.at_level(logging.WARNING):
        folder = cache_folder()
        assert cache_folder() == folder
        open_device("cpu")
        assert download_root(None).is_relative_to(tmp_path)
    assert folder.is_relative_to(tmp_path)
    assert folder.is_dir()
    assert len(caplog.records) == 1
    assert "no home folder" in caplog.text
    assert Path.home() == temporary_home()  # and so for every library
    assert stat.S_IMODE(temporary_home().stat().st_mode) == 0o700


def test_the_accounts_home_without_the_variable(tmp_path, monkeypatch, caplog):
    entry = pwd.getpwuid(os.getuid())
    monkeypatch.setattr(
        pwd, "getpwuid", lambda _: pwd.struct_passwd((*entry[:5], str(tmp_path), ""))
    )
    monkeypatch.delenv("HOME")
    assert ensure_home() == tmp_path
    assert not caplog.records


def test_xdg_cache_home_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert cache_folder() == tmp_path / "caches" / "mobile-nas" / "latency"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which its specification ignores
    assert cache_folder() == tmp_path / ".cache" / "mobile-nas" / "latency"


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch, caplog):
    (tmp_path / ".cache").write_text("a file in its place")
    with caplog.at_level(logging.WARNING):
        folder = cache_folder()
        cache_folder()
    assert folder.is_relative_to(temporary_home())
    assert len(caplog.records) == 1
    assert "storing latencies in" in caplog.text


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), OSError(30, "Read-only file system")]
)
def test_a_cache_on_a_disk_that_is_full_or_read_only(tmp_path, monkeypatch, caplog, failure):
    real = user_folders.tempfile.TemporaryFile

    def fails(*, dir):  # noqa: A002
        if Path(dir).is_relative_to(tmp_path / ".cache"):
            raise failure
        return real(dir=dir)

    monkeypatch.setattr(user_folders.tempfile, "TemporaryFile", fails)
    assert cache_folder().is_relative_to(temporary_home())
    assert failure.strerror in caplog.text


def test_a_configured_cache_must_be_writable(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("")
    for place in (path, path / "below"):
        monkeypatch.setenv("MOBILE_NAS_CACHE", str(place))
        with pytest.raises(InputError, match="set MOBILE_NAS_CACHE to a writable folder"):
            open_device("cpu")


def test_a_temporary_home_of_another_user_is_not_used(tmp_path):
    mine = tmp_path / f"mobile-nas-{os.getuid()}"
    (tmp_path / "theirs").mkdir()
    mine.symlink_to(tmp_path / "theirs")
    assert temporary_home() != mine
