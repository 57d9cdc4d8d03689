"""How a search begins: from a parent, from new weights, or with those that overlap with a network's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces import REFERENCES, InputError
from search_spaces.spaces.elastic_file import ElasticFile, is_network_of

SUB_NETWORKS = "elastic"
"""Name of the space of all sub-networks of a parent."""


def with_beginning(
    own: Mapping[str, Any], overrides: Mapping[str, Any], *, default_parent: str | None
) -> dict[str, Any]:
    """Return the overrides with the parent of a search, or with `weights_from`.

    A parent that is given with a space from scratch only lends its weights.

    Args:
        own: The settings of a file.
        overrides: Settings that take precedence.
        default_parent: The parent of a search whose settings do not say how it begins; None begins from
            scratch.

    Raises:
        InputError: A space of sub-networks comes without its parent, or one from scratch with the settings
            of a search from a parent.
    """
    settings = dict(overrides)
    space = overrides.get("space") or own.get("space")
    file = ElasticFile.read(space) if isinstance(space, str) else None
    if file is not None:
        if not any(map(_names_parent, (own, overrides))):
            if default_parent is None or ("parent" in own and own["parent"] is None):
                raise InputError(
                    f"space {file.path} has the sub-networks of {file.named}, which inherit its "
                    "weights: give them with --parent, and neither --from-scratch nor --preset paper"
                )
            _require_default(file, default_parent)
            settings["parent"] = {**(overrides.get("parent") or {}), "path": default_parent}
    elif space is not None and space != SUB_NETWORKS:
        if own.get("parent"):
            raise InputError(
                f"space {space} is searched from scratch, and parent in the settings is for a search of "
                "its sub-networks: leave one of them out"
            )
        if _names_parent(overrides):
            del settings["parent"]
            settings["weights_from"] = overrides["parent"]["path"]
    elif default_parent is not None and not any(map(_says_how_it_begins, (own, overrides))):
        settings["parent"] = {**overrides.get("parent", {}), "path": default_parent}
    return settings


def _names_parent(given: Mapping[str, Any]) -> bool:
    parent = given.get("parent")
    return isinstance(parent, Mapping) and "path" in parent


def _says_how_it_begins(given: Mapping[str, Any]) -> bool:
    """Return whether settings name a parent or a space, or what only a search from scratch has."""
    data, parent = given.get("data"), given.get("parent", {})
    small = isinstance(data, Mapping) and (
        data.get("source") == "fashion-mnist-subset" or "proxy_resolution" in data
    )
    named = "path" in parent if isinstance(parent, Mapping) else True
    scratch = ("space", "warm_start", "weights_from", "teacher")
    return small or named or any(given.get(key) for key in scratch)


def _require_default(file: ElasticFile, default_parent: str) -> None:
    """Check that a space is of the default parent's sub-networks.

    Raises:
        InputError: It is of another's.
    """
    if not is_network_of(file.parent, REFERENCES[default_parent]()):
        raise InputError(
            f"space {file.path} has the sub-networks of {file.named}, whose weights are not in the "
            "package: give them with --parent"
        )
