// SPDX-License-Identifier: MIT
/* Image I/O in the ring's own thread: pread(v), pwrite(v), fdatasync, hole punching. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "usblk.h"

struct io_sync {
	struct usblk_io io;
	const struct usblk_vbd *vbd;
};

static ssize_t move(int fd, const struct iovec *iov, int nr, off_t offset, bool write)
{
	/* a request of one piece is the most common one, and without a vector the kernel is quicker with it */
	if (nr == 1)
		return write ? pwrite(fd, iov->iov_base, iov->iov_len, offset) :
			       pread(fd, iov->iov_base, iov->iov_len, offset);
	return write ? pwritev(fd, iov, nr, offset) : preadv(fd, iov, nr, offset);
}

/* Forget the first bytes of a vector. */
void usblk_iov_skip(struct iovec **iov, int *nr, size_t bytes)
{
	while (*nr > 0 && bytes >= (*iov)->iov_len) {
		bytes -= (*iov)->iov_len;
		(*iov)++;
		(*nr)--;
	}
	if (bytes) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + bytes;
		(*iov)->iov_len -= bytes;
	}
}

/* Move all of iov; a short transfer goes on where it stopped, an end of file is EIO. */
int usblk_sync_transfer(int fd, struct iovec *iov, int nr, uint64_t offset, bool write)
{
	while (nr > 0) {
		ssize_t n = move(fd, iov, nr < IOV_MAX ? nr : IOV_MAX, (off_t)offset, write);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return errno;
		}
		if (n == 0)
			return EIO;
		offset += (uint64_t)n;
		usblk_iov_skip(&iov, &nr, (size_t)n);
	}
	return 0;
}

static int flush(int fd)
{
	int rc;

	do {
		rc = fdatasync(fd);
	} while (rc && errno == EINTR);
	return rc ? errno : 0;
}

static int blkdiscard(int fd, unsigned long command, uint64_t offset, uint64_t length)
{
	uint64_t range[2] = { offset, length };
	int rc;

	do {
		rc = ioctl(fd, command, range);
	} while (rc && errno == EINTR);
	return rc ? errno : 0;
}

static int punch_hole(int fd, uint64_t offset, uint64_t length)
{
	int rc;

	do {
		rc = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length);
	} while (rc && errno == EINTR);
	return rc ? errno : 0;
}

/*
 * A discard is a wish: of a block device only whole pieces of its granularity can go, and what sticks out stays.  A secure
 * one is an order: all of it, or an error.
 */
static int discard(const struct usblk_vbd *vbd, const struct usblk_req *req)
{
	uint64_t offset = req->sector << USBLK_SECTOR_SHIFT, length = req->nr_sectors << USBLK_SECTOR_SHIFT;
	uint64_t piece = vbd->config.discard_granularity, shift = vbd->config.discard_alignment % piece;
	uint64_t first, end;
	int fd = vbd->config.image_fd;

	if (req->discard_flags & BLKIF_DISCARD_SECURE)
		return blkdiscard(fd, BLKSECDISCARD, offset, length);
	if (!vbd->block_device)
		return punch_hole(fd, offset, length);
	first = offset <= shift ? shift : shift + (offset - shift + piece - 1) / piece * piece;
	end = offset + length <= shift ? 0 : shift + (offset + length - shift) / piece * piece;
	return first < end ? blkdiscard(fd, BLKDISCARD, first, end - first) : 0;
}

int usblk_sync_request(const struct usblk_vbd *vbd, struct usblk_req *req)
{
	uint64_t offset = req->sector << USBLK_SECTOR_SHIFT;
	int error = 0, fd = vbd->config.image_fd;

	switch (req->action) {
	case BLKIF_OP_READ:
		return usblk_sync_transfer(fd, req->iov, req->nr_iov, offset, false);
	case BLKIF_OP_WRITE:
		return usblk_sync_transfer(fd, req->iov, req->nr_iov, offset, true);
	case BLKIF_OP_FLUSH_DISKCACHE:
		error = flush(fd);
		if (!error && req->nr_iov)
			error = usblk_sync_transfer(fd, req->iov, req->nr_iov, offset, true);
		return error;
	case BLKIF_OP_WRITE_BARRIER:
		/* what came before is durable before it, and it is durable before it is answered */
		error = flush(fd);
		if (!error && req->nr_iov)
			error = usblk_sync_transfer(fd, req->iov, req->nr_iov, offset, true);
		if (!error && req->nr_iov)
			error = flush(fd);
		return error;
	case BLKIF_OP_DISCARD:
		return discard(vbd, req);
	}
	return EINVAL;
}

static int submit(struct usblk_io *io, struct usblk_req *req)
{
	return usblk_sync_request(((struct io_sync *)io)->vbd, req);
}

static void destroy(struct usblk_io *io)
{
	free(io);
}

struct usblk_io *usblk_io_sync_create(const struct usblk_vbd *vbd)
{
	struct io_sync *sync = calloc(1, sizeof(*sync));

	if (!sync)
		return NULL;
	sync->io = (struct usblk_io){ .kind = USBLK_IO_SYNC, .depth = 1, .fd = -1, .submit = submit, .destroy = destroy };
	sync->vbd = vbd;
	return &sync->io;
}
