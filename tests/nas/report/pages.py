"""Reading a report's page."""

import json
import re


def figures_in(html):
    (found,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', html)
    return json.loads(found)


def traces(html, chart):
    return {t["name"]: t for t in figures_in(html)[chart]["data"] if t.get("showlegend", True)}


def text_of(html):
    """What stands on the page, without charts, scripts and tags."""
    body = re.sub(r"<(script|style).*?</\1>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))
