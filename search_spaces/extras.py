"""What is not installed by default, and the command that installs it."""

from __future__ import annotations

LITERT = "litert-torch>=0.10,<0.11"
"""The extra `litert` of pyproject.toml, which a test compares: installed by itself, it works wherever
mobile-nas came from (a clone, a wheel, an index)."""

INSTALL_LITERT = f"pip install '{LITERT}'"
"""What to type, in the environment that mobile-nas is in."""
