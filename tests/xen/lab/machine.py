# SPDX-License-Identifier: MIT
"""One QEMU process that holds Xen, dom0 and guests.

A frozen machine is a folder of two files: `ram`, the guest memory as QEMU mapped it, and `devices`, the rest as
a migration stream. Restoring maps `ram` privately, so only pages that are touched cost anything, any number of
machines start from one frozen one, and none can change it.
"""

import json
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .cache import remove
from .host import sh
from .link import Link, LinkLost
from .recipes.dom0_image import dom0_image
from .recipes.hypervisor import HYPERVISOR
from .recipes.initrd import DOM0_INITRD

# Richer processor models crash or hang dom0 in emulation; a second processor is slower than one on a busy machine.
# svm and npt let Xen run PVH guests.
CPU = "qemu64,+pdpe1gb,+svm,+npt"
MEMORY_MB = 3072
DOM0_MB = 1024
XEN_OPTIONS = f"console=com1 com1=115200,8n1 bootscrub=0 dom0_mem={DOM0_MB}M,max:{DOM0_MB}M gnttab_max_frames=256"
LINUX_OPTIONS = "console=hvc0 quiet mitigations=off random.trust_cpu=1"
BOOT_LIMIT = 120.0  # seconds; 10 on an idle machine
ANSWER_LIMIT = 30.0


class Machine:
    """Use as a context manager: QEMU ends with the block, and in any case with the process that started it."""

    def __init__(self, folder: Path, ram: Path, *, shared: bool, incoming: bool) -> None:
        self.folder = folder
        self.console = folder / "console.log"
        self._qemu = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", *_qemu(folder, ram, shared, incoming)],
            stdin=subprocess.DEVNULL,
            stdout=(folder / "qemu.log").open("wb"),
            stderr=subprocess.STDOUT,
        )
        try:
            self.link = Link(str(folder / "agent.sock"), self.alive, ANSWER_LIMIT)
            self._qmp = _Qmp(folder / "qmp.sock")
        except LinkLost as error:
            self.stop()
            raise LinkLost(f"{error}: {(folder / 'qemu.log').read_text()}") from error

    @classmethod
    def boot(cls, ram: Path) -> Self:
        """Boot with the memory in a new file `ram`; ready when dom0's agent answers."""
        machine = cls(_run_folder(), ram, shared=True, incoming=False)
        machine._wait(BOOT_LIMIT)
        return machine

    @classmethod
    def restore(cls, state: Path) -> Self:
        """A machine that goes on where the frozen one stopped."""
        return cls._restore(state, state / "ram", shared=False)

    @classmethod
    def continue_in(cls, state: Path, ram: Path) -> Self:
        """Like restore, with its memory in a new file `ram`, so that it can be frozen again."""
        sh(["cp", "--sparse=always", str(state / "ram"), str(ram)])
        return cls._restore(state, ram, shared=True)

    @classmethod
    def _restore(cls, state: Path, ram: Path, *, shared: bool) -> Self:
        machine = cls(_run_folder(), ram, shared=shared, incoming=True)
        try:
            machine._qmp.ignore_shared_memory()
            machine._qmp.ask("migrate-incoming", uri=f"exec:cat {state}/devices")
            machine.link.start("clock", str(time.time()).encode()).wait(ANSWER_LIMIT, check=True)
        except BaseException:
            machine.stop()
            raise
        return machine

    def freeze(self, devices: Path) -> None:
        """Write everything but the memory to `devices` and end; the memory is in the file it started with."""
        self._qmp.ignore_shared_memory()
        self._qmp.ask("migrate", uri=f"exec:cat > {devices}")
        while (status := self._qmp.ask("query-migrate").get("status")) != "completed":
            if status in ("failed", "cancelled"):
                raise RuntimeError(f"QEMU could not freeze the machine: migration {status}")
            time.sleep(0.02)
        self.stop()

    def alive(self) -> bool:
        return self._qemu.poll() is None

    def stop(self) -> None:
        """End QEMU at once; nothing in the machine needs an orderly end."""
        self._qemu.kill()
        self._qemu.wait()
        if hasattr(self, "link"):
            self.link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        self.stop()
        if kind is None:
            remove(self.folder)

    def _wait(self, limit: float) -> None:
        try:
            self.link.wait_ready(limit)
        except BaseException as error:
            self.stop()
            raise LinkLost(f"dom0 did not come up: see {self.console}") from error


class _Qmp:
    """QEMU's monitor."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_LIMIT)
        end = time.monotonic() + ANSWER_LIMIT
        while self._socket.connect_ex(str(path)) and time.monotonic() < end:
            time.sleep(0.01)  # QEMU makes the socket first and listens a moment later
        self._lines = self._socket.makefile("rb")
        self._lines.readline()  # the greeting
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while line := self._lines.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise RuntimeError(f"QEMU refused {command}: {answer['error']['desc']}")
            if "return" in answer:
                return dict(answer["return"])
        raise LinkLost(f"QEMU ended during {command}")

    def ignore_shared_memory(self) -> None:
        on = [{"capability": "x-ignore-shared", "state": True}]
        self.ask("migrate-set-capabilities", capabilities=on)


def _run_folder() -> Path:
    """A new folder for sockets and logs; its path stays short, a Unix socket's must fit into 107 bytes."""
    return Path(tempfile.mkdtemp(prefix="usblk-xen-"))


def _qemu(folder: Path, ram: Path, shared: bool, incoming: bool) -> list[str]:
    xen, image, initrd = HYPERVISOR.get(), dom0_image().get(), DOM0_INITRD.get()
    share = "on" if shared else "off"
    return [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-accel", "tcg,thread=multi,tb-size=512", "-cpu", CPU, "-smp", "1",
        "-m", str(MEMORY_MB), "-machine", "pc,memory-backend=ram",
        "-object", f"memory-backend-file,id=ram,size={MEMORY_MB}M,mem-path={ram},share={share}",
        "-kernel", f"{xen}/xen", "-append", XEN_OPTIONS,
        "-initrd", f"{xen}/vmlinux {LINUX_OPTIONS},{initrd}/initrd.gz",
        "-drive", f"file={image}/dom0.img,if=none,id=root,format=raw,readonly=on",
        "-device", "virtio-blk-pci,drive=root",
        "-serial", f"file:{folder}/console.log",
        "-chardev", f"socket,id=agent,path={folder}/agent.sock,server=on,wait=off",
        "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=lab",
        "-qmp", f"unix:{folder}/qmp.sock,server=on,wait=off",
        *(["-incoming", "defer"] if incoming else []),
    ]  # fmt: skip


def qemu_version() -> str:
    """Frozen machines are only good for the QEMU that froze them."""
    return sh(["qemu-system-x86_64", "--version"]).splitlines()[0]
