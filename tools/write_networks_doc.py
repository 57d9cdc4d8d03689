"""Write the tables of docs/explanation/networks.md from the specs, and leave its prose alone.

    python tools/write_networks_doc.py
    python tools/write_networks_doc.py --check

A table stands between two comments that the page's readers do not see: one names it, as
`<!-- layers mobilenet_v1 -->`, and `<!-- end -->` closes it. `--check` writes nothing, and ends with
status 1 if the file is not what would be written.
"""

import argparse
import csv
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from nas.cli.commands.improve import take_steps
from nas.report.layer_table import HEADINGS, cells, layer_table
from search_spaces import REFERENCES, ArchSpec, count
from search_spaces.cost import layers_by_stage
from search_spaces.improvements import (
    hswish_from,
    quarter_squeeze_excite,
    redesign_last_stage,
    resize_stem,
)

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs/explanation/networks.md"
PUBLISHED = ROOT / "tests/search_spaces/published_counts.csv"
_TABLE = re.compile(r"(<!-- (?P<name>[\w. -]+?) -->\n).*?(<!-- end -->)", re.DOTALL)

# Top-1 in percent and, on one big core of a Pixel 1, milliseconds. MobileNetV1: its paper; MnasNet-B1 has
# none by the same runtime; the rest: MobileNetV3 paper, table 3, and, minimalistic, slim's README.
ACCURACY_AND_PIXEL = {
    "mobilenet_v1": ("70.6", ""),
    "mobilenet_v2": ("72.0", "64"),
    "mnasnet_a1": ("75.2", "71"),
    "mnasnet_b1": ("", ""),
    "mnasnet_small": ("64.9", "20.3"),
    "mobilenet_v3_large_unimproved": ("", ""),
    "mobilenet_v3_large": ("75.2", "51"),
    "mobilenet_v3_small_unimproved": ("", ""),
    "mobilenet_v3_small": ("67.4", "15.8"),
    "mobilenet_v3_large_minimalistic": ("72.3", "44.1"),
    "mobilenet_v3_small_minimalistic": ("61.9", "12.2"),
}
# MobileNetV3-Large with h-swish from N channels on (None: ReLU): top-1, and ms with h-swish as one
# operation and as several. MobileNetV3 paper, table 5.
HSWISH = {
    16: ("75.4", "53.5", "68.9"),
    80: ("75.2", "51.4", "57.5"),
    112: ("75.0", "51", "54.4"),
    None: ("74.5", "50.5", "50.5"),
}
WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.25)


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """A table whose first `left` columns are text and the others figures.

    >>> print(markdown(["a", "b"], [["x", "1"]]))
    | a | b |
    |---|--:|
    | x | 1 |
    """
    rule = ["---"] * left + ["--:"] * (len(headings) - left)
    lines = [f"| {' | '.join(row)} |" for row in (headings, *rows)]
    return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:]])


def millions(number: int, digits: int = 1) -> str:
    """A count in millions."""
    return f"{number / 1e6:.{digits}f}M"


def layers(name: str) -> str:
    """A network's layer table, and its totals."""
    spec = REFERENCES[name]()
    cost = count(spec)
    table = markdown(HEADINGS, [cells(row) for row in layer_table(spec)], left=2)
    total = f"{cost.params:,} parameters, {millions(cost.madds)} MAdds at {spec.resolution} px"
    return f"{table}\n\n`{name}`: {total}"


def line() -> str:
    """Every network, oldest first."""
    rows = []
    for name, (top1, pixel_ms) in ACCURACY_AND_PIXEL.items():
        cost = count(REFERENCES[name]())
        params, madds = millions(cost.params, 2), millions(cost.madds)
        rows.append([f"`{name}`", params, madds, top1, pixel_ms])
    return markdown(["network", "parameters", "MAdds", "top-1 %", "Pixel 1 ms"], rows)


def steps(name: str, hswish: str) -> str:
    """A network before the improvements and after each."""
    improvements: dict[str, Callable[[ArchSpec], ArchSpec]] = {
        "last stage: pool earlier": redesign_last_stage,
        "stem: 32 filters to 16, h-swish": resize_stem,
        f"h-swish from {hswish} channels on": partial(hswish_from, channels=int(hswish)),
        "squeeze-and-excite: a quarter of the expansion": quarter_squeeze_excite,
    }
    taken = take_steps(REFERENCES[name](), improvements)
    rows = []
    for before, step in zip([taken[0], *taken], taken, strict=False):
        was, now = count(before.spec), count(step.spec)
        changes = [_change(now.params - was.params), _change(now.madds - was.madds)]
        rows.append(
            [step.name or "before", f"{now.params:,}", changes[0], millions(now.madds), changes[1]]
        )
    return markdown(["step", "parameters", "change", "MAdds", "change"], rows)


def _change(by: int) -> str:
    if not by:
        return "0"
    sign = "+" if by > 0 else "-"
    return f"{sign}{millions(abs(by), 2)}" if abs(by) >= 10_000 else f"{sign}{abs(by):,}"


def hswish() -> str:
    """MobileNetV3-Large with h-swish from different widths on."""
    rows = []
    for channels, published in HSWISH.items():
        spec = hswish_from(REFERENCES["mobilenet_v3_large"](), channels)
        blocks = sum(block.act == "hswish" for block in spec.blocks)
        rows.append([f"from {channels}" if channels else "ReLU", str(blocks), *published])
    return markdown(["h-swish", "blocks with it", "top-1 %", "ms, fused", "ms, not fused"], rows)


