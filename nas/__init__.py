"""Platform-aware search and NetAdapt: the rooms that tie spaces, controllers and devices together.

Start with `searching.plan` (the search) and `engine.runner` (what runs any plan), then `adapting.plan`
(NetAdapt). `run_search.search` and `run_adapt.adapt` are the Python API, `cli` has the commands.
"""

from nas import _own_path  # noqa: F401 - before anything else is imported
from nas.adapting.results.adapt_result import AdaptResult
from nas.engine.runner import RunStoppedError
from nas.run_adapt import adapt
from nas.run_search import search
from nas.searching.from_parent.searched_parent import SearchedParent
from nas.searching.results.search_result import SearchResult
from nas.searching.reward import Reward

SearchStoppedError = RunStoppedError  # its former name

__all__ = [
    "AdaptResult",
    "Reward",
    "RunStoppedError",
    "SearchResult",
    "SearchStoppedError",
    "SearchedParent",
    "adapt",
    "search",
]
