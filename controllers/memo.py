"""A memoized function of token sequences."""

from collections.abc import Callable
from typing import Any

from controllers.controller import Tokens

MAX_ENTRIES = 10_000


class Memo(dict[Tokens, Any]):
    """A function with a cache of limited size; picklable if the function is."""

    def __init__(self, function: Callable[[Tokens], Any]) -> None:
        super().__init__()
        self._function = function

    def __call__(self, tokens: Tokens) -> Any:
        """Return the function's value."""
        return self[tokens]

    def __missing__(self, tokens: Tokens) -> Any:
        if len(self) >= MAX_ENTRIES:
            self.clear()
        value = self[tokens] = self._function(tokens)
        return value
