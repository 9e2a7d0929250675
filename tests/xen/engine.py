# SPDX-License-Identifier: MIT
"""An engine that serves in dom0, driven through the project's own command line."""

import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from .lab.dom0 import Dom0
from .lab.link import Command, Result
from .leftovers import assert_nothing_left

CONFIG = "/tmp/engine.toml"
Json = dict[str, Any]


class Engine:
    """`usblkback-tui serve` with some lines of configuration.

    A context: at its end the engine is told to end with SIGTERM, must do so without an error, and must leave nothing
    behind.  After a failure it is left running, for the evidence.
    """

    def __init__(self, dom0: Dom0, config: str = "") -> None:
        self._dom0 = dom0
        dom0.write_file(CONFIG, config)
        self.process = dom0.spawn(f"exec usblkback-tui serve --config {CONFIG}")
        self.process.wait_for(lambda out: b"serving, control socket" in out, 60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        if kind is None:
            self.end()
            assert_nothing_left(self._dom0)

    def end(self) -> None:
        """SIGTERM; harmless when it ended before."""
        if self.process.poll() is None:
            self.process.kill(15)
        ended = self.process.wait(60)
        assert ended.rc == 0, ended.out
        assert "internal error" not in ended.out, ended.out
        assert "Traceback" not in ended.out, ended.out

    def cli(self, arguments: str, *, check: bool = True, timeout: float = 60) -> Result:
        """One command of `usblkback-tui`."""
        return self._dom0.run(f"usblkback-tui {arguments}", check=check, timeout=timeout)

    def attach(self, domain: str, image: str, vdev: str, mode: str = "w", seconds: float = 30) -> Json:
        """Attach and wait until both ends are Connected; the disk as `status --json` shows it."""
        answer = self.cli(
            f"attach {domain} {image} {vdev} --mode {mode} --wait {seconds:g} --json", timeout=60 + seconds
        )
        disk: Json = json.loads(answer.out)["disk"]
        assert (disk["frontend_state"], disk["backend_state"]) == ("Connected", "Connected"), disk
        return disk

    def detach(self, domain: str, vdev: str, options: str = "") -> None:
        self.cli(f"detach {domain} {vdev} --wait 30 {options}")

    def disks(self) -> list[Json]:
        """What `status --json` lists."""
        document: Json = json.loads(self.cli("status --json").out)
        disks: list[Json] = document["disks"]
        return disks

    def disk(self, domain: str, vdev: str) -> Json | None:
        """One of them."""
        return next((d for d in self.disks() if (d["domain"], d["vdev"]) == (domain, vdev)), None)

    def wait_disk(self, domain: str, vdev: str, found: Callable[[Json], bool], seconds: float = 60) -> Json:
        """Wait until a disk is there and `found` is true of it."""
        end = time.monotonic() + seconds
        while True:
            disks = self.disks()
            for disk in disks:
                if (disk["domain"], disk["vdev"]) == (domain, vdev) and found(disk):
                    return disk
            assert time.monotonic() < end, f"{vdev} of {domain} did not get there within {seconds:g} s: {disks}"
            time.sleep(0.3)

    def wait_no_disk(self, seconds: float = 60) -> None:
        """Wait until nothing is attached."""
        end = time.monotonic() + seconds
        while disks := self.disks():
            assert time.monotonic() < end, f"still attached after {seconds:g} s: {disks}"
            time.sleep(0.3)

    def watch(self) -> "Events":
        """Begin to read events; those that happened before are among them."""
        return Events(self._dom0.spawn("exec usblkback-tui watch --json"))

    def open_files(self) -> list[str]:
        """What its process has open, sorted."""
        found = self._dom0.run("readlink /proc/$(pgrep -f 'usblkback-tui serv[e]')/fd/*").out
        return sorted(found.splitlines())


class Events:
    """`usblkback-tui watch --json`."""

    def __init__(self, command: Command) -> None:
        self._command = command

    def all(self) -> list[Json]:
        """The events so far."""
        return [json.loads(line) for line in self._command.out.splitlines(keepends=True) if line.endswith("\n")]

    def states(self) -> list[tuple[str, str]]:
        """(end, new state) of every change so far."""
        return [(e["change"]["end"], e["change"]["new"]) for e in self.all() if e["change"]]

    def wait_for(self, found: Callable[[list[Json]], bool], seconds: float = 30) -> list[Json]:
        """Wait until `found` is true of the events so far."""
        end = time.monotonic() + seconds
        while not found(events := self.all()):
            assert time.monotonic() < end, f"no such event after {seconds:g} s: {[e['text'] for e in events]}"
            time.sleep(0.1)
        return events

    def wait_text(self, text: str, seconds: float = 30) -> None:
        """Wait until an event says `text`."""
        self.wait_for(lambda events: any(text in event["text"] for event in events), seconds)


def connected(disk: Json) -> bool:
    return (disk["frontend_state"], disk["backend_state"]) == ("Connected", "Connected")
