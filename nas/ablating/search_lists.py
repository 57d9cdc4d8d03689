"""Ablations of searches: lists of searches that differ in one setting each.

    about: Which controller finds the better network
    settings: {trials: 60}
    searches:
    - {name: screened, settings: {controller: screened}}
    - {name: random, settings: {controller: uniform}}

Settings are those of `nas-search --config`. The first search is the one that the others are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from nas.schema import SETTINGS
from nas.searching.config import SearchConfig
from nas.searching.presets import make_config, merged
from search_spaces import InputError


class Variant(BaseModel):
    """A search of an ablation.

    Attributes:
        name: What it is called.
        settings: Those that differ from the others'.
    """

    model_config = SETTINGS

    name: Annotated[str, Field(min_length=1)]
    settings: dict[str, Any] = {}


class SearchAblation(BaseModel):
    """A list of searches to compare.

    Attributes:
        about: What they show, in a line.
        settings: Those that all have in common.
        searches: The searches; the first is the one that the others are compared with.
    """

    model_config = SETTINGS

    about: str
    settings: dict[str, Any] = {}
    searches: Annotated[tuple[Variant, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [one.name for one in self.searches]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two searches are called {twice[0]!r}: give each a name of its own")
        for settings in (self.settings, *(one.settings for one in self.searches)):
            if "seed" in settings:
                raise ValueError("settings must not have a seed, as --seeds sets it: leave it out")
        return self

    def configs(self, given: Mapping[str, Any], **others: Any) -> dict[str, SearchConfig]:
        """Return the settings of each search, by its name.

        Args:
            given: Settings that take precedence over those in common, not over those of single searches.
            others: Arguments of `make_config`, such as the preset.

        Raises:
            InputError: A setting is invalid; the message names its search.
        """
        common = merged(self.settings, given)
        found = {}
        for one in self.searches:
            try:
                found[one.name] = make_config(overrides=merged(common, one.settings), **others)
            except InputError as error:
                raise InputError(f"{one.name}: {error}") from error
        first, *rest = found
        if alike := [name for name in rest if found[name] == found[first]]:
            raise InputError(f"{first} and {alike[0]} have the same settings: change one of them")
        return found
