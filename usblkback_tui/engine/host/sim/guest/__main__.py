# SPDX-License-Identifier: MIT
"""``python -m usblkback_tui.engine.host.sim.guest FD PARENT``: boot on the wire that was inherited as FD."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys

from usblkback_tui.engine.host.sim.guest.hypercalls import Gone, Hypercalls
from usblkback_tui.engine.host.sim.guest.kernel import Kernel
from usblkback_tui.engine.host.sim.guest.memory import Memory
from usblkback_tui.engine.host.sim.load import GuestOptions, Load

PR_SET_PDEATHSIG = 1


def main(fd: int, parent: int) -> None:
    """Never outlive the hypervisor: it may be killed, or close the wire."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for who runs us
    xen = Hypercalls(socket.socket(fileno=fd))
    try:
        message, fds = xen.receive()
        boot = message["boot"]
        memory = Memory(fds[0], boot["pages"], boot["grant_pages"])
        loads = {vdev: Load(**load) for vdev, load in boot["loads"].items()}
        Kernel(xen, memory, GuestOptions(**boot["options"]), loads).run()
    except Gone:
        pass
    os._exit(0)  # whatever a ring's thread is waiting for


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
