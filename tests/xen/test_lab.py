# SPDX-License-Identifier: MIT
"""The lab itself: what every other real-Xen test takes for granted."""

import os
import time
from pathlib import Path

import pytest

from .lab.cache import Artefact
from .lab.dom0 import Dom0
from .lab.guest import Guest
from .lab.link import CommandError
from .lab.machine import Machine

pytestmark = pytest.mark.xen


def test_dom0_and_guests_are_up(dom0: Dom0) -> None:
    rows = [line.split() for line in dom0.run("xl list").out.splitlines()[1:]]
    assert [(row[0], row[1], row[3]) for row in rows] == [("Domain-0", "0", "1"), ("g1", "1", "1"), ("g2", "2", "2")]
    assert "xen_version            : 4.17" in dom0.run("xl info").out
    assert abs(float(dom0.run("date +%s").out) - time.time()) < 5, "dom0's clock was not set after the restore"


def test_kernel_backend_is_out_of_the_way(dom0: Dom0) -> None:
    """With xen-blkback loaded the kernel would take every vbd before the project sees it."""
    modules = dom0.run("lsmod").out
    assert "xen_gntdev" in modules
    assert "xen_blkback" not in modules


def test_guest_runs_commands(g1: Guest, g2: Guest) -> None:
    assert g1.run("nproc").out == "1\n"
    assert g2.run("nproc").out == "2\n"
    assert g1.run("cat /sys/hypervisor/uuid").out != g2.run("cat /sys/hypervisor/uuid").out
    failed = g1.run("echo so; echo 'and @END' >&2; (exit 7)", check=False)
    assert (failed.rc, failed.out) == (7, "so\nand @END\n")
    assert g1.run("mkfs.ext4 -V").out.startswith("mke2fs ")
    job = "fio --name=t --filename=/tmp/f --size=1m --rw=randwrite --verify=crc32c"
    assert "err= 0" in g1.run(job).out
    assert g1.run("ls /sys/block").out.split() == []


def test_guest_command_that_never_ends_is_an_error(g1: Guest) -> None:
    with pytest.raises(CommandError, match=r"sleep 30.*no answer after 1 s"):
        g1.run("sleep 30", timeout=1)


def test_commands_run_side_by_side(dom0: Dom0, g1: Guest) -> None:
    slow = dom0.spawn("echo started; sleep 60")
    in_guest = g1.start("sleep 1; echo slept")
    assert dom0.run("echo meanwhile").out == "meanwhile\n"
    assert in_guest.wait(20).out == "slept\n"
    assert slow.poll() is None
    slow.kill(9)
    ended = slow.wait(120)
    assert (ended.rc, ended.out) == (-9, "started\n")
    with pytest.raises(CommandError, match="exit code 3"):
        dom0.run("exit 3")


def test_daemon_does_not_hold_its_starter(dom0: Dom0) -> None:
    start = time.monotonic()
    dom0.run("sleep 100 & echo $! > /tmp/pid")
    assert time.monotonic() - start < 20
    dom0.run("kill -0 $(cat /tmp/pid)")


def test_files_survive_the_way(dom0: Dom0) -> None:
    content = os.urandom(3 << 20)
    dom0.write_file("/tmp/noise", content)
    assert dom0.read_file("/tmp/noise") == content


def test_terminal_has_a_size_and_takes_keys(dom0: Dom0) -> None:
    shell = dom0.terminal("stty size; read key; echo got $key", rows=33, columns=101)
    shell.wait_for(lambda out: b"33 101" in out, 20)
    shell.write(b"x\n")
    assert "got x" in shell.wait(20, check=True).out


def test_project_is_installed(dom0: Dom0) -> None:
    where = dom0.run("python3 -c 'import usblkback_tui; print(usblkback_tui.__file__)'").out
    assert where == "/usr/local/lib/python3.11/dist-packages/usblkback_tui/__init__.py\n"
    dom0.run("python3 -c 'import textual.app, rich.table, cffi, tomli'")
    assert "usblkback-tui" in dom0.run("usblkback-tui --help").out


def test_xen_libraries_open(dom0: Dom0) -> None:
    names = ("libxenstore.so.4", "libxengnttab.so.1", "libxenevtchn.so.1")
    lines = "; ".join(f"ctypes.CDLL({name!r})" for name in names)
    dom0.run(f'python3 -c "import ctypes; {lines}"')
    assert dom0.run("ls /dev/xen/gntdev /dev/xen/evtchn /dev/xen/xenbus").rc == 0


def test_machines_share_nothing(lab: Path) -> None:
    """Two machines from one frozen state, at once: what one does the other and the state never see."""
    with Machine.restore(lab) as one, Machine.restore(lab) as other:
        Dom0(one).run("xenstore-write /tool/mark one; echo one > /root/mark")
        assert Dom0(other).run("xenstore-read /tool/mark", check=False).rc != 0
        assert Dom0(other).run("cat /root/mark", check=False).rc != 0
    with Machine.restore(lab) as later:
        assert Dom0(later).run("xenstore-read /tool/mark", check=False).rc != 0


def test_machine_leaves_nothing_behind(lab: Path) -> None:
    with Machine.restore(lab) as machine:
        folder = machine.folder
        assert machine.alive()
    assert not machine.alive()
    assert not folder.exists()


def test_half_built_artefact_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USBLK_LAB", str(tmp_path))
    attempts = []

    def make(folder: Path) -> None:
        assert list(folder.iterdir()) == []
        attempts.append(folder)
        (folder / "part").touch()
        if len(attempts) == 1:
            raise KeyboardInterrupt

    source = tmp_path / "source"
    source.write_text("1")
    artefact = Artefact("thing", make, inputs=(source,))
    with pytest.raises(KeyboardInterrupt):
        artefact.get()
    assert not artefact.path.exists()
    first = artefact.get()
    assert artefact.get() == first
    assert len(attempts) == 2
    source.write_text("2")
    assert artefact.get() != first
    assert len(attempts) == 3


def test_guest_uses_a_disk_of_the_kernel_backend(dom0: Dom0, g1: Guest) -> None:
    """Grants, event channels and xenstore work after a restore: when this fails, the lab is broken, not the project."""
    dom0.run("modprobe xen-blkback; modprobe brd rd_nr=1 rd_size=32768")
    dom0.run("xl block-attach g1 phy:/dev/ram0 xvda w")
    g1.run("until [ -b /dev/xvda ]; do usleep 100000; done", timeout=30)
    g1.run("mkfs.ext4 -q /dev/xvda && mount -t ext4 /dev/xvda /mnt && echo kept >/mnt/file && umount /mnt")
    g1.run("fsck.ext4 -fn /dev/xvda")
    dom0.run("xl block-detach g1 xvda")
    g1.run("while [ -b /dev/xvda ]; do usleep 100000; done", timeout=30)
    assert dom0.run("mount -t ext4 -o ro /dev/ram0 /mnt && cat /mnt/file").out == "kept\n"
