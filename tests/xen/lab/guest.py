# SPDX-License-Identifier: MIT
"""A guest, driven over its PV console: its init runs whole lines that come from there."""

import re
import secrets
import time
from typing import TYPE_CHECKING

from .link import Command, CommandError, Result

if TYPE_CHECKING:
    from .dom0 import Dom0


class GuestCommand:
    """The command that runs in a guest; a guest runs one at a time."""

    def __init__(self, console: Command, text: str) -> None:
        self._console = console
        self._text = text
        mark = secrets.token_hex(4)
        self._begin = f"@BEGIN-{mark}\n".encode()
        self._end = re.compile(rf"@END-{mark} (\d+)@".encode())
        # The quotes keep a marker in the line itself, should it be echoed, from looking like the printed one.
        line = f"\necho '@BEGIN'-{mark}\n{{ {text}\n}} </dev/null 2>&1; echo '@END'-{mark} $?@\n"
        console.forget_output()
        console.write(line.encode())

    def wait(self, timeout: float = 180, *, check: bool = True) -> Result:
        """Wait for the end; raise CommandError after `timeout` seconds, or with `check` if it failed."""
        text = f"in the guest: {self._text!r}"
        try:
            raw = self._console.wait_for(lambda out: bool(self._end.search(_plain(out))), timeout)
        except CommandError as error:
            raise CommandError(f"{text}: {error}") from error
        printed = _plain(raw)
        end = self._end.search(printed)
        assert end
        begin = printed.find(self._begin)
        result = Result(int(end[1]), printed[begin + len(self._begin) : end.start()])
        if check and result.rc:
            raise CommandError(f"exit code {result.rc} {text}, which printed:\n{result.out}")
        return result

    def done(self) -> bool:
        return bool(self._end.search(_plain(self._console.out.encode())))


class Guest:
    def __init__(self, dom0: "Dom0", name: str) -> None:
        self.dom0 = dom0
        self.name = name
        self._domid: int | None = None
        self._console: Command | None = None

    @property
    def domid(self) -> int:
        if self._domid is None:
            self._domid = int(self.dom0.run(f"xl domid {self.name}").out)
        return self._domid

    def start(self, command: str) -> GuestCommand:
        """Start a command (busybox shell syntax) without waiting for it."""
        return GuestCommand(self._open_console(), command)

    def run(self, command: str, *, timeout: float = 180, check: bool = True) -> Result:
        return self.start(command).wait(timeout, check=check)

    def wait(self, timeout: float = 120) -> None:
        """Wait until a guest that boots obeys commands."""
        self.run("true", timeout=timeout)

    def destroy(self) -> None:
        self.dom0.run(f"xl destroy {self.name}")
        self._domid = self._console = None

    def close_console(self) -> None:
        """Let go of the console, so that `xl console` or a later machine can have it."""
        if self._console:
            self._console.kill()
            self._console.wait(60)
            self._console = None

    def _open_console(self) -> Command:
        if self._console is None:
            path = f"/local/domain/{self.domid}/console/tty"
            end = time.monotonic() + 60
            while (tty := self.dom0.run(f"xenstore-read {path}", check=False)).rc:
                if time.monotonic() > end:
                    raise CommandError(f"guest {self.name}: xenconsoled wrote no {path} within 60 s")
                time.sleep(0.1)
            self._console = self.dom0.link.start("open", tty.out.strip().encode(), f"console of {self.name}")
        return self._console


def _plain(raw: bytes | bytearray) -> bytes:
    """Without the carriage returns that a console adds."""
    return bytes(raw).replace(b"\r", b"")
