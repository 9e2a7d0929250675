# SPDX-License-Identifier: MIT
"""Bad input on the command line in dom0: one sentence with the fix, an exit code, and nothing written."""

import json

import pytest

from .engine import Engine
from .lab.dom0 import Dom0
from .lab.guest import Guest
from .lab.link import Result
from .leftovers import mapped_grants, vbd_nodes

pytestmark = pytest.mark.xen


def sentence(result: Result, code: int) -> str:
    """The one line of an error."""
    assert result.rc == code, result.out
    assert result.out.startswith("usblkback-tui: "), result.out
    assert result.out.count("\n") == 1, result.out
    return result.out


def test_bad_input_is_refused_and_nothing_is_written(dom0: Dom0) -> None:
    dom0.run("truncate -s 16M /tmp/a.img /tmp/b.img; truncate -s 1000 /tmp/odd.img; mkdir /tmp/dir; : >/tmp/empty.img")
    dom0.run("ln -s /tmp/a.img /tmp/link.img")
    with Engine(dom0) as engine:
        locked = dom0.spawn("exec flock -n /tmp/b.img sleep 300")
        cases = {
            "nobody /tmp/a.img xvdb": ("'nobody'", "running: g1 (1), g2 (2)"),
            "Domain-0 /tmp/a.img xvdb": ("own domain",),
            "g1 /tmp/none.img xvdb": ("/tmp/none.img does not exist",),
            "g1 /tmp/odd.img xvdb": ("/tmp/odd.img", "1000", "512"),
            "g1 /tmp/empty.img xvdb": ("/tmp/empty.img",),
            "g1 /tmp/dir xvdb": ("/tmp/dir",),
            "g1 /tmp/b.img xvdb": ("/tmp/b.img", "locked by"),
            "g1 /tmp/a.img nonsense": ("nonsense",),
        }
        for arguments, words in cases.items():
            said = sentence(engine.cli(f"attach {arguments}", check=False), 1)
            for word in words:
                assert word in said, said
        assert (vbd_nodes(dom0), engine.disks()) == ([], [])
        locked.kill(9)

        engine.attach("g1", "/tmp/a.img", "xvdb")
        assert "xvdb is in use in g1" in sentence(engine.cli("attach g1 /tmp/b.img xvdb", check=False), 1)
        assert "is attached as xvdb of g1" in sentence(engine.cli("attach g2 /tmp/a.img xvdb", check=False), 1)
        assert "is attached as xvdb of g1" in sentence(engine.cli("attach g2 /tmp/link.img xvdb", check=False), 1)
        assert "not attached here" in sentence(engine.cli("detach g2 xvdb", check=False), 1)
        assert [(disk["domain"], disk["vdev"]) for disk in engine.disks()] == [("g1", "xvdb")]


def test_guest_that_does_not_answer_keeps_its_disk_unless_it_is_forced(dom0: Dom0, g1: Guest) -> None:
    dom0.run("truncate -s 16M /tmp/a.img")
    with Engine(dom0) as engine:
        engine.attach("g1", "/tmp/a.img", "xvdb")
        dom0.run("xl pause g1")
        said = sentence(engine.cli("detach g1 xvdb --wait 2", check=False), 1)
        assert "xvdb of g1 is still held by the guest after 2 s" in said
        assert "xvdb is in use in g1" in sentence(engine.cli("attach g1 /tmp/a.img xvdb", check=False), 1)
        dom0.run("xl unpause g1")
        engine.wait_disks(lambda disks: disks == [])

        engine.attach("g1", "/tmp/a.img", "xvdb")
        g1.run("dd if=/dev/urandom of=/dev/xvdb bs=64k count=16 && sync")
        dom0.run("xl pause g1")
        engine.cli("detach g1 xvdb --wait 2 --force")
        assert (engine.disks(), vbd_nodes(dom0), mapped_grants(dom0)) == ([], [], [])
        dom0.run("xl unpause g1")
        g1.run("while [ -e /sys/block/xvdb ]; do usleep 100000; done")


def test_linux_lets_go_of_a_mounted_disk_at_once(dom0: Dom0, g1: Guest) -> None:
    """What blkfront of Linux 5.15 and newer does when the backend closes; what had been synced is in the image."""
    dom0.run("truncate -s 16M /tmp/a.img")
    with Engine(dom0) as engine:
        engine.attach("g1", "/tmp/a.img", "xvdb")
        g1.run("mkfs.ext4 -q /dev/xvdb && mkdir -p /mnt && mount /dev/xvdb /mnt", timeout=120)
        digest = g1.run("dd if=/dev/urandom of=/mnt/f bs=64k count=8 2>/dev/null && sync && sha256sum < /mnt/f").out
        engine.detach("g1", "xvdb")
        assert g1.run("dd if=/dev/zero of=/mnt/g bs=64k count=8 conv=fsync", check=False).rc != 0
        g1.run("umount /mnt", check=False)

        engine.attach("g1", "/tmp/a.img", "xvdc")
        g1.run("fsck.ext4 -fy /dev/xvdc", check=False)
        assert g1.run("mount /dev/xvdc /mnt && sha256sum < /mnt/f && umount /mnt").out == digest


def test_without_an_engine(dom0: Dom0) -> None:
    assert "no engine answers" in sentence(dom0.run("usblkback-tui attach g1 /tmp/a.img xvdb", check=False), 2)
    assert "no engine answers" in sentence(dom0.run("usblkback-tui status", check=False), 2)
    report = json.loads(dom0.run("usblkback-tui doctor --json").out)
    assert report["ready"] is True
    assert [check["name"] for check in report["checks"] if not check["ok"]] == ["running engine"]
    assert vbd_nodes(dom0) == []
