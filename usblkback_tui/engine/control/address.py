# SPDX-License-Identifier: MIT
"""Where the control socket is, and whether that place can be trusted.

Whoever can swap the socket can pretend to be the engine, so neither the directory nor anything above it may belong to,
or be writable by, another user than root and us.  A sticky directory such as /tmp is fine, as others cannot rename what
is ours in it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from usblkback_tui.protocol.errors import UserError

MAX_PATH = 107
"""Bytes that fit in ``sockaddr_un.sun_path`` before the ending NUL."""


def socket_path(configured: str, env: Mapping[str, str] | None = None) -> Path:
    """The socket of ``[engine] socket``, or the default place of this user when that is empty."""
    env = os.environ if env is None else env
    if configured:
        path = Path(os.path.abspath(os.path.expanduser(configured)))
    elif os.geteuid() == 0:
        path = Path("/run/usblkback-tui/engine.sock")
    elif env.get("XDG_RUNTIME_DIR", "").startswith("/"):
        path = Path(env["XDG_RUNTIME_DIR"]) / "usblkback-tui" / "engine.sock"
    else:
        path = Path(os.path.expanduser("~/.cache/usblkback-tui/engine.sock"))
    if len(os.fsencode(path)) > MAX_PATH:
        raise UserError(
            f"the control socket {path} has a path of {len(os.fsencode(path))} bytes",
            fix=f"choose one of at most {MAX_PATH} bytes with --socket",
            key="socket",
            value=path,
        )
    return path


def make_directory(path: Path) -> None:
    """Create the directory ``path`` for us alone, or check the one that is there.  Raises UserError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the directory {path} for the control socket cannot be made: {(error.strerror or str(error)).lower()}",
            fix="choose another place with --socket",
            key="socket",
            value=path,
        ) from None
    check_trusted(path)


def check_trusted(path: Path) -> None:
    """Refuse a directory that another user could change under us.  Raises UserError."""
    ours = (0, os.geteuid())
    for part in (*reversed(path.parents), path):
        found = os.lstat(part)
        if found.st_uid not in ours:
            raise _untrusted(part, f"belongs to another user (uid {found.st_uid})")
        if stat.S_ISLNK(found.st_mode):
            continue
        if not stat.S_ISDIR(found.st_mode):
            raise _untrusted(part, "is no directory")
        forbidden = 0o022 if part == path else 0o002
        if found.st_mode & forbidden and not found.st_mode & stat.S_ISVTX:
            raise _untrusted(part, f"can be written by others (mode {found.st_mode & 0o7777:o})")
    real = Path(os.path.realpath(path))
    if real != path:
        check_trusted(real)


def _untrusted(part: Path, problem: str) -> UserError:
    return UserError(
        f"{part} {problem}, so no control socket is put below it",
        fix="choose a directory of your own with --socket",
        key="socket",
        value=part,
    )
