# SPDX-License-Identifier: MIT
"""That an engine which ended left nothing: no grant mapped, no event channel bound, no vbd in xenstore, no process.

Grants and event channels are asked of Xen itself (the debug keys g and e), so that nothing of the project has a say.
"""

import re

from .lab.dom0 import Dom0

RESERVED_GRANTS = {0, 1}
"""The console's and xenstore's pages (GNTTAB_RESERVED_* of Xen's grant_table.h); their daemons keep them mapped."""


def assert_nothing_left(dom0: Dom0) -> None:
    """Look at all of it."""
    assert vbd_nodes(dom0) == []
    assert mapped_grants(dom0) == []
    guests = [int(domid) for domid in dom0.run("xl list | awk 'NR > 2 { print $2 }'").out.split()]
    # xenstored and xenconsoled have one event channel each per guest
    assert guest_channels(dom0) == sorted([*guests, *guests])
    assert dom0.run("pgrep -a usblkback-tui", check=False).out == ""


def vbd_nodes(dom0: Dom0) -> list[str]:
    """Everything about block devices in xenstore, but for what a guest's driver said about itself."""
    lines = dom0.run("xenstore-ls -f").out.splitlines()
    return [line for line in lines if re.search(r"/(vbd|usblkback)/\d", line) and "/error/device/" not in line]


def mapped_grants(dom0: Dom0) -> list[tuple[int, int]]:
    """(domid, reference) of every grant that another domain has in use, the console's and xenstore's apart."""
    found = []
    domid = -1
    for line in _debug_key(dom0, "g", "gnttab_usage_print_all ] done"):
        if head := re.search(r"grant-table for remote d(\d+)", line):
            domid = int(head[1])
        elif (entry := re.search(r"\[0x([0-9a-f]+)\] ", line)) and int(entry[1], 16) not in RESERVED_GRANTS:
            found.append((domid, int(entry[1], 16)))
    return found


def guest_channels(dom0: Dom0) -> list[int]:
    """For every event channel that dom0 shares with a guest (s=3: interdomain), that guest's domid."""
    found = []
    dom0_speaks = False
    for line in _debug_key(dom0, "e", "Event channel information for domain 0"):
        if head := re.search(r"Event channel information for domain (\d+)", line):
            dom0_speaks = head[1] == "0"
        elif dom0_speaks and (remote := re.search(r": s=3 .* d=([1-9]\d*)", line)):
            found.append(int(remote[1]))
    return sorted(found)


def _debug_key(dom0: Dom0, key: str, proof: str) -> list[str]:
    """What Xen says to a debug key; `proof` has to be in it, or an empty answer would look like a clean machine."""
    # cleared, Xen's buffer starts with what comes next; what was in it is kept for the evidence
    dom0.run("xl dmesg -c >>/tmp/xl-dmesg-before")
    said = dom0.run(f"xl debug-keys {key} && xl dmesg").out
    assert proof in said, f"Xen did not answer to debug key {key}:\n{said}"
    return said.splitlines()
