# SPDX-License-Identifier: MIT
"""Completion of file names, as a shell does it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice

MOST = 2000
"""Names looked at in one directory."""


@dataclass(frozen=True, slots=True)
class Completion:
    """``text`` is what was typed with everything added that is certain; ``names`` what could follow, sorted."""

    text: str
    names: tuple[str, ...] = ()


def complete_path(typed: str) -> Completion:
    """Complete a path.  Reads one directory; one that cannot be read completes nothing."""
    expanded = os.path.expanduser(typed)
    directory, start = os.path.split(expanded)
    try:
        with os.scandir(directory or ".") as entries:
            found = sorted(
                entry.name + ("/" if entry.is_dir() else "")
                for entry in islice(entries, MOST)
                if entry.name.startswith(start) and (start.startswith(".") or not entry.name.startswith("."))
            )
    except OSError:
        return Completion(typed)
    if not found:
        return Completion(typed)
    return Completion(os.path.join(directory, _common_start(found)), tuple(found))


def _common_start(names: list[str]) -> str:
    """What sorted names have in common: what the first and the last of them have."""
    first, last = names[0], names[-1]
    same = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:same]
