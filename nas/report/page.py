"""The page that all reports share: self-contained HTML with styles and charts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from nas.report.charts import Figure


def counted_failures(name: str, reasons: Iterable[str]) -> list[tuple[str, str, int]]:
    """Count each reason, the most frequent first.

    >>> counted_failures("Failed", ["diverged", "killed", "diverged"])
    [('Failed', 'diverged', 2), ('Failed', 'killed', 1)]
    """
    return [(name, reason, times) for reason, times in Counter(reasons).most_common()]


def render_page(template: str, *, figures: Mapping[str, Figure], **values: Any) -> str:
    """Render a page as HTML; all values are escaped.

    Args:
        template: Name of a file in this package that extends `page_template.html`.
        figures: The charts, by the ids of their elements.
        values: Template variables; every page needs `kind`, `run.name`, `headline`, `verdict` (`alike` if
            no difference was found), `details`, and `failures` as (name, reason, count).
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=FunctionLoader(
            lambda name: (resources.files("nas.report") / name).read_text("utf-8")
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = Markup(get_plotlyjs())  # noqa: S704  trusted: plotly's own code
    return environment.get_template(template).render(figures=figures, plotly_js=script, **values)
