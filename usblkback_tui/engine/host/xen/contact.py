# SPDX-License-Identifier: MIT
"""The first word with xenstored, which may never be answered.

Without a xenstored the kernel's /dev/xen/xenbus takes requests all the same and holds them until there is one, and
nothing can end that wait from outside.  So the first request is made by a thread of its own.
"""

from __future__ import annotations

import errno
import threading

from usblkback_tui.engine.host.seam import HostError
from usblkback_tui.engine.host.xen.libs import XenLibs
from usblkback_tui.engine.host.xen.store import XenStore

CONTACT_SECONDS = 5.0
"""How long a store may take for its first answer; it is on this machine."""

_waiting: _Contact | None = None
"""The one that hangs, if any: while it does, asking again would only add another."""


def connect(libs: XenLibs) -> XenStore:
    """Open a connection and make sure that something answers.  Raises HostError; one thread at a time."""
    global _waiting
    if _waiting is not None and not _waiting.gone(CONTACT_SECONDS):
        raise _silence()
    _waiting = None
    contact = _Contact(libs)
    if not contact.gone(CONTACT_SECONDS) and contact.abandon():
        _waiting = contact
        raise _silence()
    return contact.outcome()


class _Contact:
    """One attempt.  Abandoned, it closes what it gets if an answer comes after all."""

    def __init__(self, libs: XenLibs) -> None:
        self._libs = libs
        self._lock = threading.Lock()
        self._outcome: XenStore | HostError | None = None
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="xenstore-contact", daemon=True)
        self._thread.start()

    def gone(self, seconds: float) -> bool:
        """Whether it ended, within some seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def abandon(self) -> bool:
        """Want no answer any more; False when it came this very moment."""
        with self._lock:
            self._abandoned = self._outcome is None
        return self._abandoned

    def outcome(self) -> XenStore:
        """The answer.  Raises HostError."""
        if isinstance(self._outcome, XenStore):
            return self._outcome
        raise self._outcome or _silence()

    def _run(self) -> None:
        outcome: XenStore | HostError
        try:
            outcome = store = XenStore(self._libs)
            try:
                store.read("domid")
            except HostError as error:
                store.close()
                outcome = error
        except HostError as error:
            outcome = error
        with self._lock:
            if not self._abandoned:
                self._outcome = outcome
            elif isinstance(outcome, XenStore):
                outcome.close()


def _silence() -> HostError:
    return HostError(
        f"xenstored has not answered for {CONTACT_SECONDS:g} seconds",
        fix="start it (systemctl start xenstored; without systemd: /etc/init.d/xencommons start)",
        errno=errno.ETIMEDOUT,
    )
