# SPDX-License-Identifier: MIT
"""That an engine which ended left nothing: no grant mapped, no event channel bound, no vbd in xenstore, no process.

Grants and event channels are asked of Xen itself (the debug keys g and e), so that nothing of the project has a say.
"""

import re
import secrets

from .lab.dom0 import Dom0

RESERVED_GRANTS = {0, 1}
"""The console's and xenstore's pages (GNTTAB_RESERVED_* of Xen's grant_table.h); their daemons keep them mapped."""


def assert_nothing_left(dom0: Dom0) -> None:
    """Look at all of it."""
    assert vbd_nodes(dom0) == []
    assert mapped_grants(dom0) == []
    guests = {int(domid) for domid in dom0.run("xl list | awk 'NR > 2 { print $2 }'").out.split()}
    # xenconsoled and xenstored have one event channel each per guest
    assert guest_channels(dom0) == sorted([*guests, *guests])
    assert dom0.run("pgrep -f -l 'usblkback-tui (serv[e]|--config)'", check=False).out == ""


def vbd_nodes(dom0: Dom0) -> list[str]:
    """Everything about block devices in xenstore."""
    listed = dom0.run("xenstore-ls -f").out.splitlines()
    vbd = re.compile(r"/local/domain/\d+/(backend|error/backend|device/vbd|error/device/vbd)\b.*/\d+/")
    return [line for line in listed if vbd.match(line) and "/console/" not in line and "/vif" not in line]


def mapped_grants(dom0: Dom0) -> list[tuple[int, int]]:
    """(domid, reference) of every grant that some domain has in use, the console's and xenstore's apart."""
    found = []
    domid = -1
    for line in _debug_key(dom0, "g"):
        if head := re.search(r"grant-table for remote d(\d+)", line):
            domid = int(head[1])
        elif (entry := re.search(r"\[0x([0-9a-f]+)\]\s", line)) and int(entry[1], 16) not in RESERVED_GRANTS:
            found.append((domid, int(entry[1], 16)))
    return found


def guest_channels(dom0: Dom0) -> list[int]:
    """For every interdomain event channel that dom0 has bound, the domain at its other end."""
    found = []
    ours = False
    for line in _debug_key(dom0, "e"):
        if head := re.search(r"Event channel information for domain (\d+)", line):
            ours = head[1] == "0"
        elif ours and (remote := re.search(r"s=3 n=\d+ x=\d+(?: v=\d+)? d=(\d+)", line)):
            found.append(int(remote[1]))
    return sorted(found)


def _debug_key(dom0: Dom0, key: str) -> list[str]:
    """What Xen says to a debug key."""
    mark = f"before-{secrets.token_hex(4)}"
    # Xen's ring buffer has no marks; a cleared one starts with what comes next
    dom0.run("xl dmesg -c >>/tmp/xl-dmesg-before")
    said = dom0.run(f"xl debug-keys {key} && xl dmesg").out
    assert said, mark
    return said.splitlines()