def shares() -> str:
    """Where each network's multiply-adds and parameters are."""
    rows = []
    for name in ACCURACY_AND_PIXEL:
        spec = REFERENCES[name]()
        all_layers = [layer for _, stage in layers_by_stage(spec) for layer in stage]
        on_maps = [layer for layer in all_layers if layer.in_px > 1]
        madds = [
            [layer.madds for layer in on_maps if layer.kernel == 1],
            [layer.madds for layer in on_maps if layer.groups > 1],
        ]
        params = [
            [layer.params for layer in all_layers if layer.name in ("squeeze", "excite")],
            [layer.params for layer in all_layers if layer.name in ("hidden", "classifier")],
        ]
        cost = count(spec)
        parts = [sum(part) / cost.madds for part in madds] + [sum(p) / cost.params for p in params]
        rows.append([f"`{name}`", *(f"{part:.0%}" if part else "" for part in parts)])
    headings = ["network", "MAdds: 1x1", "depthwise", "parameters: SE", "after the pool"]
    return markdown(headings, rows)


def widths() -> str:
    """MobileNetV3 by both conventions."""
    rows = []
    for name in ("mobilenet_v3_large", "mobilenet_v3_small"):
        for width in WIDTHS:
            paper = count(REFERENCES[name](width=width))
            torchvision = count(REFERENCES[name](width=width, convention="torchvision"))
            figures = [
                text
                for cost in (paper, torchvision)
                for text in (f"{cost.params:,}", millions(cost.madds))
            ]
            rows.append([f"`{name}@{width:g}`", *figures])
    return markdown(
        ["network", "paper: parameters", "MAdds", "torchvision: parameters", "MAdds"], rows
    )


def published() -> str:
    """At width 1 and 224 px: each source's figures beside ours."""
    rows = []
    for row in _published_rows():
        if row["width"] != "1.0" or row["resolution"] != "224":
            continue
        cost = count(_spec(row))
        ours = [millions(cost.madds, 2), millions(cost.params, 2)]
        theirs = [f"{row['madds_m']}M", f"{row['params_m']}M"]
        mark = "" if not row["why_it_differs"] else "differs"
        rows.append([f"`{row['network']}`", row["source"], *zip_flat(ours, theirs), mark])
    rows.sort(key=lambda r: list(ACCURACY_AND_PIXEL).index(r[0].strip("`")))
    return markdown(
        ["network", "source", "MAdds, ours", "theirs", "parameters, ours", "theirs", ""],
        rows,
        left=2,
    )


def zip_flat(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Both by turns.

    >>> zip_flat("ac", "bd")
    ['a', 'b', 'c', 'd']
    """
    return [text for pair in zip(first, second, strict=True) for text in pair]


def differing() -> str:
    """The published figures that are not ours, one line a reason, and how many are."""
    groups: dict[str, list[dict[str, str]]] = defaultdict(list)
    rows = _published_rows()
    for row in rows:
        groups[row["why_it_differs"]].append(row)
    agreeing = groups.pop("")
    table = [
        [_names(group), _sources(group), str(len(group)), _off(group, "madds"), _off(group, "params"), why]
        for why, group in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]  # fmt: skip
    headings = ["network", "source", "rows", "MAdds", "parameters", "why"]
    lines = markdown(headings, table, left=6)
    return (
        f"Of {len(rows)} published rows {len(agreeing)} agree with ours in both figures, to the last "
        f"digit printed. The other {len(rows) - len(agreeing)}, with theirs against ours:\n\n{lines}"
    )


def _published_rows() -> list[dict[str, str]]:
    return list(csv.DictReader(PUBLISHED.read_text(encoding="utf-8").splitlines()))


def _spec(row: dict[str, str]) -> ArchSpec:
    return REFERENCES[row["network"]](width=float(row["width"]), resolution=int(row["resolution"]))


def _names(group: list[dict[str, str]]) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(row["network"] for row in group))


def _sources(group: list[dict[str, str]]) -> str:
    return ", ".join(dict.fromkeys(row["source"] for row in group))


def _off(group: list[dict[str, str]], of: str) -> str:
    """By how much the printed figures are off ours, in percent; a rounded figure is not off."""
    offs = []
    for row in group:
        printed, ours = float(row[f"{of}_m"]), getattr(count(_spec(row)), of) / 1e6
        decimals = len(row[f"{of}_m"].partition(".")[2])
        rounded = abs(printed - ours) < 10**-decimals
        offs.append(0.0 if rounded else 100 * (printed / ours - 1))
    low, high = min(offs), max(offs)
    if not low and not high:
        return "agree"
    return f"{low:+.1f}%" if f"{low:.1f}" == f"{high:.1f}" else f"{low:+.1f} to {high:+.1f}%"


TABLES: dict[str, Callable[..., str]] = {
    "layers": layers,
    "line": line,
    "steps": steps,
    "hswish": hswish,
    "shares": shares,
    "widths": widths,
    "published": published,
    "differing": differing,
}


def rewritten(text: str) -> str:
    """The page with every table made anew.

    Raises:
        KeyError: A comment names no table.
    """

    def table(match: re.Match[str]) -> str:
        kind, *arguments = match["name"].split()
        return f"{match[1]}\n{TABLES[kind](*arguments)}\n\n{match[3]}"

    return _TABLE.sub(table, text)


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if it is old")
    arguments = parser.parse_args()
    old = TARGET.read_text(encoding="utf-8")
    new = rewritten(old)
    if arguments.check:
        if old != new:
            sys.stderr.write(f"{TARGET} is not up to date: run python {sys.argv[0]}\n")
        return int(old != new)
    TARGET.write_text(new, encoding="utf-8")
    sys.stdout.write(f"{TARGET}: {'as it was' if old == new else 'written'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
