"""Give workers the module search path of this process."""

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
    """Return the folders on the module search path before Python's own, as absolute paths.

    Ray would prepend the working directory, so a user's `controllers/` or `random.py` there would shadow
    the module that this process has loaded. Folders that would shadow a module are left out.

    Args:
        path: `sys.path` by default. Workers have Python's own folders and those after them anyway.
        modules: Loaded modules; `sys.modules` by default.
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
    """Whether this is the folder of Python's standard library."""
    library = Path(sysconfig.get_path("stdlib"))
    return folder == library or (folder.parent == library.parent and folder.suffix == ".zip")


def _shadows(folder: Path, modules: Mapping[str, ModuleType]) -> bool:
    """Whether a folder contains a module of the same name as one loaded from elsewhere."""
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
