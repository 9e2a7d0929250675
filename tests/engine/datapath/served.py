# SPDX-License-Identifier: MIT
"""A ring being served: a ``Frontend``, a ``RingServer`` with the embedded host's own operations, and its thread.

``hooks`` stand in front of the operations: ``{"notify": hook}`` has ``hook(real, *arguments)`` called instead, in the
ring's thread, where ``real(*arguments)`` does what was asked and ``ctypes.set_errno`` says why it failed.

Leaving the context checks the books: every page mapped was unmapped, as we count it and as the hypervisor does.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.engine.datapath.frontend import Frontend
from usblkback_tui.engine.datapath.ring import (
    End,
    GrantBudget,
    GrantMode,
    IoEngine,
    RingConfig,
    RingServer,
    Vbd,
    VbdConfig,
)
from usblkback_tui.engine.host.sim import Hypervisor
from usblkback_tui.engine.snapshot import Counters

Hook = Callable[..., Any]

_pointer, _int, _u32 = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32
_SIGNATURES: Mapping[str, tuple[Any, ...]] = {
    "map": (_pointer, _pointer, _u32, _u32, ctypes.POINTER(_u32), _int),
    "unmap": (_int, _pointer, _pointer, _u32),
    "copy": (_int, _pointer, _u32, _pointer),
    "pending": (_int, _pointer),
    "wait": (_int, _pointer),
    "unmask": (_int, _pointer, _u32),
    "notify": (_int, _pointer, _u32),
}


class Served:
    """``image`` is a file, opened for writing even for a read-only disk, or an open descriptor, which stays open.

    ``waits``: the host's channel can be slept on without poll().  ``config`` is what else ``RingConfig`` and
    ``VbdConfig`` take; ``sectors`` is by default the size of the file.  ``vbd``: one more queue of this disk, whose
    image is ``image``.
    """

    def __init__(
        self,
        hypervisor: Hypervisor,
        image: Path | int,
        mode: GrantMode = GrantMode.COPY,
        *,
        protocol: str = "x86_64-abi",
        ring_pages: int = 1,
        start: int = 0,
        memory_mib: int = 4,
        hooks: Mapping[str, Hook] | None = None,
        running: bool = True,
        waits: bool = True,
        budget: GrantBudget | None = None,
        vbd: Vbd | None = None,
        **config: Any,
    ) -> None:
        self.front = Frontend(hypervisor, protocol=protocol, ring_pages=ring_pages, memory_mib=memory_mib, start=start)
        self.domain = self.front.domain
        self.ends: list[End] = []
        self._grants = hypervisor.open_grants(self.domain.domid, 0)
        self._ring = self._grants.map(self.front.ring_refs, writable=True)
        self.channel = hypervisor.bind(self.domain.domid, self.front.port, 0)
        self._own_fd = image if isinstance(image, int) else os.open(image, os.O_RDWR | os.O_CLOEXEC)
        self._opened = not isinstance(image, int)
        self._keep: list[Any] = []
        self._thread: threading.Thread | None = None
        config.setdefault("io", IoEngine.SYNC)
        config.setdefault("response_wait_us", 60_000_000)  # batches are then a matter of their size alone
        ops = self.channel.ops if waits else replace(self.channel.ops, wait=0, poke_port=0)
        of_vbd = {name: config.pop(name) for name in VbdConfig.__slots__ if name in config}
        self.vbd = vbd or Vbd(VbdConfig(self._own_fd, **{"sectors": os.fstat(self._own_fd).st_size // 512, **of_vbd}))
        self.server = RingServer(
            self.vbd,
            RingConfig(
                grants=self._hooked(self._grants.ops, hooks or {}),
                channel=self._hooked(ops, hooks or {}),
                domid=self.domain.domid,
                ring_address=self._ring,
                ring_pages=ring_pages,
                protocol=protocol,
                grant_mode=mode,
                **config,
            ),
            budget,
        )
        if running:
            self.start()

    def _hooked(self, ops: Any, hooks: Mapping[str, Hook]) -> Any:
        changed = {}
        for name, hook in hooks.items():
            if hasattr(ops, name):
                kind = ctypes.CFUNCTYPE(*_SIGNATURES[name], use_errno=True)
                real = kind(getattr(ops, name))
                function = kind(lambda *args, hook=hook, real=real: hook(real, *args))
                self._keep.append(function)
                changed[name] = ctypes.cast(function, ctypes.c_void_p).value
        return replace(ops, **changed)

    def start(self) -> None:
        """Run the ring in a thread."""
        self._thread = threading.Thread(target=lambda: self.ends.append(self.server.run()), daemon=True)
        self._thread.start()

    def ended(self, timeout: float = 60.0) -> End:
        """Wait for the ring's thread; why it came back."""
        assert self._thread
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "the ring still runs"
        self._thread = None
        return self.ends[-1]

    def stop(self, timeout: float = 60.0) -> End:
        """Stop, and wait for it."""
        self.server.stop()
        return self.ended(timeout)

    @property
    def running(self) -> bool:
        return bool(self._thread and self._thread.is_alive())

    @property
    def counters(self) -> Counters:
        return self.server.counters()

    @property
    def spurious(self) -> int:
        """Wake-ups without work, which no face of the engine shows."""
        return int(self.server._stats.spurious)

    def __enter__(self) -> Served:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._thread:
            end = self.stop()
            assert error or end == End.STOPPED, end
        counters = self.server.close()
        pages = len(self.front.ring_refs)
        mapped, maps = self.domain.mapped - pages, self.domain.maps - pages
        self._grants.unmap(self._ring, pages)
        self.channel.close()
        self._grants.close()
        if self._opened:
            os.close(self._own_fd)
        self.front.close()
        if error is None:
            assert counters.maps == counters.unmaps, "pages mapped and unmapped, as the ring counts them"
            assert counters.grants_mapped == 0
            assert (mapped, maps) == (0, counters.maps), "pages mapped now and ever, as the hypervisor counts them"
