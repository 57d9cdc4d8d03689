"""Copy the newest run's results next to the run folders: `runs/best.yaml`, `runs/seed.pt`.

The commands always do, so that `netadapt --seed runs/seed.pt` takes the newest result; `search` and `adapt`
in Python only on request. A copy names its run: a `.yaml` file in its first line, a `.pt` file in a field.
The run's own files do not, so that they do not depend on its name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from nas.atomic_files import write_whole
from nas.engine.folder.run_folder import RunFolder
from search_spaces import InputError

OF_SEARCH = ("best.yaml", "seed.pt")
OF_ADAPT = ("adapted.yaml", "adapted.pt")

_NAMED = re.compile(r"# of run (\S.*)\n")


def publish(folder: RunFolder, *names: str) -> dict[Path, str]:
    """Copy the run's result files to the folder that holds its run folder.

    Args:
        folder: Folder of a finished run.
        names: `OF_SEARCH` or `OF_ADAPT`.

    Returns:
        The earlier run of each replaced copy, by path; empty where unknown. New copies, and those of the
        same run, are left out.

    Raises:
        InputError: A copy cannot be written.
    """
    name = run_name(folder)
    replaced = {}
    for file in names:
        if not (folder / file).is_file():
            continue
        path = folder.path.parent / file
        before = _known(path) if path.is_file() else name
        write_whole(path, _named(folder / file, name))
        if before != name:
            replaced[path] = before
    return replaced


def run_name(folder: RunFolder) -> str:
    """Return the run's name, which is that of its folder."""
    name = os.fsencode(folder.path.resolve().name).decode("utf-8", "replace")
    return " ".join(name.split())


def publish_and_tell(folder: RunFolder, *names: str) -> list[str]:
    """Publish, and describe what was replaced."""
    try:
        return in_words(publish(folder, *names), name=run_name(folder))
    except InputError as error:  # the run itself has succeeded
        return [f"results not copied next to the run folders: {error}"]


def in_words(replaced: Mapping[Path, str], *, name: str) -> list[str]:
    """Describe what `publish` replaced, one sentence per earlier run.

    >>> in_words({Path("runs/best.yaml"): "one", Path("runs/seed.pt"): "one"}, name="two")
    ['runs/best.yaml and runs/seed.pt now come from run two (was run one)']
    >>> in_words({Path("runs/seed.pt"): ""}, name="two")
    ['runs/seed.pt now comes from run two (was an earlier run)']
    """
    sentences = []
    for before in dict.fromkeys(replaced.values()):
        paths = [str(path) for path, run in replaced.items() if run == before]
        come = "comes" if len(paths) == 1 else "come"
        was = f"run {before}" if before else "an earlier run"
        sentences.append(f"{' and '.join(paths)} now {come} from run {name} (was {was})")
    return sentences


def run_of(path: Path) -> str:
    """Return the run named in a published file.

    Empty for any other file, and for copies written before they named their run.

    Raises:
        InputError: The file is damaged.
    """
    if path.suffix == ".pt":
        from nas.checkpoints.checkpoint import load_checkpoint

        return load_checkpoint(path).run
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            named = _NAMED.fullmatch(file.readline())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: give another file") from error
    return named.group(1) if named else ""


def _known(path: Path) -> str:
    try:
        return run_of(path)
    except InputError:  # a damaged copy is replaced
        return ""


def _named(path: Path, name: str) -> bytes:
    """Return the file's content with the run's name added."""
    if path.suffix == ".pt":
        from nas.checkpoints.checkpoint import checkpoint_bytes, load_checkpoint

        return checkpoint_bytes(load_checkpoint(path), run=name)
    return f"# of run {name}\n".encode() + path.read_bytes()
