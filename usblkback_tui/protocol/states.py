# SPDX-License-Identifier: MIT
"""XenbusState: what each end of a device says about itself in its ``state`` key.

Source: xen/include/public/io/xenbus.h.
"""

from __future__ import annotations

from enum import IntEnum


class XenbusState(IntEnum):
    """The value of a ``state`` key; ``UNKNOWN`` also stands for a key that is missing or not a state."""

    UNKNOWN = 0
    INITIALISING = 1
    INIT_WAIT = 2
    INITIALISED = 3
    CONNECTED = 4
    CLOSING = 5
    CLOSED = 6
    RECONFIGURING = 7
    RECONFIGURED = 8

    @property
    def word(self) -> str:
        """The name the field uses: ``InitWait``, ``Connected``, ..."""
        return _WORDS[self]

    @classmethod
    def parse(cls, text: str | None) -> XenbusState:
        """The state a key's value stands for.  Anything that is not one of ``"0"`` .. ``"8"`` is UNKNOWN."""
        if text is None or len(text) != 1 or text not in "012345678":
            return cls.UNKNOWN
        return cls(int(text))

    @classmethod
    def from_word(cls, word: str) -> XenbusState:
        """The inverse of ``word``.  Raises KeyError."""
        return _BY_WORD[word]


_WORDS = {
    XenbusState.UNKNOWN: "Unknown",
    XenbusState.INITIALISING: "Initialising",
    XenbusState.INIT_WAIT: "InitWait",
    XenbusState.INITIALISED: "Initialised",
    XenbusState.CONNECTED: "Connected",
    XenbusState.CLOSING: "Closing",
    XenbusState.CLOSED: "Closed",
    XenbusState.RECONFIGURING: "Reconfiguring",
    XenbusState.RECONFIGURED: "Reconfigured",
}
_BY_WORD = {word: state for state, word in _WORDS.items()}
