// SPDX-License-Identifier: MIT
/* Moves nothing and says it did: what is measured with it is everything else. */
#include <stdlib.h>

#include "usblk.h"

static int submit(struct usblk_io *io, struct usblk_req *req)
{
	return 0;
}

static void destroy(struct usblk_io *io)
{
	free(io);
}

struct usblk_io *usblk_io_null_create(const struct usblk_vbd *vbd)
{
	struct usblk_io *io = calloc(1, sizeof(*io));

	if (io)
		*io = (struct usblk_io){ .kind = USBLK_IO_NULL, .depth = 1, .fd = -1, .submit = submit, .destroy = destroy };
	return io;
}
