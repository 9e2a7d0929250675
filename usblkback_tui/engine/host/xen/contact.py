# SPDX-License-Identifier: MIT
"""The first word with xenstored, which may never be answered."""

from __future__ import annotations

import errno
import queue
import threading

from usblkback_tui.engine.host.seam import HostError
from usblkback_tui.engine.host.xen.libs import XenLibs
from usblkback_tui.engine.host.xen.store import XenStore

CONTACT_SECONDS = 5.0
"""How long a store may take for its first answer; it is on this machine."""


def connect(libs: XenLibs) -> XenStore:
    """Open a connection and make sure that something answers.  Raises HostError.

    Without a xenstored the kernel's /dev/xen/xenbus takes requests all the same and never answers, so the first one is
    made by a thread of its own.  When it hangs it is left behind: nothing can end that wait.
    """
    answer: queue.SimpleQueue[XenStore | HostError] = queue.SimpleQueue()

    def contact() -> None:
        try:
            store = XenStore(libs)
            store.read("domid")
        except HostError as error:
            answer.put(error)
        else:
            answer.put(store)

    threading.Thread(target=contact, name="xenstore-contact", daemon=True).start()
    try:
        outcome = answer.get(timeout=CONTACT_SECONDS)
    except queue.Empty:
        raise HostError(
            f"xenstored has not answered for {CONTACT_SECONDS:g} seconds",
            fix="start it (systemctl start xenstored; without systemd: xencommons start)",
            errno=errno.ETIMEDOUT,
        ) from None
    if isinstance(outcome, HostError):
        raise outcome
    return outcome
