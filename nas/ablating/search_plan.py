"""The searches that an ablation runs, one after another, and their folders."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Self

from nas.atomic_files import read_json, write_whole
from nas.searching.config import SearchConfig, parse_config
from search_spaces import InputError

FILE = "searches.json"
"""The plan, in the run's folder."""

FOLDER = "searches"
"""Folder of the searches' folders, in the run's."""


@dataclass(frozen=True)
class PlannedSearch:
    """A search of an ablation.

    Attributes:
        name: The search's name in the ablation.
        seed: Its random seed.
        folder: Name of its folder.
        config: Its settings.
    """

    name: str
    seed: int
    folder: str
    config: SearchConfig

    def with_targets_of(self, other: SearchConfig) -> PlannedSearch:
        """Return the search with the targets of another one where it has none of its own.

        A target that follows from a measured latency would differ a little between searches.
        """
        if (
            None not in self.config.targets.values()
            or self.config.targets.keys() != other.targets.keys()
        ):
            return self
        both = {"device": other.device, "target_ms": other.target_ms}
        return replace(self, config=self.config.model_copy(update=both))


@dataclass(frozen=True)
class SearchesPlan:
    """All searches of an ablation.

    Attributes:
        about: What they show.
        configs: The settings of each, by its name.
        seeds: Random seeds that each runs with.
    """

    about: str
    configs: Mapping[str, SearchConfig]
    seeds: tuple[int, ...]

    def __iter__(self) -> Iterator[PlannedSearch]:
        """Yield the searches: all of a seed before those of the next."""
        numbered = list(enumerate(self.configs.items(), start=1))
        for seed, (number, (name, config)) in product(self.seeds, numbered):
            folder = f"{number}-{_plain(name)}-seed-{seed}"
            own = config.model_copy(update={"seed": seed})
            yield PlannedSearch(name, seed, folder, own)

    def __len__(self) -> int:
        """Return the number of searches."""
        return len(self.configs) * len(self.seeds)

    def write(self, run: Path) -> None:
        """Write it into a run's folder."""
        content = {
            "about": self.about,
            "seeds": self.seeds,
            "searches": {name: one.model_dump(mode="json") for name, one in self.configs.items()},
        }
        write_whole(run / FILE, json.dumps(content, indent=1) + "\n")

    @classmethod
    def read(cls, run: Path) -> Self:
        """Read it from a run's folder.

        Raises:
            InputError: The file is damaged.
        """
        path = run / FILE
        try:
            content = read_json(path)
            configs = {
                name: parse_config(config, where=f"{path}: {name}")
                for name, config in content["searches"].items()
            }
            return cls(content["about"], configs, tuple(map(int, content["seeds"])))
        except InputError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(f"{path} is damaged ({error!r}): restore it from a copy") from error


def _plain(name: str) -> str:
    """Return a name as part of a folder's.

    >>> _plain("w = -0.15")
    'w-0-15'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "search"
