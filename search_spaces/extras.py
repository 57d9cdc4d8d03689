"""Optional dependencies, and the command that installs them."""

from __future__ import annotations

LITERT = "litert-torch>=0.10,<0.11"
"""The extra `litert` of pyproject.toml (a test compares them). Naming the package itself works however
mobile-nas was installed: from a clone, a wheel or an index."""

INSTALL_LITERT = f"pip install '{LITERT}'"
"""The command to run in mobile-nas's environment."""
