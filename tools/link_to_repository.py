"""A hook of mkdocs: links from a page to files outside of docs/ lead to the repository on the site.

In the sources they are relative paths, so that they work wherever the repository is read.
"""

import posixpath
import re
from typing import Any

LINK = re.compile(r"(!?)(\[[^\]]*\])\(((?:\.\./)+[^)\s]+)\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Rewrite the links of one page."""

    def leading_there(link: re.Match[str]) -> str:
        image, text, target = link.groups()
        path = posixpath.join("docs", posixpath.dirname(page.file.src_uri), target)
        path = posixpath.normpath(path)
        if path.startswith("docs/"):
            return link[0]
        kind = "raw" if image else "blob"
        return f"{image}{text}({config.repo_url.rstrip('/')}/{kind}/main/{path})"

    return LINK.sub(leading_there, markdown)
