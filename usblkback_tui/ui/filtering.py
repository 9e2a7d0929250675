# SPDX-License-Identifier: MIT
"""The words typed after ``/``: every one has to match, ``!word`` must not, ``dom:word`` looks at the domain alone."""

from __future__ import annotations

from usblkback_tui.engine.snapshot import DiskView


def matches(disk: DiskView, words: str) -> bool:
    """Whether a disk is shown.  Case does not matter; a ``dom:`` word is a part of the name or the whole domid."""
    return all(_matches(disk, word) for word in words.lower().split())


def _matches(disk: DiskView, word: str) -> bool:
    if word.startswith("!"):
        return len(word) == 1 or not _matches(disk, word[1:])
    if word.startswith("dom:"):
        wanted = word[4:]
        return wanted in disk.domain.lower() or wanted == str(disk.domid)
    text = " ".join(
        (
            disk.domain,
            disk.vdev,
            disk.image,
            disk.frontend_state.word,
            disk.backend_state.word,
            disk.health.severity.value,
            disk.health.sentence,
        )
    )
    return word in text.lower() or word == str(disk.domid)
