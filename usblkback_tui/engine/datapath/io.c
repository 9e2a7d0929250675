// SPDX-License-Identifier: MIT
/* Which engine moves the bytes of a ring. */
#include "usblk.h"

struct usblk_io *usblk_io_create(enum usblk_io_kind kind, const struct usblk_vbd *vbd)
{
	struct usblk_io *io = NULL;

	switch (kind) {
	case USBLK_IO_AUTO:
		io = usblk_io_auto_create(vbd);
		break;
	case USBLK_IO_URING:
		io = usblk_io_uring_create(vbd);
		break;
	case USBLK_IO_MMAP:
		io = usblk_io_mmap_create(vbd);
		break;
	case USBLK_IO_NULL:
		io = usblk_io_null_create(vbd);
		break;
	case USBLK_IO_SYNC:
		break;
	}
	return io ? io : usblk_io_sync_create(vbd);
}
