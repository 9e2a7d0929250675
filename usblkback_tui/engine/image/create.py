# SPDX-License-Identifier: MIT
"""Make a new raw image."""

from __future__ import annotations

import contextlib
import errno
import os

from usblkback_tui.engine.image.info import ImageInfo, image_info
from usblkback_tui.engine.image.sizes import human_size, parse_size
from usblkback_tui.protocol.errors import UserError


def create_image(path: str, size: str, *, sparse: bool = True) -> ImageInfo:
    """Create ``path`` with ``size`` bytes of zeros (see :func:`parse_size`), readable by this user alone.

    Without ``sparse`` its space is reserved, so that a full filesystem shows now and not in a guest.  Never overwrites;
    leaves nothing behind when it fails.  Raises UserError (key ``path`` or ``size``).
    """
    length = parse_size(size)
    if not path or "\0" in path:
        raise UserError(f"path {path!r} is not a path", fix="name the file to create", key="path", value=path)
    path = os.path.abspath(path)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _open_error(path, error) from error
    try:
        try:
            os.ftruncate(fd, length)
            if not sparse:
                os.posix_fallocate(fd, 0, length)
            os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(path)
        if isinstance(error, OSError):
            raise _space_error(path, length, error) from error
        raise
    return image_info(path)


def _open_error(path: str, error: OSError) -> UserError:
    folder = os.path.dirname(path)
    problem, fix = {
        errno.EEXIST: (f"path {path} exists already", "choose another name, or remove it first"),
        errno.ENOENT: (f"path {path}: there is no folder {folder}", f"mkdir -p {folder}"),
        errno.ENOTDIR: (f"path {path}: {folder} is no folder", "check the path"),
        errno.EACCES: (f"path {path}: this user may not write in {folder}", "run as root, or choose another folder"),
        errno.EROFS: (f"path {path}: {folder} is read-only", "choose another folder"),
        errno.ENOSPC: (f"path {path}: {folder} has no room for another file", "free some, or choose another folder"),
    }.get(error.errno or 0, (f"path {path} cannot be created: {error.strerror}", ""))
    return UserError(problem, fix=fix, key="path", value=path)


def _space_error(path: str, length: int, error: OSError) -> UserError:
    folder = os.path.dirname(path)
    size = human_size(length)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        try:
            stat = os.statvfs(folder)
            free = human_size(stat.f_bavail * stat.f_frsize)
        except OSError:
            free = "less"
        return UserError(
            f"size {size} does not fit: {folder} has {free} free",
            fix="free some space, or create it sparse",
            key="size",
            value=length,
        )
    if error.errno in (errno.EFBIG, errno.EINVAL):
        return UserError(
            f"size {size} is more than the filesystem of {folder} takes in one file",
            fix="choose a smaller size or another filesystem",
            key="size",
            value=length,
        )
    return UserError(f"path {path} cannot be created: {error.strerror}", key="path", value=path)
