# SPDX-License-Identifier: MIT
"""Where a disk's bytes live: regular files and block devices, opened so that nobody else writes them meanwhile."""

from usblkback_tui.engine.image.create import create_image
from usblkback_tui.engine.image.info import ImageInfo, image_info
from usblkback_tui.engine.image.raw import RawImage, open_image
from usblkback_tui.engine.image.sizes import parse_size

__all__ = ["ImageInfo", "RawImage", "create_image", "image_info", "open_image", "parse_size"]
