# SPDX-License-Identifier: MIT
"""Absolute xenstore paths that people type.  Source: xen/docs/misc/xenstore.txt."""

from __future__ import annotations

import re

from usblkback_tui.protocol.errors import UserError

MAX_PATH = 3072
"""Characters in an absolute path."""

_PATH = re.compile(r"/|(/[0-9A-Za-z\-_@]+)+", re.ASCII)


def check_store_path(path: str) -> str:
    """The path itself.  Raises UserError for what xenstored would refuse."""
    if len(path) > MAX_PATH or not _PATH.fullmatch(path):
        shown = path if len(path) <= 80 else path[:79] + "…"
        raise UserError(
            f"{shown!r} is no xenstore path",
            fix="begin with / and use letters, digits, - _ @ between slashes, without one at the end",
            key="path",
            value=shown,
        )
    return path
