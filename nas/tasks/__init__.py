"""What a network can learn: one file, or one room, for each task.

`task` has the interface, and `task_of` finds a task by its name. Plug-ins register through entry points of
the group ``mobile_nas.tasks``. Nothing here loads torch before a task is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from nas.tasks.task import Metric, Task
from search_spaces import ArchSpec
from search_spaces.errors import InputError
from search_spaces.heads.specs import LRASPPHead, RASPPHead, SSDLiteHead
from search_spaces.nearest import did_you_mean

GROUP = "mobile_nas.tasks"

CLASSIFY, DETECT, SEGMENT = "classify", "detect", "segment"

TASKS: Mapping[str, str] = {
    CLASSIFY: "nas.tasks.classification:Classification",
    DETECT: "nas.tasks.detection.detection:Detection",
    SEGMENT: "nas.tasks.segmentation.segmentation:Segmentation",
}
"""Import path of each built-in task, by name."""


def task_of_spec(spec: ArchSpec) -> str:
    """Return the name of the task that a network's head is for.

    >>> from search_spaces.references import mobilenet_v2
    >>> task_of_spec(mobilenet_v2())
    'classify'
    """
    if isinstance(spec.head, SSDLiteHead):
        return DETECT
    return SEGMENT if isinstance(spec.head, LRASPPHead | RASPPHead) else CLASSIFY


def metric_of_spec(spec: ArchSpec) -> Metric:
    """Return the metric that networks with this head are compared by.

    >>> from search_spaces.references import mobilenet_v2
    >>> metric_of_spec(mobilenet_v2()).name
    'accuracy'
    """
    return task_of(task_of_spec(spec)).metric


@cache  # tasks have no state
def task_of(name: str) -> Task:
    """Return a task, such as the one that `Dataset.task` names.

    Raises:
        InputError: There is no such task.

    >>> type(task_of("classify")).__name__
    'Classification'
    """
    if name in TASKS:
        point = EntryPoint(name, TASKS[name], GROUP)
    else:
        plugins = {plugin.name: plugin for plugin in entry_points(group=GROUP)}
        if name not in plugins:
            known = [*TASKS, *sorted(plugins)]
            raise InputError(
                f"unknown task {name!r}: choose from {', '.join(known)}{did_you_mean(name, known)}"
            )
        point = plugins[name]
    task: Task = point.load()()
    return task
