# SPDX-License-Identifier: MIT
"""What is wrong, in one sentence, with the key, the value found and the way out."""

from __future__ import annotations

from typing import Any


class UserError(Exception):
    """Something an operator or a peer gave us cannot be used.

    ``str()`` is the whole sentence: what is wrong, then how to fix it.  ``key`` names the config key, xenstore path or
    argument at fault, ``value`` what stood there; both may be empty.
    """

    def __init__(self, problem: str, *, fix: str = "", key: str = "", value: object = "") -> None:
        self.problem = problem
        self.fix = fix
        self.key = key
        self.value = str(value)
        super().__init__(f"{problem}; {fix}" if fix else problem)

    def to_json(self) -> dict[str, Any]:
        """The shape errors have on the control socket."""
        return {
            "message": str(self),
            "problem": self.problem,
            "fix": self.fix,
            "key": self.key,
            "value": self.value,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> UserError:
        """The inverse of :meth:`to_json`; unknown or missing members are harmless."""
        return cls(
            str(data.get("problem") or data.get("message") or "the engine refused without a reason"),
            fix=str(data.get("fix", "")),
            key=str(data.get("key", "")),
            value=data.get("value", ""),
        )
