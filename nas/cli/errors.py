"""Report errors of a command: one line on standard error, and an exit status."""

from __future__ import annotations

import errno
import re
import signal
import sys
import threading
from itertools import pairwise
from types import FrameType
from typing import NoReturn, cast

import typer

from latency.measuring.user_folders import ensure_home
from nas.cli.provenance import forget
from nas.cli.suggestions import for_command, for_option
from nas.display.output import show_warnings
from search_spaces.errors import InputError

BAD_INPUT = 2
FAILED = 1
INTERRUPTED = 130
TERMINATED = 143


# The base of typer's public BadParameter: raised for any wrong option or value.
_UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])


_NO_COMMAND = re.compile(r"No such command '(.*?)'")

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
BARRED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


_sent = threading.Event()
"""Set on SIGTERM, as typer swallows the KeyboardInterrupt raised for it."""


class Failed(RuntimeError):  # noqa: N818  reads as what happened
    """The command failed although its input is valid."""


def guarded(program: str, app: typer.Typer) -> None:
    """Run a command; bad input ends in one line on standard error and status 2, without a traceback."""
    _sent.clear()
    show_warnings()
    forget()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminated)
    try:
        ensure_home()
        status = app(standalone_mode=False) or 0
        if status == INTERRUPTED:  # typer turns a KeyboardInterrupt into a status
            _interrupted(program)
        raise SystemExit(status)
    except InputError as error:
        _end(program, str(error), BAD_INPUT)
    except _UsageError as error:
        message = _unknown(error) or error.format_message() + _given_value(error)  # type: ignore[attr-defined]
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help text
            sys.stderr.write(message + "\n")
            raise SystemExit(BAD_INPUT) from None
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else program
        _end(program, f"{message} (see {where} --help)", BAD_INPUT)
    except Failed as error:
        _end(program, str(error), FAILED)
    except (KeyboardInterrupt, typer.Abort):
        _interrupted(program)
    except BrokenPipeError:  # whoever read our output has exited, as `| head` does
        sys.stderr.close()
        raise SystemExit(FAILED) from None
    except OSError as error:
        if error.errno == errno.ENOENT and "temporary directory" in str(error.strerror):
            _end(program, f"{error.strerror}: free space there, or set TMPDIR", BAD_INPUT)
        # Without a file name the error may come from a socket.
        if error.errno not in FULL and (error.errno not in BARRED or error.filename is None):
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        mend = (
            "free disk space"
            if error.errno in FULL
            else "choose a path that you may read and write"
        )
        _end(program, f"{where}{error.strerror}: {mend}", BAD_INPUT)


def _unknown(error: Exception) -> str:
    """Describe an unknown option or command, with a suggestion; empty for other errors."""
    command = getattr(getattr(error, "ctx", None), "command", None)
    if (typed := getattr(error, "option_name", None)) and type(error).__name__ == "NoSuchOption":
        known = [option for param in getattr(command, "params", ()) for option in param.opts]
        return f"No such option: {typed}{for_option(typed, known)}"
    if (missing := _NO_COMMAND.match(str(getattr(error, "message", "")))) and command is not None:
        return f"No such command {missing[1]!r}{for_command(missing[1], list(command.commands))}"
    return ""


def _given_value(error: Exception) -> str:
    """Return the value typed, if typer's message shows only the option."""
    for option in getattr(getattr(error, "param", None), "opts", ()):
        for word, following in reversed([*pairwise([*sys.argv[1:], ""])]):  # the last one counts
            value = following if word == option else word.removeprefix(f"{option}=")
            if value != word and value and repr(value) not in str(error):
                return f", got {value!r}"
    return ""


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Handle SIGTERM, sent by `kill` and batch systems, like Ctrl-C: the command prints how to resume."""
    _sent.set()
    raise KeyboardInterrupt


def _interrupted(program: str) -> NoReturn:
    if _sent.is_set():
        _end(program, "terminated", TERMINATED)
    _end(program, "interrupted", INTERRUPTED)


def _end(program: str, message: str, status: int) -> NoReturn:
    one_line = " ".join(line.strip() for line in message.splitlines()).strip()
    sys.stderr.write(f"{program}: {one_line}\n")
    raise SystemExit(status)
