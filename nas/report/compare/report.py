"""`report.html` of a comparison: a self-contained page with the result and all that repeating it needs."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import NamedTuple

from nas.comparing.comparison import Comparison, verdict
from nas.comparing.config import CompareConfig
from nas.comparing.tables import NOTE, cells, headings
from nas.engine.folder.run_folder import RunFolder
from nas.formatting import counted, metric_title
from nas.report.compare.charts import charts
from nas.report.page import counted_failures, render_page
from nas.training.recipe import Recipe
from search_spaces.shell import quoted


class _Named(NamedTuple):
    name: str


def compare_report(folder: RunFolder, comparison: Comparison, config: CompareConfig) -> str:
    """Return the page.

    Args:
        folder: The comparison's folder.
        comparison: Its result.
        config: Its settings.
    """
    first, *rest = verdict(comparison).split(". ", 1)
    best = comparison.best_other
    difference = None if best is None else comparison.differences[best]
    rows = zip(comparison.rows, comparison.differences, strict=True)
    errors = (f"{row.name}: {error}" for row in comparison.rows for error in row.errors)
    return render_page(
        "compare_report_template.html",
        kind="Comparison",
        run=_Named(folder.path.resolve().name),
        headline=[first if first.endswith(".") else f"{first}.", *rest],
        verdict=[],
        alike=difference is None or difference.by_chance is not False,
        details=details(comparison, config),
        failures=counted_failures("Failed", errors),
        titles=headings(comparison),
        rows=[cells(row, difference) for row, difference in rows],
        note=NOTE.format(metric=comparison.metric, images=comparison.images),
        metric_title=metric_title(comparison.metric),
        devices=comparison.devices,
        command=f"nas compare --resume {quoted(folder.path)}",
        figures=charts(comparison),
    )


def details(comparison: Comparison, config: CompareConfig) -> list[tuple[str, str]]:
    """Return what is needed to repeat the comparison."""
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("mobile-nas", "torch", "onnxruntime")
    )
    rates = ", ".join(f"{rate:g}" for rate in config.rates)
    chosen = "; ".join(f"{row.name}: {row.rate:g}" for row in comparison.rows)
    seeds = f"{config.first_seed} to {config.first_seed + config.seeds - 1}"
    return [
        ("images", f"{config.data.source}, {comparison.images:,} test images"),
        ("devices", ", ".join(comparison.devices)),
        ("seeds", f"{counted(config.seeds, 'training')} of each network, seeds {seeds}"),
        (
            "learning rates",
            f"multiples {rates}, chosen by held-out {comparison.metric}. {chosen}",
        ),
        *(
            (name, _recipe(recipe))
            for name, recipe, new in (
                ("recipe of trained weights", config.finetune, False),
                ("recipe from scratch", config.from_scratch, True),
            )
            if any(row.from_scratch is new for row in comparison.rows)
        ),
        ("teacher", config.teacher.path if config.teacher is not None else "none"),
        ("software", f"{versions}, Python {platform.python_version()}"),
        ("machine", platform.platform()),
    ]


def _recipe(recipe: Recipe) -> str:
    if recipe.steps is not None:
        length = counted(recipe.steps, "step")
    else:
        length = "1 epoch" if recipe.epochs == 1 else f"{recipe.epochs:g} epochs"
    return (
        f"{length} of {recipe.batch_size} images, {recipe.optimizer.name}, peak learning rate "
        f"{recipe.learning_rate:g} (config.yaml has all settings)"
    )
