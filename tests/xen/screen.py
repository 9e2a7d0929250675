# SPDX-License-Identifier: MIT
"""A program on a terminal in dom0, inside tmux: keys go in, what a person would see comes out."""

import time
from collections.abc import Callable

from .lab.dom0 import Dom0

SETTINGS = "set -g status off\nset -g escape-time 10\nset -g default-terminal screen-256color\n"


class Screen:
    """One tmux with one program."""

    def __init__(self, dom0: Dom0, command: str, columns: int, rows: int) -> None:
        self._dom0 = dom0
        dom0.write_file("/tmp/tmux.conf", SETTINGS)
        told = f"{command}; echo ended with code $?; exec sleep 3600"
        self._tmux(f"-u -f /tmp/tmux.conf new-session -d -x {columns} -y {rows} '{told}'")

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: a, Enter, Escape, BTab (shift+tab)."""
        self._tmux(f"send-keys {' '.join(keys)}")

    def type(self, text: str) -> None:
        """Type text as it is."""
        self._tmux(f"send-keys -l '{text}'")

    def text(self) -> str:
        """What is on the screen."""
        return self._tmux("capture-pane -p")

    def wait(self, *texts: str, seconds: float = 240) -> str:
        """Wait until all of `texts` are on the screen; the screen."""
        return self._wait(lambda text: all(one in text for one in texts), f"all of {texts}", seconds)

    def wait_gone(self, text: str, seconds: float = 240) -> str:
        """Wait until `text` is not on the screen any more; the screen."""
        return self._wait(lambda seen: text not in seen, f"a screen without {text!r}", seconds)

    def wait_end(self, seconds: float = 240) -> int:
        """Wait until the program ends and the shell has the screen again; the exit code."""
        text = self._wait(lambda seen: "ended with code " in seen, "end of the program", seconds)
        return int(text.split("ended with code ")[1].split()[0])

    def close(self) -> None:
        """End tmux and what runs in it."""
        self._tmux("kill-server")

    def _wait(self, found: Callable[[str], bool], what: str, seconds: float) -> str:
        end = time.monotonic() + seconds
        while not found(text := self.text()):
            assert time.monotonic() < end, f"no {what} within {seconds:g} s:\n{text}"
            time.sleep(0.3)
        return text

    def _tmux(self, arguments: str) -> str:
        return self._dom0.run(f"tmux {arguments}").out
