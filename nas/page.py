"""A self-contained page: every report's skeleton, styles and charts, with nothing from the network."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from nas.charts import Figure


def render_page(template: str, *, figures: Mapping[str, Figure], **values: Any) -> str:
    """A page as HTML; what others wrote cannot become markup.

    Args:
        template: Name of a file in this package, which extends `page_template.html`.
        figures: The charts, by the ids of the elements that they are drawn in.
        values: What the template shows.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=FunctionLoader(lambda name: (resources.files("nas") / name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = Markup(get_plotlyjs())  # noqa: S704  plotly's own code, as it is
    return environment.get_template(template).render(figures=figures, plotly_js=script, **values)
