"""What `search` and `adapt` show of their own accord: where somebody looks on, and where nobody does."""

import io
import logging
import sys
from types import SimpleNamespace

import pytest

from nas.adapting.watching import AdaptWatcher
from nas.display import default_watchers
from nas.display.default_watchers import in_notebook, interactive
from nas.engine.watching import Silent
from tests.nas.adapting.test_adapt import run
from tests.nas.searching.test_evidence import accuracy_of, searched


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Puts a terminal in place of standard error; called in the test, as pytest sets its own before."""

    def shown():
        file = Terminal()
        monkeypatch.setattr(sys, "stderr", file)
        monkeypatch.setenv("TERM", "xterm")
        return file

    return shown


@pytest.fixture
def notebook(monkeypatch):
    """A process that looks like a notebook's kernel."""
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


def test_a_terminal_shows_the_commands_view(terminal, tmp_path, capsys):
    file = terminal()
    searched(tmp_path, evaluate=accuracy_of, watcher=None)
    assert "best so far" in file.getvalue()
    assert capsys.readouterr().out == ""


def test_a_notebook_gets_a_line_a_trial(notebook, tmp_path, capsys):
    assert interactive()
    searched(tmp_path, evaluate=accuracy_of, watcher=None)
    out, err = capsys.readouterr()
    assert "trial 7: 92.0% at " in out + err


def test_elsewhere_it_is_a_line_a_batch_in_the_log(tmp_path, caplog, capsys):
    caplog.set_level(logging.INFO, logger="nas.display.default_watchers")
    searched(tmp_path, evaluate=accuracy_of, watcher=None)
    first, second = [record.getMessage() for record in caplog.records]
    assert first.startswith("batch 1: 4 trials done, best so far trial ")
    assert second.startswith("batch 2: 8 trials done, best so far trial ")
    assert first.endswith(" px)")
    assert capsys.readouterr() == ("", "")
    caplog.clear()
    searched(tmp_path, evaluate=accuracy_of, watcher=None)  # nothing is trained
    assert caplog.records == []


@pytest.mark.parametrize("looks_on", ["terminal", "notebook", "caplog"])
@pytest.mark.slow
def test_silent_is_silent_everywhere(looks_on, request, tmp_path, capsys, caplog):
    given = request.getfixturevalue(looks_on)
    file = given() if looks_on == "terminal" else io.StringIO()
    caplog.set_level(logging.INFO)
    searched(tmp_path / "one", evaluate=accuracy_of, watcher=Silent())
    run(tmp_path / "two", watcher=Silent())
    run(tmp_path / "three", watcher=AdaptWatcher())
    assert capsys.readouterr() == ("", "")
    assert [r for r in caplog.records if r.name.startswith("nas")] == []
    assert file.getvalue() == ""


def test_a_callers_own_watcher_takes_the_place_of_the_view(terminal, tmp_path):
    class Counting(Silent):
        done = 0

        def finished(self, trial, *, replayed):
            self.done += 1

    file = terminal()
    searched(tmp_path, evaluate=accuracy_of, watcher=(watcher := Counting()))
    assert watcher.done == 8 + 1 + 4
    assert file.getvalue() == ""


def test_netadapt_too(terminal, tmp_path):
    file = terminal()
    run(tmp_path)
    assert "step 1: " in file.getvalue()


def test_netadapt_elsewhere_is_a_line_a_step(tmp_path, caplog, capsys):
    caplog.set_level(logging.INFO, logger="nas.display.default_watchers")
    result = run(tmp_path)
    said = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in said] == [
        f"step {number}" for number in range(1, len(result.family) + 1)
    ]
    assert all(f" ms ({result.spec.resolution} px), target " in line for line in said)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "ipython",
    [
        SimpleNamespace(get_ipython=lambda: None),
        SimpleNamespace(get_ipython=lambda: SimpleNamespace()),  # IPython in a terminal
    ],
)
def test_ipython_alone_is_no_notebook(monkeypatch, ipython):
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not in_notebook()


def test_a_process_without_standard_error_shows_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert not default_watchers.interactive()
