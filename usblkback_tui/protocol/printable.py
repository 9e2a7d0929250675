# SPDX-License-Identifier: MIT
"""Bytes that somebody else wrote, as one line a terminal can show."""

from __future__ import annotations


def printable(data: bytes | str, limit: int = 0) -> str:
    r"""UTF-8 text as it is; control characters, backslashes and what is no UTF-8 as escapes: ``\n``, ``\xff``.

    With ``limit``, at most so many characters, the last an ellipsis.
    """
    text = data.decode(errors="surrogateescape") if isinstance(data, bytes) else data
    shown = "".join(map(_shown, text))
    return shown if not limit or len(shown) <= limit else shown[: limit - 1] + "…"


def is_printable(data: bytes) -> bool:
    """Whether :func:`printable` shows the bytes as they are."""
    return printable(data).encode(errors="replace") == data


def _shown(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character == "\\" or not character.isprintable():
        return character.encode("unicode_escape", errors="surrogatepass").decode()
    return character
