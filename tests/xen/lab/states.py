# SPDX-License-Identifier: MIT
"""Machines frozen while they run: restoring one takes under a second where booting it takes a minute.

base     dom0 with xenstored and xenconsoled, and two diskless PV guests at their shells: g1 with one processor,
         g2 with two (a guest negotiates at most one queue per processor)
staged   base with the project installed in dom0, and its modules imported by dom0's agent
"""

from collections.abc import Callable
from pathlib import Path

from .cache import Artefact
from .dom0 import Dom0
from .machine import Machine, qemu_version
from .recipes.dom0_image import SITE_PACKAGES, dom0_image
from .recipes.initrd import DOM0_INITRD
from .recipes.project import project
from .recipes.wheels import PROJECT

HERE = Path(__file__).parent
PACKAGE = PROJECT / "usblkback_tui"
UNUSED = frozenset({"ui", "sim", "demo.py", "tui.py", "build.py"})
PROTOTYPES = "usblkback_tui.engine.host.xen.libs:_ffi"
"""Parses the prototypes of Xen's libraries, which takes longer than the imports."""
SCREEN_IMPORTS = "textual.app, textual.widgets, rich.table"


def make_base(folder: Path) -> None:
    with Machine.boot(folder / "ram") as machine:
        dom0 = Dom0(machine)
        dom0.run("sh /lab/services.sh")
        guests = [dom0.create_guest("g1"), dom0.create_guest("g2", vcpus=2)]
        for guest in guests:
            guest.wait()
            guest.close_console()
        machine.freeze(folder / "devices")


def make_staged(folder: Path) -> None:
    with Machine.continue_in(base().get(), folder / "ram") as machine:
        dom0 = Dom0(machine)
        dom0.write_file("/tmp/project.tar", (project().get() / "project.tar").read_bytes())
        dom0.run("tar -C / -xf /tmp/project.tar && rm /tmp/project.tar")
        dom0.run(f"python3 -c 'import {SCREEN_IMPORTS}'")  # from now on in the page cache
        warm = f"/{SITE_PACKAGES} usblkback_tui.cli:main {PROTOTYPES} {' '.join(_modules())}"
        machine.link.start("warm", warm.encode(), "warm the project's imports").wait(120, check=True)
        machine.freeze(folder / "devices")


def _modules() -> list[str]:
    """What commands without a screen import on Xen."""
    files = (path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py"))
    parts = [file.with_suffix("").parts for file in files if not UNUSED & {*file.parts}]
    return sorted(".".join(names) for names in parts if not names[-1].startswith("__"))


def base() -> Artefact:
    return _state("state-base", make_base, dom0_image(), DOM0_INITRD)


def staged() -> Artefact:
    return _state("state-staged", make_staged, base(), project())


def _state(name: str, make: Callable[[Path], None], *made_from: Artefact) -> Artefact:
    how = tuple(HERE / file for file in ("machine.py", "dom0.py", "guest.py", "link.py"))
    return Artefact(name, make, inputs=(*made_from, *how, qemu_version()))
