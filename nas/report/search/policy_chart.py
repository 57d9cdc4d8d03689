"""Charts of the policy: one heat map per block, with a row per choice and a column per batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import groupby

from nas.engine.trial import Trial
from nas.formatting import Labels, block_of, percent
from nas.report.charts import LAYOUT, Figure
from nas.searching.results.record import Shares

# From never (orange) over even odds (white) to always (blue): safe for the color-blind.
SCALE = [[0.0, "#B35806"], [0.25, "#F1A340"], [0.5, "#FFFFFF"], [0.75, "#67A9CF"], [1.0, "#08519C"]]

LINE_PX, AROUND_PX, NAME_PX, LEAST_MARGIN_PX = 15, 34, 7, 86


def frequencies(trials: Sequence[Trial], labels: Labels) -> Shares:
    """Count how often each choice was made in each batch, for controllers without a policy.

    Returns:
        (batches, decisions, choices)
    """
    batches = [[t.tokens for t in group] for _, group in groupby(trials, key=lambda t: t.batch)]
    return [
        [
            [sum(tokens[d] == c for tokens in batch) / len(batch) for c in range(len(choices))]
            for d, (_, choices) in enumerate(labels)
        ]
        for batch in batches
    ]


def preference(share: float, choices: int) -> float:
    """Scale a share by its distance from even odds: -1 never chosen, 0 even, 1 always chosen.

    Decisions between two and between four choices become comparable by eye.

    >>> [preference(share, 4) for share in (0.0, 0.25, 0.625, 1.0)]
    [-1.0, 0.0, 0.5, 1.0]
    """
    even = 1 / choices
    if share <= even:
        return share / even - 1
    return (share - even) / (1 - even)


def policy_by_block(shares: Shares, labels: Labels) -> dict[str, Figure]:
    """Return a heat map for each block, by the block's name."""
    by_block = groupby(enumerate(labels), key=lambda item: block_of(item[1][0])[0])
    return {
        block or "network": _heat_map(shares, [(d, name, choices) for d, (name, choices) in group])
        for block, group in by_block
    }


def _heat_map(shares: Shares, decisions: list[tuple[int, str, Sequence[str]]]) -> Figure:
    lines = [(d, c, len(choices)) for d, _, choices in decisions for c in range(len(choices))]
    names = [
        f"{block_of(name)[1]} {choice}" for _, name, choices in decisions for choice in choices
    ]
    names = [escape(name) for name in names]
    data = {
        "type": "heatmap",
        "x": list(range(len(shares))),
        "y": list(range(len(lines))),
        "z": [[round(preference(b[d][c], n), 3) for b in shares] for d, c, n in lines],
        "hovertext": [
            [f"<b>{name}</b><br>batch {i}: {percent(b[d][c])}" for i, b in enumerate(shares)]
            for name, (d, c, _) in zip(names, lines, strict=True)
        ],
        "hoverinfo": "text",
        "zmin": -1,
        "zmax": 1,
        "colorscale": SCALE,
        "showscale": False,
    }
    return {"data": [data], "layout": _layout(names, decisions, batches=len(shares))}


def _layout(
    names: list[str], decisions: list[tuple[int, str, Sequence[str]]], *, batches: int
) -> Figure:
    axis = {"fixedrange": True, "showgrid": False, "zeroline": False}
    return LAYOUT | {
        "height": AROUND_PX + LINE_PX * len(names),
        "margin": {"l": _margin_px(names), "r": 8, "t": 4, "b": AROUND_PX - 4},
        "xaxis": axis
        | {"tick0": 0, "dtick": max(1, math.ceil(batches / 5)), "tickfont": {"size": 11}},
        "yaxis": axis
        | {"autorange": "reversed", "tickfont": {"size": 11}, "ticklabelstandoff": 4}
        | {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": names},
        "shapes": _gaps([len(choices) for _, _, choices in decisions]),
    }


def _margin_px(names: Sequence[str]) -> int:
    """Return how much room the names take at the left.

    >>> _margin_px(["width 0.5"]), _margin_px(["expansion 0.625"])
    (86, 115)
    """
    return max(LEAST_MARGIN_PX, NAME_PX * max(map(len, names)) + 10)


def _gaps(sizes: list[int]) -> list[Figure]:
    """Return lines between the decisions, and a frame."""
    edges = [sum(sizes[:i]) - 0.5 for i in range(1, len(sizes))]
    line = {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "line": {"width": 1, "color": "#52606D"},
    }
    around = {"type": "rect", "xref": "paper", "yref": "paper", "x0": 0, "y0": 0, "x1": 1, "y1": 1}
    frame = around | {"line": {"width": 1, "color": "#B8C0C8"}}
    return [frame, *(line | {"y0": y, "y1": y} for y in edges)]
