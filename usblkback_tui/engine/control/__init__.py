# SPDX-License-Identifier: MIT
"""The control socket: one engine, looked at and acted on by other processes of the same user.

``server.py`` puts a :class:`~usblkback_tui.engine.api.Backend` on a Unix socket, ``client.py`` makes one of it again.
The language is one JSON object to a line; ``wire.py`` has its version and limits, ``verbs.py`` what can be asked.
"""
