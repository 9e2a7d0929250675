# SPDX-License-Identifier: MIT
"""What several commands need: the settings of a command line, and the engine that already runs."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from usblkback_tui.engine.config import load_settings
from usblkback_tui.engine.control.address import socket_path
from usblkback_tui.engine.control.client import NoEngine, RemoteBackend
from usblkback_tui.engine.settings import Settings

DISK_OPTIONS = (
    "max_ring_page_order",
    "max_queues",
    "indirect_segments",
    "persistent_pages",
    "io_engine",
    "direct_io",
)
"""Options of an engine that ``attach`` has for one disk, too."""

_OPTIONS = ("socket", "affinity", "high_priority", "wait", "read_only", *DISK_OPTIONS)


def settings_of(args: argparse.Namespace) -> Settings:
    """Options over environment over file over defaults.  Raises ConfigError."""
    options = {key: getattr(args, key) for key in _OPTIONS if hasattr(args, key)}
    return load_settings(getattr(args, "config", None), options=options)


def socket_of(settings: Settings) -> Path:
    """The control socket to use."""
    return socket_path(settings.engine.socket)


def remote(settings: Settings) -> closing[RemoteBackend]:
    """The running engine, for a ``with``."""
    return closing(RemoteBackend(socket_of(settings)))


def running_engine(path: Path) -> int | None:
    """The pid of the engine at ``path``; None when there is none."""
    try:
        return RemoteBackend(path).engine_pid()
    except NoEngine:
        return None
