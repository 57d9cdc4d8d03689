"""Where workers look for modules: where this process does, in the same order."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

SUFFIXES = (".py", ".pyc", ".so", ".pyd")


def own_paths(
    path: Sequence[str] | None = None, modules: Mapping[str, ModuleType] | None = None
) -> list[str]:
    """The folders before Python's own that modules are imported from, as absolute paths.

    Ray would put the working directory before all others: a `controllers/` or a `random.py` of the
    user's that lies there would be imported in place of the module that this process has. A folder
    that would do so is left out, even if it is where a notebook looks.

    Args:
        path: `sys.path` by default. What follows Python's own folders each worker has by itself.
        modules: Those that are loaded; `sys.modules` by default.
    """
    path = sys.path if path is None else path
    modules = sys.modules if modules is None else modules
    own = []
    for entry in path:
        folder = Path(entry or ".").absolute()
        if _is_pythons(folder):
            break
        if not folder.is_dir() or not _shadows(folder, modules):
            own.append(str(folder))
    return own


def _is_pythons(folder: Path) -> bool:
    """Whether modules of Python's library come from here."""
    library = Path(sysconfig.get_path("stdlib"))
    return folder == library or (folder.parent == library.parent and folder.suffix == ".zip")


def _shadows(folder: Path, modules: Mapping[str, ModuleType]) -> bool:
    """Whether a module in a folder would be imported in place of one that is loaded from elsewhere."""
    try:
        entries = list(folder.iterdir())
    except OSError:
        return True  # nothing can be imported from it
    for entry in entries:
        name = entry.name.partition(".")[0]
        module = modules.get(name)
        if module is None or name == "__main__":
            continue
        if entry.suffix in SUFFIXES or (entry / "__init__.py").is_file():
            file = getattr(module, "__file__", None)
            if file is None or not Path(file).absolute().is_relative_to(folder):
                return True
    return False
