"""The commands. `main` has the list; one file a command."""

import sys
from pathlib import Path

# `python -m nas.cli.main` looks for modules in the working directory first: a `controllers/` of the user's
# that lies there is not ours. Where this package itself lies there, it is right.
if sys.orig_argv[1:3] == ["-m", "nas.cli.main"] and not sys.flags.safe_path:
    _ours = Path(__file__).absolute().parents[2]
    if sys.path and Path(sys.path[0]).absolute() == Path.cwd() != _ours:
        del sys.path[0]
