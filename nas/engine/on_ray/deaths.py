"""Summarize Ray's messages about dead processes and nodes in one line."""

from __future__ import annotations

import re

LOWER = (
    "end other programs, or resume with fewer --workers; a new run can also lower data.memory_limit_mb, "
    "recipe.batch_size or --proxy-resolution"
)
"""Ways to use less memory."""

LISTED = 3
"""Maximum number of processes listed by memory use."""

_USED = re.compile(r"([\d.]+) ?GB(?: used)? ?/ ?([\d.]+) ?GB")
_TOOK = re.compile(r"^(\d+)\t([\d.]+)\t(.+)$", re.MULTILINE)


def of_memory(message: str) -> str:
    r'''Describe why Ray's memory monitor killed a process, and what to do.

    >>> print(of_memory("""Memory on the node was 9.50GB used / 10.00GB limit (0.95)
    ... Top 10 memory users: PID\tMEM(GB)\tCOMMAND
    ... 12\t6.25\tray::TrainJob
    ... 13\t1.00\tfirefox"""))
    memory ran out (9.50 of 10.00 GB in use; ray::TrainJob 6.25 GB, firefox 1.00 GB): end other programs,
    or resume with fewer --workers; a new run can also lower data.memory_limit_mb, recipe.batch_size or
    --proxy-resolution
    '''
    facts = []
    if used := _USED.search(message):
        facts.append(f"{used[1]} of {used[2]} GB in use")
    users = [f"{_short(command)} {gb} GB" for _, gb, command in _TOOK.findall(message)[:LISTED]]
    facts += [", ".join(users)] if users else []
    about = f" ({'; '.join(facts)})" if facts else ""
    return f"memory ran out{about}: {LOWER}"


def of_cluster(message: str) -> str:
    """Describe why a process or node of the cluster died, other than for memory.

    >>> print(of_cluster("The actor died unexpectedly before finishing this task."))
    part of the Ray cluster died (The actor died unexpectedly before finishing this task.): resume; if it
    dies again, memory may be short: end other programs, or resume with fewer --workers; ...
    """
    first = (message.strip().splitlines() or ["no reason was given"])[0]
    return (
        f"part of the Ray cluster died ({first[:200]}): resume; if it dies again, memory may be short: "
        f"{LOWER}"
    )


def _short(command: str) -> str:
    """Shorten a command line: programs without their folders, at most 40 characters."""
    words = [word.rpartition("/")[2] if word.startswith("/") else word for word in command.split()]
    return " ".join(words)[:40]
