# SPDX-License-Identifier: MIT
"""The Xen libraries: which functions we use, where they are found, and the sentence when they are not.

Prototypes as in xenstore.h, xengnttab.h, xenevtchn.h and xentoollog.h of Xen's tools/include.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cffi import FFI

from usblkback_tui.engine.host.seam import HostError

_STORE = """
struct xs_handle;
typedef uint32_t xs_transaction_t;
struct xs_permissions { unsigned int id; unsigned int perms; };
struct xs_handle *xs_open(unsigned long flags);
void xs_close(struct xs_handle *h);
char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *num);
void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *len);
bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data, unsigned int len);
bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path);
struct xs_permissions *xs_get_permissions(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *num);
bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path,
                        struct xs_permissions *perms, unsigned int num_perms);
bool xs_watch(struct xs_handle *h, const char *path, const char *token);
bool xs_unwatch(struct xs_handle *h, const char *path, const char *token);
char **xs_check_watch(struct xs_handle *h);
int xs_fileno(struct xs_handle *h);
xs_transaction_t xs_transaction_start(struct xs_handle *h);
bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort);
bool xs_is_domain_introduced(struct xs_handle *h, unsigned int domid);
"""

_GNTTAB = """
typedef struct xengntdev_handle xengnttab_handle;
struct xengnttab_grant_copy_segment;
xengnttab_handle *xengnttab_open(void *logger, unsigned open_flags);
int xengnttab_close(xengnttab_handle *xgt);
void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t domid, uint32_t *refs, int prot);
int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count);
int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count, struct xengnttab_grant_copy_segment *segs);
"""

_EVTCHN = """
typedef struct xenevtchn_handle xenevtchn_handle;
xenevtchn_handle *xenevtchn_open(void *logger, unsigned int flags);
int xenevtchn_close(xenevtchn_handle *xce);
int xenevtchn_fd(xenevtchn_handle *xce);
int xenevtchn_notify(xenevtchn_handle *xce, uint32_t port);
int xenevtchn_bind_unbound_port(xenevtchn_handle *xce, uint32_t domid);
int xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid, uint32_t remote_port);
int xenevtchn_unbind(xenevtchn_handle *xce, uint32_t port);
int xenevtchn_pending(xenevtchn_handle *xce);
int xenevtchn_unmask(xenevtchn_handle *xce, uint32_t port);
"""

_TOOLLOG = """
void *xtl_createlogger_stdiostream(void *file, int min_level, unsigned flags);
"""
_XTL_CRITICAL = 9

_LIBC = """
void free(void *block);
void *fopen(const char *path, const char *mode);
"""


@dataclass(frozen=True, slots=True)
class Library:
    """One shared library: the names it is tried under, newest first, and the Debian package that has it."""

    name: str
    sonames: tuple[str, ...]
    package: str


STORE = Library("libxenstore", ("libxenstore.so.4", "libxenstore.so.3.0", "libxenstore.so"), "libxenstore4")
GNTTAB = Library("libxengnttab", ("libxengnttab.so.1", "libxengnttab.so"), "libxengnttab1")
EVTCHN = Library("libxenevtchn", ("libxenevtchn.so.1", "libxenevtchn.so"), "libxenevtchn1")
TOOLLOG = Library("libxentoollog", ("libxentoollog.so.1", "libxentoollog.so"), "libxentoollog1")
NEEDED = (STORE, GNTTAB, EVTCHN)

Paths = Mapping[str, str]
"""Library name to a file to open instead of looking for its sonames."""


@dataclass(frozen=True, slots=True)
class XenLibs:
    """The opened libraries as cffi sees them."""

    ffi: Any
    libc: Any
    store: Any
    gnttab: Any
    evtchn: Any
    logger: Any
    """Swallows what libxengnttab and libxenevtchn would write to stderr.  A guest can cause such lines at will, and
    every failure reaches us by errno as well."""

    def address(self, library: Any, function: str) -> int:
        """A function's C address."""
        return int(self.ffi.cast("uintptr_t", self.ffi.addressof(library, function)))

    def has(self, library: Any, function: str) -> bool:
        """Whether this version of the library has it."""
        return hasattr(library, function)


@functools.cache
def _ffi() -> FFI:
    ffi = FFI()
    for source in (_STORE, _GNTTAB, _EVTCHN, _TOOLLOG, _LIBC):
        ffi.cdef(source)
    return ffi


def open_library(library: Library, paths: Paths) -> Any:
    """Open one.  Raises HostError naming the Debian package."""
    names = (paths[library.name],) if library.name in paths else library.sonames
    problems = []
    for name in names:
        try:
            return _ffi().dlopen(name)
        except OSError as error:
            problems.append(str(error))
    raise HostError(
        f"{library.name} cannot be opened: {_dlerror(problems[0])}",
        fix=f"install it (Debian: apt install {library.package})",
    )


def open_libs(paths: Paths) -> XenLibs:
    """Open all that are needed.  Raises HostError for the first that is missing."""
    store, gnttab, evtchn = (open_library(library, paths) for library in NEEDED)
    return XenLibs(_ffi(), _libc(), store, gnttab, evtchn, _silent_logger(paths))


@functools.cache
def _libc() -> Any:
    return _ffi().dlopen(None)


def _silent_logger(paths: Paths) -> Any:
    try:
        toollog = open_library(TOOLLOG, paths)
    except HostError:
        return _ffi().NULL
    # One for the life of the process: grant and event handles of rings may outlive the host that made them.
    return _logger_of(toollog)


@functools.cache
def _logger_of(toollog: Any) -> Any:
    sink = _libc().fopen(os.devnull.encode(), b"we")
    return toollog.xtl_createlogger_stdiostream(sink, _XTL_CRITICAL, 0) if sink else _ffi().NULL


def _dlerror(text: str) -> str:
    """The loader's own words; cffi puts ``cannot load library '<name>': `` before and a hint about ctypes behind."""
    return text.split("': ", 1)[-1].split(".  Additionally")[0]
