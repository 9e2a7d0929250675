# SPDX-License-Identifier: MIT
"""What the screens cost: measured as they run, shown on the engine screen."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from usblkback_tui.ui.enginelines import OwnCost

KEPT = 240
"""Ticks the worst lag is taken of: a minute of them."""


class Gauges:
    """Counts ticks and paint; one thread."""

    def __init__(self, clock: Callable[[], float], refresh_hz: float) -> None:
        """``clock`` gives seconds; tests give their own."""
        self._clock = clock
        self._period = 1 / refresh_hz
        self._hz = refresh_hz
        self._due: float | None = None
        self._lags: deque[float] = deque(maxlen=KEPT)
        self._last = 0.0
        self.slowest = 0.0
        """Seconds the longest tick took."""
        self._ticks = 0
        self._since = clock()
        self._base = (0, 0)
        self._rates = (0, 0)

    def pace(self, refresh_hz: float) -> None:
        """Ticks come so often from now on."""
        self._period, self._hz, self._due = 1 / refresh_hz, refresh_hz, None

    def timer(self) -> None:
        """The event loop came to its timer."""
        now = self._clock()
        if self._due is not None:
            self._lags.append(max(now - self._due, 0.0))
        self._due = now + self._period

    def ticked(self, seconds: float) -> None:
        """A tick took so long."""
        self._last = seconds
        self.slowest = max(self.slowest, seconds)
        self._ticks += 1

    @property
    def due(self) -> bool:
        """A second has passed since :meth:`cost` was asked."""
        return self._clock() - self._since >= 1.0

    def cost(self, painted: int, drawn: int, moments: int) -> OwnCost:
        """What is to be shown for the next second; ``painted`` rows and ``drawn`` panes are totals."""
        self._rates = (max(painted - self._base[0], 0), max(drawn - self._base[1], 0))
        self._base, self._since = (painted, drawn), self._clock()
        return OwnCost(
            tick_ms=self._last * 1e3,
            slowest_tick_ms=self.slowest * 1e3,
            lag_ms=(self._lags[-1] if self._lags else 0.0) * 1e3,
            worst_lag_ms=max(self._lags, default=0.0) * 1e3,
            ticks=self._ticks,
            painted=self._rates[0],
            drawn=self._rates[1],
            refresh_hz=self._hz,
            moments=moments,
        )
