# SPDX-License-Identifier: MIT
"""Lines of JSON from a file that anybody may have written: bounded and finite."""

from __future__ import annotations

import json
import math
from typing import Any

_DIGITS = 20
"""Of a whole number, sign included: enough for 64 bits."""
_LARGEST = float(2**53)


def dump(data: Any) -> bytes:
    """One line, its newline included."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def load(line: bytes) -> dict[str, Any]:
    """The object of a line.  Raises ValueError for what is no JSON object or holds a number nobody wrote."""
    try:
        data = json.loads(line, parse_int=_whole, parse_float=_number, parse_constant=_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError("it is no object")
    return data


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError("a number is too long")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or abs(value) > _LARGEST:
        raise ValueError("a number is too large")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"{text} is no number")
