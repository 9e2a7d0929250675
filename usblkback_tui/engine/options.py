# SPDX-License-Identifier: MIT
"""An operator's options for one disk: checked, and kept in its backend directory.

The directory is where the next engine and a rebooted guest's next vbd find them, beside ``mode`` and ``device-type``.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace

from usblkback_tui.engine.config_values import check_fields
from usblkback_tui.engine.control.codec import CodecError, decode, encode
from usblkback_tui.engine.settings import DiskOptions
from usblkback_tui.protocol.backend import OPTIONS_KEY, BackendIdentity
from usblkback_tui.protocol.errors import UserError


def check_options(options: DiskOptions) -> None:
    """Raises UserError naming the option that is out of its range."""
    check_fields(options, source="options")


def identity_of(domid: int, devid: int, image: str, mode: str, options: DiskOptions) -> BackendIdentity:
    """What an attach writes about a vbd.  A CD is removable and read-only whatever ``mode`` says."""
    cdrom = options.device_type == "cdrom"
    return BackendIdentity(
        domid=domid,
        devid=devid,
        image=image,
        mode="r" if cdrom else mode,
        device_type=options.device_type,
        removable=cdrom,
        options=_text(options),
    )


def options_of(identity: BackendIdentity) -> DiskOptions:
    """The options of a vbd that is found; those of the engine for one that a toolstack wrote.  Raises UserError."""
    try:
        options = decode(DiskOptions, json.loads(identity.options or "{}"), strict=True)
        check_options(options)
    except (ValueError, CodecError, UserError) as error:
        raise UserError(
            f"backend key {OPTIONS_KEY} cannot be used: {error}",
            fix="remove it, or attach the disk again",
            key=OPTIONS_KEY,
            value=identity.options[:80],
        ) from None
    return replace(options, device_type=identity.device_type)


def _text(options: DiskOptions) -> str:
    """What differs from the defaults as JSON, which is plain ASCII; ``device-type`` has a key of its own."""
    default = DiskOptions()
    changed = {
        field.name: encode(getattr(options, field.name))
        for field in fields(options)
        if field.name != "device_type" and getattr(options, field.name) != getattr(default, field.name)
    }
    return json.dumps(changed) if changed else ""
