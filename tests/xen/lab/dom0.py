# SPDX-License-Identifier: MIT
"""What a test does in dom0: run commands, move files, start guests."""

import shlex
from pathlib import Path

from .guest import Guest
from .link import Command, Link, Result
from .machine import Machine

# What explains a failure: file name in the report -> command in dom0.
EVIDENCE = {
    "xenstore.txt": "xenstore-ls -fp",
    "xl-list.txt": "xl list --long; xl list --verbose",
    "xl-dmesg.txt": "xl dmesg",
    "dom0-dmesg.txt": "dmesg",
    "processes.txt": "ps -eLo pid,tid,stat,wchan:24,pcpu,args",
    "xen-logs.txt": "tail -n 200 /var/log/xen/*.log",
    "guest-consoles.txt": "tail -c 65536 /var/log/xen/console/*.log",
    "interrupts.txt": "cat /proc/interrupts",
}


class Dom0:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._guests: dict[str, Guest] = {}

    @property
    def link(self) -> Link:
        return self.machine.link

    def run(self, command: str, *, timeout: float = 180, check: bool = True) -> Result:
        """Run a shell command as root; with `check`, CommandError unless it exits with 0."""
        return self.spawn(command).wait(timeout, check=check)

    def spawn(self, command: str) -> Command:
        """Start a shell command; commands run side by side."""
        return self.link.start("run", command.encode(), command)

    def call(self, arguments: str) -> Command:
        """Start the project's command line with these arguments, at once: its imports are done (see inside/agent.py).

        Its process is called ``usblkback-tui``, as that of the installed program is.
        """
        words = ["usblkback-tui", *shlex.split(arguments)]
        return self.link.start("call", "\0".join(words).encode(), " ".join(words))

    def terminal(self, command: str, rows: int = 24, columns: int = 80) -> Command:
        """Start a shell command in a terminal of its own, for programs with a screen."""
        return self.link.start("tty", f"{rows} {columns} {command}".encode(), command)

    def write_file(self, path: str, content: bytes | str) -> None:
        data = content.encode() if isinstance(content, str) else content
        self.link.start("put", path.encode() + b"\0" + data, f"write {path}").wait(120, check=True)

    def read_file(self, path: str) -> bytes:
        return self.run(f"cat '{path}'", timeout=120).raw

    def guest(self, name: str) -> Guest:
        """A guest that runs already, by its name in `xl list`."""
        return self._guests.setdefault(name, Guest(self, name))

    def create_guest(
        self, name: str, *, kind: str = "pv", vcpus: int = 1, memory: int = 256, options: str = "", config: str = ""
    ) -> Guest:
        """Start a Linux guest with xl; `kind` is pv or pvh, `options` go to its kernel, `config` to its configuration.

        Returns when xl does: wait() for the guest before the first command, its boot takes about 10 s.
        """
        return self.create_domain(
            name,
            f'type = "{kind}"',
            'kernel = "/lab/vmlinux"',
            'ramdisk = "/lab/initrd.gz"',
            f'extra = "console=hvc0 quiet mitigations=off {options}"',
            f"memory = {memory}",
            f"vcpus = {vcpus}",
            config,
        )

    def create_domain(self, name: str, *config: str, paused: bool = False) -> Guest:
        """Start a domain from lines of configuration; a paused one waits for `xl unpause`."""
        self.write_file(f"/tmp/{name}.cfg", "\n".join((f'name = "{name}"', 'on_crash = "preserve"', *config)) + "\n")
        self.run(f"xl create {'-p ' if paused else ''}/tmp/{name}.cfg", timeout=90)
        return self.guest(name)

    def save_evidence(self, folder: Path) -> None:
        """Collect what explains a failed test into `folder`; whatever cannot be had is left out."""
        folder.mkdir(parents=True, exist_ok=True)
        running = {name: self.spawn(command) for name, command in EVIDENCE.items() if self.machine.alive()}
        for name, command in running.items():
            try:
                text = command.wait(20).out
            except AssertionError as error:
                text = str(error)
            (folder / name).write_text(text)
        for log in (self.machine.console, self.machine.folder / "qemu.log"):
            if log.exists():
                (folder / log.name).write_bytes(log.read_bytes())
