"""The types of a spec's fields: what pydantic accepts for each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

Op = Literal["conv", "sepconv", "mbconv"]
Act = Literal["relu", "relu6", "hswish", "hswish_unfused", "swish"]
Gate = Literal["none", "sigmoid", "hsigmoid"]
Skip = Literal["none", "identity", "pool"]
Channels = Annotated[int, Field(gt=0)]
Optional0 = Annotated[int, Field(ge=0)]  # 0 removes the part
Kernel = Annotated[int, Field(gt=0)]
Stride = Literal[1, 2]
Dilation = Literal[1, 2, 4]
Padding = Literal["torch", "same"]
Epsilon = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]

STRICT = ConfigDict(extra="forbid", strict=True)
