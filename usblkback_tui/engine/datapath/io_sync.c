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
#include <sys/stat.h>
#include <unistd.h>

#include "usblk.h"

struct io_sync {
	struct usblk_io io;
	int fd;
	bool block_device;
};

static ssize_t move(int fd, const struct iovec *iov, int nr, off_t offset, bool write)
{
	/* a request of one piece is the most common one, and without a vector the kernel is quicker with it */
	if (nr == 1)
		return write ? pwrite(fd, iov->iov_base, iov->iov_len, offset) :
			       pread(fd, iov->iov_base, iov->iov_len, offset);
	return write ? pwritev(fd, iov, nr, offset) : preadv(fd, iov, nr, offset);
}

/* Move all of iov; a short transfer goes on where it stopped, an end of file is EIO. */
static int transfer(int fd, struct iovec *iov, int nr, uint64_t offset, bool write)
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
		while (nr > 0 && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			nr--;
		}
		if (n) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}

static int flush(const struct io_sync *sync)
{
	int rc;

	do {
		rc = fdatasync(sync->fd);
	} while (rc && errno == EINTR);
	return rc ? errno : 0;
}

static int discard(const struct io_sync *sync, uint64_t offset, uint64_t length)
{
	uint64_t range[2] = { offset, length };
	int rc;

	do {
		if (sync->block_device)
			rc = ioctl(sync->fd, BLKDISCARD, range);
		else
			rc = fallocate(sync->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
				       (off_t)length);
	} while (rc && errno == EINTR);
	return rc ? errno : 0;
}

static int submit(struct usblk_io *io, struct usblk_req *req)
{
	struct io_sync *sync = (struct io_sync *)io;
	uint64_t offset = req->sector << USBLK_SECTOR_SHIFT;
	int error = 0;

	switch (req->action) {
	case BLKIF_OP_READ:
		return transfer(sync->fd, req->iov, req->nr_iov, offset, false);
	case BLKIF_OP_WRITE:
		return transfer(sync->fd, req->iov, req->nr_iov, offset, true);
	case BLKIF_OP_FLUSH_DISKCACHE:
		error = flush(sync);
		if (!error && req->nr_iov)
			error = transfer(sync->fd, req->iov, req->nr_iov, offset, true);
		return error;
	case BLKIF_OP_WRITE_BARRIER:
		/* what came before is durable before it, and it is durable before it is answered */
		error = flush(sync);
		if (!error && req->nr_iov)
			error = transfer(sync->fd, req->iov, req->nr_iov, offset, true);
		if (!error && req->nr_iov)
			error = flush(sync);
		return error;
	case BLKIF_OP_DISCARD:
		return discard(sync, offset, req->nr_sectors << USBLK_SECTOR_SHIFT);
	}
	return EINVAL;
}

static void destroy(struct usblk_io *io)
{
	free(io);
}

struct usblk_io *usblk_io_sync_create(int image_fd)
{
	struct io_sync *sync = calloc(1, sizeof(*sync));
	struct stat st;

	if (!sync)
		return NULL;
	sync->io = (struct usblk_io){ .name = "sync", .fd = -1, .submit = submit, .destroy = destroy };
	sync->fd = image_fd;
	sync->block_device = fstat(image_fd, &st) == 0 && S_ISBLK(st.st_mode);
	return &sync->io;
}
