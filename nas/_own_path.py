"""Takes the working directory off the module path of `python -m nas.cli.main`.

Python puts it there before all others: a `controllers/` of the user's that lies there is not ours. Where
this package itself lies there, it is right.
"""

import sys
from pathlib import Path

OURS = Path(__file__).absolute().parents[1]

if (
    sys.orig_argv[1:3] == ["-m", "nas.cli.main"]
    and not sys.flags.safe_path
    and Path(sys.path[0]).absolute() == Path.cwd() != OURS
):
    del sys.path[0]
