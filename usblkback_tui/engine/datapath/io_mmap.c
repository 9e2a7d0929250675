// SPDX-License-Identifier: MIT
/* Reads and writes of cached pages without a system call, through a mapping of the image; the rest as io_sync.c does it. */
#include <stdlib.h>
#include <sys/mman.h>

#include "usblk.h"

struct io_mmap {
	struct usblk_io io;
	const struct usblk_vbd *vbd;
	uint8_t *map;
	uint64_t size;		/* bytes mapped */
};

/* Map the image as long as it is now.  It may have grown; that it may have shrunk is the guard's business. */
static void map_image(struct io_mmap *engine)
{
	uint64_t size = __atomic_load_n(&engine->vbd->sectors, __ATOMIC_RELAXED) << USBLK_SECTOR_SHIFT;
	void *map;

	if (size == engine->size)
		return;
	if (engine->map)
		munmap(engine->map, engine->size);
	map = mmap(NULL, size, engine->vbd->config.readonly ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, engine->vbd->config.image_fd, 0);
	engine->map = map == MAP_FAILED ? NULL : map;
	engine->size = size;	/* also after a failure: tried again when the image grows */
}

static int submit(struct usblk_io *io, struct usblk_req *req)
{
	struct io_mmap *engine = (struct io_mmap *)io;
	uint64_t offset = req->sector << USBLK_SECTOR_SHIFT, length = req->nr_sectors << USBLK_SECTOR_SHIFT;

	if (req->action != BLKIF_OP_READ && req->action != BLKIF_OP_WRITE)
		return usblk_sync_request(engine->vbd, req);
	if (offset + length > engine->size)	/* both were checked against the disk's size, so there is no overflow */
		map_image(engine);
	if (!engine->map || offset + length > engine->size)
		return usblk_sync_request(engine->vbd, req);
	if (!usblk_guarded_copy(req->iov, req->nr_iov, engine->map + offset, length, req->action == BLKIF_OP_WRITE))
		return 0;
	return usblk_sync_request(engine->vbd, req);	/* fails too, and knows why; SIGBUS does not */
}

static void destroy(struct usblk_io *io)
{
	struct io_mmap *engine = (struct io_mmap *)io;

	if (engine->map)
		munmap(engine->map, engine->size);
	free(engine);
}

struct usblk_io *usblk_io_mmap_create(const struct usblk_vbd *vbd)
{
	struct io_mmap *engine;

	if (vbd->config.direct || vbd->block_device)
		return NULL;
	engine = calloc(1, sizeof(*engine));
	if (!engine)
		return NULL;
	engine->io = (struct usblk_io){ .kind = USBLK_IO_MMAP, .depth = 1, .fd = -1, .submit = submit, .destroy = destroy };
	engine->vbd = vbd;
	usblk_guard_install();
	map_image(engine);
	if (!engine->map) {
		free(engine);
		return NULL;
	}
	return &engine->io;
}
