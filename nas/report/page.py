"""A self-contained page: every report's skeleton, styles and charts, with nothing from the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from nas.report.charts import Figure


def counted_failures(name: str, reasons: Iterable[str]) -> list[tuple[str, str, int]]:
    """Each reason once, the most frequent first, with how often it came.

    >>> counted_failures("Failed", ["diverged", "killed", "diverged"])
    [('Failed', 'diverged', 2), ('Failed', 'killed', 1)]
    """
    return [(name, reason, times) for reason, times in Counter(reasons).most_common()]


def render_page(template: str, *, figures: Mapping[str, Figure], **values: Any) -> str:
    """A page as HTML; what others wrote cannot become markup.

    Args:
        template: Name of a file in this package, which extends `page_template.html`.
        figures: The charts, by the ids of the elements that they are drawn in.
        values: What the template shows; every page begins with `kind`, `run.name`, `headline`, `verdict`
            (`alike` where nothing was found), `details`, and `failures` as (name, reason, how often).
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
    script = Markup(get_plotlyjs())  # noqa: S704  plotly's own code, as it is
    return environment.get_template(template).render(figures=figures, plotly_js=script, **values)
