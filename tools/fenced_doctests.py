"""An extension of griffe: doctests in docstrings become code blocks on the site."""

import re
from typing import Any

import griffe

DOCTEST = re.compile(r"^>>> .*?(?=\n\n|\n?\Z)", re.DOTALL | re.MULTILINE)


class FencedDoctests(griffe.Extension):
    """Fences each doctest."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = DOCTEST.sub(
                lambda lines: f"```pycon\n{lines[0]}\n```", obj.docstring.value
            )
