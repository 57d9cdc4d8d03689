"""What every schema of settings shares: frozen, without unknown keys, with finite numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

SETTINGS = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
Positive = Annotated[int, Field(gt=0)]
Counted = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Strength = Annotated[float, Field(ge=0, lt=1)]
