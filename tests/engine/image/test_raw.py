# SPDX-License-Identifier: MIT
"""Opening images: what is refused and in which words, who holds a lock, what an open image says of itself."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from usblkback_tui.engine.image import holes, locks
from usblkback_tui.engine.image.raw import open_image
from usblkback_tui.protocol.errors import UserError

HOLD = """
import fcntl, struct, sys, time
f = open(sys.argv[1], "r+b")
if sys.argv[2] == "qemu":
    fcntl.fcntl(f, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, int(sys.argv[3]), 1, 0))
else:
    fcntl.flock(f, fcntl.LOCK_EX if sys.argv[2] == "exclusive" else fcntl.LOCK_SH)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(8192))
    return path


def held(path: Path, *how: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path), *how], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def loop(image: Path) -> Iterator[str]:
    if os.geteuid() != 0:
        pytest.skip("a loop device needs root")
    made = subprocess.run(["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no loop device here: {made.stderr.strip()}")
    yield made.stdout.strip()
    subprocess.run(["losetup", "-d", made.stdout.strip()], check=True)


def refusal(path: object, writable: bool = True) -> str:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(UserError) as caught:
        open_image(str(path), writable)
    assert caught.value.key == "image"
    assert caught.value.fix
    assert len(os.listdir("/proc/self/fd")) == len(before)
    return str(caught.value)


def test_a_file(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(image.parent)
    opened = open_image("a.raw", True)
    assert (opened.path, opened.sectors, opened.writable, opened.is_block) == (str(image), 16, True, False)
    assert opened.logical_sector_size == 512
    assert opened.physical_sector_size in (512, 1024, 4096)
    flags = fcntl.fcntl(opened.fd, fcntl.F_GETFL)
    assert flags & os.O_ACCMODE == os.O_RDWR
    assert not flags & os.O_NONBLOCK
    assert fcntl.fcntl(opened.fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    os.truncate(image, 16384)
    assert opened.sectors == 16
    assert opened.sectors_now() == 32
    opened.close()
    assert opened.fd == -1
    opened.close()
    open_image(str(image), True).close()


def test_reading_only_cannot_write(image: Path) -> None:
    opened = open_image(str(image), False)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.pwrite(opened.fd, b"x", 0)
    assert not opened.discard.supported
    opened.close()


def test_close_does_not_close_somebody_elses_descriptor(image: Path) -> None:
    opened = open_image(str(image), True)
    number = opened.fd
    opened.close()
    other = os.open(image, os.O_RDONLY)
    assert other == number
    opened.close()
    os.close(other)


def test_what_is_no_image(tmp_path: Path) -> None:
    assert "is not a path" in refusal("")
    assert "is not a path" in refusal("a\0b")
    assert "does not exist; create it with: usblkback-tui image create" in refusal(tmp_path / "none")
    assert "is a directory" in refusal(tmp_path)
    assert "is a character device" in refusal("/dev/zero")
    os.mkfifo(tmp_path / "fifo")
    assert "is a FIFO" in refusal(tmp_path / "fifo", writable=False)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert "is a socket" in refusal(tmp_path / "socket")
    (tmp_path / "link").symlink_to("link")
    assert "is a link to itself" in refusal(tmp_path / "link")
    (tmp_path / "file").write_bytes(bytes(512))
    assert "part of its path is no directory" in refusal(tmp_path / "file" / "below")


def test_sizes_that_are_no_disk(tmp_path: Path) -> None:
    path = tmp_path / "odd"
    path.write_bytes(b"")
    assert "is empty" in refusal(path)
    path.write_bytes(bytes(513))
    assert f"has 513 bytes, no whole number of 512-byte sectors; pad it: truncate -s 1024 {path}" in refusal(path)


def test_a_replaced_file_is_not_taken(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = image.with_name("b.raw")
    other.write_bytes(bytes(512))
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, flags: real(other, flags))
    with pytest.raises(UserError, match="was replaced"):
        open_image(str(image), True)


def test_two_writers_in_one_process(image: Path) -> None:
    first = open_image(str(image), True)
    assert f"image {image} is locked by this engine; detach it there first" in refusal(image)
    assert "is locked by this engine" in refusal(image, writable=False)
    first.close()


def test_readers_share_and_keep_a_writer_out(image: Path) -> None:
    first, second = open_image(str(image), False), open_image(str(image), False)
    assert "is locked by this engine" in refusal(image)
    first.close()
    second.close()


@pytest.mark.parametrize("how", ["exclusive", "shared"])
def test_another_process_is_named(image: Path, how: str) -> None:
    with held(image, how) as process:
        name = Path(f"/proc/{process.pid}/comm").read_text().strip()
        assert f"is locked by {name} (pid {process.pid})" in refusal(image)
        if how == "shared":
            opened = open_image(str(image), False)
            assert [(holder.pid, holder.exclusive) for holder in opened.sharers] == [(process.pid, False)]
            opened.close()
        process.kill()


@pytest.mark.parametrize(("byte", "reader", "writer"), [(100, True, True), (101, False, False), (201, True, False)])
def test_qemu_locks_are_respected(image: Path, byte: int, reader: bool, writer: bool) -> None:
    with held(image, "qemu", str(byte)) as process:
        for writable, allowed in ((False, reader), (True, writer)):
            if allowed:
                open_image(str(image), writable).close()
            else:
                assert "is in use by QEMU" in refusal(image, writable)
        process.kill()


def test_locks_are_read_by_device_and_inode(tmp_path: Path, image: Path) -> None:
    status = image.stat()
    here = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    table = tmp_path / "locks"
    table.write_text(
        f"1: FLOCK  ADVISORY  WRITE 41 {here}:{status.st_ino} 0 EOF\n"
        f"1: -> FLOCK  ADVISORY  WRITE 42 {here}:{status.st_ino} 0 EOF\n"
        f"2: FLOCK  ADVISORY  READ 43 ff:ff:{status.st_ino} 0 EOF\n"
        f"3: POSIX  ADVISORY  WRITE 44 {here}:{status.st_ino} 0 EOF\n"
        f"4: FLOCK  ADVISORY  WRITE 45 {here}:1{status.st_ino} 0 EOF\nrubbish\n"
    )
    assert [holder.pid for holder in locks.holders(status, table)] == [41]
    table.write_text(f"2: FLOCK  ADVISORY  READ -1 ff:ff:{status.st_ino} 0 EOF\n")
    assert [holder.words for holder in locks.holders(status, table)] == ["an unnamed process"]
    assert locks.holders(status, tmp_path / "none") == ()


def test_probing_for_holes_changes_nothing(image: Path) -> None:
    image.write_bytes(os.urandom(8192 + 512))
    before, status = image.read_bytes(), image.stat()
    with image.open("r+b") as file:
        limits = holes.hole_limits(file.fileno())
    assert image.read_bytes() == before
    assert (image.stat().st_size, image.stat().st_blocks) == (status.st_size, status.st_blocks)
    if limits.supported:
        assert limits.granularity == os.statvfs(image).f_bsize


def test_a_filesystem_without_holes_offers_none() -> None:
    fd = os.memfd_create("sealed", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 4096)
    assert holes.hole_limits(fd).supported
    os.close(fd)
    with open("/proc/self/oom_score_adj", "r+b") as proc:  # procfs implements no fallocate
        assert not holes.hole_limits(proc.fileno()).supported


def test_an_unprivileged_user_is_told_so() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    code = (
        "import os, sys\n"
        "from usblkback_tui.engine.image import open_image\n"
        "os.setresuid(65534, 65534, 65534)\n"
        "try: open_image(sys.argv[1], sys.argv[2] == 'w')\n"
        "except Exception as error: print(error)\n"
    )
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "a.raw"
        path.write_bytes(bytes(512))
        path.chmod(0o644)
        for mode, words in (("r", ""), ("w", "may not be opened by this user; run as root")):
            command = [sys.executable, "-c", code, str(path), mode]
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert words in out
            assert bool(words) == bool(out)


def test_a_file_behind_a_loop_device(image: Path, loop: str) -> None:
    assert f"image {image} is behind {loop}; free it: losetup -d {loop}" in refusal(image)
    open_image(str(image), False).close()


def test_a_block_device(loop: str) -> None:
    opened = open_image(loop, True)
    assert (opened.sectors, opened.is_block, opened.logical_sector_size) == (16, True, 512)
    assert opened.sectors_now() == 16
    assert opened.physical_sector_size >= 512
    assert "is in use" in refusal(loop)
    opened.close()
    reader = open_image(loop, False)
    assert not reader.discard.supported
    reader.close()


def test_a_block_device_past_the_page_cache(loop: str) -> None:
    opened = open_image(loop, True, direct=None)
    assert opened.direct
    assert fcntl.fcntl(opened.fd, fcntl.F_GETFL) & os.O_DIRECT
    assert not opened.discard.secure
    opened.close()
    opened = open_image(loop, True, direct=False)
    assert not opened.direct
    opened.close()


def test_a_block_device_that_takes_large_pieces_only_is_cached(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usblkback_tui.engine.image.raw._reads", lambda fd, page, size: size == 4096)
    opened = open_image(loop, True, direct=None)
    assert not opened.direct
    assert not fcntl.fcntl(opened.fd, fcntl.F_GETFL) & os.O_DIRECT
    opened.close()
    opened = open_image(loop, True, direct=None, sector_size=4096)
    assert opened.direct
    opened.close()


def test_a_file_is_cached_unless_asked(image: Path) -> None:
    opened = open_image(str(image), True, direct=None)
    assert not opened.direct
    assert not fcntl.fcntl(opened.fd, fcntl.F_GETFL) & os.O_DIRECT
    opened.close()


def test_a_read_only_block_device(loop: str) -> None:
    subprocess.run(["blockdev", "--setro", loop], check=True)
    assert "read-only" in refusal(loop) or "may not be opened" in refusal(loop)
    open_image(loop, False).close()
    subprocess.run(["blockdev", "--setrw", loop], check=True)


def test_a_mounted_block_device_names_its_mount(image: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    os.truncate(image, 4 << 20)
    point = tmp_path / "mounted here"
    point.mkdir()
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    mounted = subprocess.run(
        ["mount", "-o", "loop", str(image), str(point)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        (device,) = locks.loop_devices(str(image))
        assert f"block device {device} is in use: {device[5:]} is mounted on {point}" in refusal(device)
    finally:
        subprocess.run(["umount", str(point)], check=True)


def test_a_lock_given_up_while_its_holder_is_looked_for_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.img"
    path.write_bytes(bytes(512))
    other = open_image(str(path), writable=True)

    def let_go(status: os.stat_result) -> tuple[locks.Holder, ...]:
        other.close()
        return ()

    monkeypatch.setattr(locks, "holders", let_go)
    open_image(str(path), writable=True).close()
