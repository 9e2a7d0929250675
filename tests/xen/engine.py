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


class Cli:
    """The commands of `usblkback-tui` without the time an interpreter takes to start."""

    def __init__(self, dom0: Dom0) -> None:
        self._dom0 = dom0

    def __call__(self, arguments: str, *, check: bool = True, timeout: float = 180) -> Result:
        """Run one command."""
        return self._dom0.call(arguments).wait(timeout, check=check)


class Engine:
    """`usblkback-tui serve` with some lines of configuration.

    A context: at its end the engine is told to end with SIGTERM, must do so without an error, and must leave nothing
    behind.  After a failure it is left running, for the evidence.
    """

    def __init__(self, dom0: Dom0, config: str = "") -> None:
        self._dom0 = dom0
        dom0.write_file(CONFIG, config)
        self.process = dom0.call(f"serve --config {CONFIG}")
        self.cli = Cli(dom0)
        self.process.wait_for(lambda out: b"serving, control socket" in out, 90)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        if kind is None:
            self.end()
            assert_nothing_left(self._dom0)

    def end(self) -> None:
        """SIGTERM, unless it ended before."""
        if self.process.poll() is None:
            self.process.kill(15)
        ended = self.process.wait(60)
        assert ended.rc == 0, ended.out
        for failure in ("internal error", "Traceback"):
            assert failure not in ended.out, ended.out

    def attach(self, domain: str, image: str, vdev: str, mode: str = "w") -> Json:
        """Attach and wait until both ends are Connected; the disk as `attach --json` prints it."""
        answer = self.cli(f"attach {domain} {image} {vdev} --mode {mode} --wait 60 --json", timeout=120)
        disk: Json = json.loads(answer.out)["disk"]
        assert connected(disk), disk
        return disk

    def detach(self, domain: str, vdev: str) -> None:
        self.cli(f"detach {domain} {vdev} --wait 60", timeout=120)

    def disks(self) -> list[Json]:
        """What `status --json` lists."""
        disks: list[Json] = json.loads(self.cli("status --json").out)["disks"]
        return disks

    def disk(self, domain: str, vdev: str) -> Json:
        """One of them."""
        disks = self.disks()
        found = [disk for disk in disks if (disk["domain"], disk["vdev"]) == (domain, vdev)]
        assert found, f"{vdev} of {domain} is not among {disks}"
        return found[0]

    def well(self, domain: str, vdev: str) -> Json:
        """The disk once nothing is wrong with it: an emulated machine is slow under load, which is a finding."""
        end = time.monotonic() + 180
        while (disk := self.disk(domain, vdev))["health"]["sentence"] != "ok":
            assert time.monotonic() < end, disk
            time.sleep(1)
        return disk

    def wait_disks(self, found: Callable[[list[Json]], bool], seconds: float = 180) -> list[Json]:
        """Wait until `found` is true of what `status --json` lists."""
        end = time.monotonic() + seconds
        while not found(disks := self.disks()):
            assert time.monotonic() < end, f"not so within {seconds:g} s: {disks}\n{self.process.out}"
            time.sleep(0.3)
        return disks

    def open_files(self) -> list[str]:
        """What its process has open, sorted."""
        pid = json.loads(self.cli("status --json").out)["engine"]["pid"]
        links = self._dom0.run(f"ls -l /proc/{pid}/fd").out
        return sorted(line.split(" -> ")[1] for line in links.splitlines() if " -> " in line)


class Events:
    """`usblkback-tui watch --json`: the engine's events from now on."""

    def __init__(self, dom0: Dom0) -> None:
        self._command: Command = dom0.call("watch --json")
        # it says nothing until something happens; a second socket with the engine's name is its connection
        dom0.run("until [ $(grep -c usblkback-tui/engine.sock /proc/net/unix) -ge 2 ]; do sleep 0.2; done")

    def all(self) -> list[Json]:
        """The events so far."""
        return [json.loads(line) for line in self._command.out.splitlines(keepends=True) if line.endswith("\n")]

    def wait_for(self, found: Callable[[list[Json]], bool], seconds: float = 180) -> list[Json]:
        """Wait until `found` is true of the events so far."""
        end = time.monotonic() + seconds
        while not found(events := self.all()):
            assert time.monotonic() < end, f"no such event within {seconds:g} s: {[e['text'] for e in events]}"
            time.sleep(0.1)
        return events

    def wait_text(self, text: str, seconds: float = 60) -> None:
        """Wait until an event says `text`."""
        self.wait_for(lambda events: any(text in event["text"] for event in events), seconds)

    def states(self, end: str) -> list[str]:
        """The states that one end, `frontend` or `backend`, went to."""
        return [event["change"]["new"] for event in self.all() if event["change"] and event["change"]["end"] == end]


def connected(disk: Json) -> bool:
    """Both ends of it are."""
    return (disk["frontend_state"], disk["backend_state"]) == ("Connected", "Connected")
