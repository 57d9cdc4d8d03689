"""The composition root: commands, configuration, the search loop, training, reports.

Start with `pipeline.search` (the main job as one call), then `loop` (the algorithm), `schedule` (who
trains), `trial_log` and `runs` (what is kept). The commands are in `cli`.
"""

from nas import _own_path  # noqa: F401 - before anything else is imported
from nas.engine.runner import SearchStoppedError
from nas.run_search import search
from nas.searching.results import SearchResult
from nas.searching.reward import Reward

__all__ = ["Reward", "SearchResult", "SearchStoppedError", "search"]
