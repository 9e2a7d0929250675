# SPDX-License-Identifier: MIT
"""What is done to a world besides what happens by itself, and what must be true when all has come to rest."""

from __future__ import annotations

from collections.abc import Callable

from tests.engine.interleave.world import World
from usblkback_tui.engine.host.sim.guest.driver import Driver
from usblkback_tui.engine.host.sim.guest.frontends.linux import Linux
from usblkback_tui.engine.host.sim.guest.frontends.steps import Listen
from usblkback_tui.protocol.states import XenbusState as S

TAKES_OVER = ("linux", "winvbd")
"""Frontends that boot on a device that another left in the middle of things."""
DEAF = ("ovmf", "grub", "uboot", "minios")
"""Boot loaders: they do not hear what a backend says once they are connected."""


class Story:
    """Deeds that may be done at any time, each when it makes sense; and the end of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._told: Driver | None = None
        self.detached = False
        self.lost = False
        """An engine died that served a ring: nobody can serve it again."""

    @property
    def left(self) -> bool:
        """The driver that is there was told to leave its disk."""
        return self._told is not None and self._told is self.world.guest.driver

    def deeds(self) -> dict[str, Callable[[], None]]:
        """By name, what can be done now."""
        world, driver = self.world, self.world.guest.driver
        found: dict[str, Callable[[], None]] = {}
        if driver is not None and not self.left:
            found["leave"] = self._leave
        if self._can_take_over() and driver is not None and not self.left:
            found["restart"] = self._restart
        if self._has_successor() and self.left and driver is not None and driver.over and not self._unseen():
            found["succeed"] = self._succeed
        if world.engine is not None:
            found["kill"] = self._kill
            found["lose"] = world.lose
        if not self.detached and world.read(f"{world.back}/state") is not None:
            found["detach"] = self._detach
            if world.disk is not None and not world.disk.ending:
                found["reboot"] = self._reboot
            settled = driver is not None and isinstance(driver._step, Listen)
            if world.connected and settled and world.frontend != "grub":  # which looks for disks once
                found["recreate"] = self._recreate
        return found

    def do(self, name: str) -> None:
        """One of :meth:`deeds`; nothing when it cannot be done now."""
        deed = self.deeds().get(name)
        if deed is not None:
            self.world.do((f"-- {name}", deed))

    def end(self) -> None:
        """Let it come to rest and hold it against what was done; then take everything away."""
        world = self.world
        world.settle()
        if not (self.left or self.detached or self.lost) and not world.connected:
            raise world.broken("the ends do not come to be connected")
        if not self.detached:
            self._leave_and_come_back()
        self._take_away()

    def _leave_and_come_back(self) -> None:
        """A close reaches Closed; Linux, if it is next, finds a backend."""
        world = self.world
        if not self.left:
            self._leave()
            world.settle()
        if S.CLOSED not in world.reached:
            raise world.broken("the close did not reach Closed")
        driver = world.guest.driver
        if driver is None or not driver.over:
            raise world.broken("the frontend is not done with closing")
        if world.front_state is S.INITIALISING and world.back_state is not S.INIT_WAIT:
            raise world.broken("the device was handed on and the backend is not ready")
        if world.front_state is S.CLOSED and world.back_state is not S.CLOSED:
            raise world.broken("the backend did not stay Closed")
        if self._has_successor():
            self._succeed()
            world.settle()
            if not world.connected:
                raise world.broken("whoever boots next is not connected")

    def _take_away(self) -> None:
        world = self.world
        if not self.detached:
            self._detach()
        world.settle()
        if world.back_state is not S.UNKNOWN:
            self._leave()
            world.guest.ended.extend(  # umount: the load of a frontend that was busy ends
                (driver, driver._queues.rings[0])  # type: ignore[attr-defined]
                for driver in world.guest.bus.drivers.values()
                if driver.running and driver._queues is not None
            )
            world.settle()
        if world.back_state is not S.UNKNOWN:
            if not self.lost and not world.guest.failures:
                raise world.broken("a detached disk does not go")
            world.do(("by force", world.remove))
            world.settle()
        world.check_nothing_is_left()

    # Deeds ------------------------------------------------------------------------------------------------------------

    def _leave(self) -> None:
        self._told = self.world.guest.driver
        self.world.guest.leave()

    def _succeed(self) -> None:
        """After a boot loader Linux boots, in the same domain; else the same once more."""
        world = self.world
        if world.frontend in DEAF:
            world.frontend = "linux"
            world.guest.bus._frontend = Linux
        self._restart()

    def _restart(self) -> None:
        """Another driver boots where the last one was; it makes a ring of its own."""
        self.lost = False
        self.world.guest.restart()

    def _kill(self) -> None:
        world = self.world
        self.lost = self.lost or world.back_state is S.CONNECTED
        world.hurt = world.hurt or self.lost
        world.kill_engine()

    def _detach(self) -> None:
        self.detached = self.world.hurt = True
        self.world.detach()

    def _reboot(self) -> None:
        self.lost = False
        self.world.reboot()

    def _recreate(self) -> None:
        self.lost = False
        self.world.yanked = True
        self.world.recreate()

    def _can_take_over(self) -> bool:
        world = self.world
        return world.frontend in TAKES_OVER and world.front_state in world.guest.bus._frontend.probes

    def _has_successor(self) -> bool:
        return self.world.frontend in (*TAKES_OVER, *DEAF)

    def _unseen(self) -> bool:
        """The device was handed on and the backend has not seen it: whoever boots takes longer than that."""
        return self.world.front_state is S.INITIALISING and self.world.back_state is S.CLOSED
