# SPDX-License-Identifier: MIT
"""What is said before an attach, and that nothing is changed by saying it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.engine.rig import MIB, Rig, rig
from usblkback_tui.engine.api import AttachRequest
from usblkback_tui.engine.settings import DiskOptions
from usblkback_tui.engine.snapshot import Severity
from usblkback_tui.protocol.errors import UserError


def explained(r: Rig, image: Path, vdev: str = "xvdb", mode: str = "w", **options: Any) -> dict[str, tuple[str, str]]:
    plan = r.engine.plan(AttachRequest("g1", str(image), vdev, mode, DiskOptions(**options)))
    return {one.about: (one.severity.value, one.sentence) for one in plan.explained}


def test_everything_is_looked_at_and_nothing_changed(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        guest, image = r.guest(), r.image()
        before = r.store()
        said = explained(r, image)
        assert list(said) == ["vdev", "kind", "rights", "lock", "size", "partitions", "discard"]
        assert {severity for severity, _ in said.values()} <= {"good", "info"}
        assert said["vdev"][1] == "xvdb is number 51728: xvd disk 1, the whole disk"
        assert said["kind"][1] == "kind usblkback in domain 0: nobody else serves it"
        assert f"n0,r{guest.domid}" in said["rights"][1]
        assert "nobody else has it" in said["lock"][1]
        assert said["size"][1] == f"16 MiB, {16 * MIB // 512} sectors of 512 bytes, a multiple of 4096"
        assert said["partitions"][1] == "none at 512 or 4096, no known file system"
        assert r.store() == before
        assert image.read_bytes() == bytes(16 * MIB)


@pytest.mark.parametrize(
    ("at", "options", "severity", "words"),
    [
        (512, {}, "good", "gpt for sectors of 512"),
        (4096, {}, "warning", "finds no partitions; attach it with --sector-size 4096"),
        (4096, {"sector_size": 4096}, "good", "gpt for sectors of 4096"),
        (512, {"sector_size": 4096}, "warning", "finds no partitions; attach it with --sector-size 512"),
    ],
)
def test_a_partition_table_of_either_sector_size(
    tmp_path: Path, at: int, options: dict[str, Any], severity: str, words: str
) -> None:
    with rig(tmp_path) as r:
        r.guest()
        image = r.image()
        with image.open("r+b") as file:
            file.seek(at)
            file.write(b"EFI PART")
        said = explained(r, image, **options)
        assert said["partitions"][0] == severity
        assert words in said["partitions"][1]
        assert said["size"][0] == ("warning" if options else "good")


def test_what_may_go_wrong(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.guest()
        image = r.image(size=MIB + 512)
        r.host.add_rival("vbd", "the kernel's xen-blkback")
        assert explained(r, image, "sdb")["vdev"][0] == "warning"
        assert "extended number" in explained(r, image, "xvdz")["vdev"][1]
        cd = explained(r, image, mode="r", device_type="cdrom")
        assert "do not take up" in cd["vdev"][1]
        assert cd["discard"][1] == "not offered: the guest may only read"
        assert "a multiple of 512 alone" in cd["size"][1]
        image.write_bytes(b"QFI\xfb" + bytes(MIB - 4))
        assert "qemu-img convert" in explained(r, image)["partitions"][1]


@contextmanager
def reader_of(image: Path) -> Iterator[None]:
    """Another process that reads it, and keeps others from writing."""
    lock = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_SH); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", lock, str(image)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate()


def test_who_has_the_lock(tmp_path: Path) -> None:
    with rig(tmp_path) as r:
        r.guest()
        image = r.image()
        with reader_of(image):
            assert "read-only, beside" in explained(r, image, mode="r")["lock"][1]
            with pytest.raises(UserError, match="is locked by"):
                explained(r, image)


def test_a_kind_that_somebody_else_serves(tmp_path: Path) -> None:
    with rig(tmp_path, kinds=("vbd", "usblkback")) as r:
        r.guest()
        r.engine._rivals = (("vbd", "the kernel's xen-blkback"),)
        plan = r.engine.plan(AttachRequest("g1", str(r.image()), "xvdb"))
        (kind,) = [one for one in plan.explained if one.about == "kind"]
        assert kind.severity is Severity.ERROR
        assert "the kernel's xen-blkback serves it too, and both would answer" in kind.sentence
