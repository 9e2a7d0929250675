// SPDX-License-Identifier: MIT
/*
 * Image I/O through io_uring: many requests under way at a time, for images that make a thread wait (direct I/O, block
 * devices, cold files).  The system calls are made here, so nothing but the kernel's own header is needed to build.
 *
 * One io_uring_enter() both hands over what was submitted and sleeps for completions, for the guest's event and for other
 * threads: the two descriptors are polled by the ring itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "usblk.h"

#define DEPTH 128u
#define ENTRIES 256u		/* those, and two polls */
#define SUBMIT_AT_ONCE 16u	/* so that the first ones are under way while the rest of the ring is read */

#ifndef IORING_SETUP_COOP_TASKRUN
#define IORING_SETUP_COOP_TASKRUN (1u << 8)
#endif
#ifndef IORING_SETUP_TASKRUN_FLAG
#define IORING_SETUP_TASKRUN_FLAG (1u << 9)
#endif
#ifndef IORING_SQ_TASKRUN
#define IORING_SQ_TASKRUN (1u << 2)
#endif

/* user_data of what is no request; requests are aligned, so their addresses are none of these */
enum { TAG_STOP = 1, TAG_CHANNEL = 2, TAG_DISARM = 3 };

struct io_uring {
	struct usblk_io io;
	const struct usblk_vbd *vbd;
	int fd;
	bool fixed_file;		/* the image is registered as file 0 */
	uint32_t under_way, unsubmitted;
	int armed, woken, failed;	/* sets of enum usblk_wake */
	struct usblk_req *done, **done_end;	/* finished, not yet reaped */

	void *rings;
	size_t rings_size;
	struct io_uring_sqe *sqes;
	uint32_t *sq_tail, *sq_flags, *sq_array, sq_mask;
	uint32_t *cq_head, *cq_tail, cq_mask;
	struct io_uring_cqe *cqes;
};

static int setup(uint32_t entries, struct io_uring_params *params)
{
	return (int)syscall(__NR_io_uring_setup, entries, params);
}

static int enter(struct io_uring *u, uint32_t wait_for)
{
	int rc;

	do {
		rc = (int)syscall(__NR_io_uring_enter, u->fd, u->unsubmitted, wait_for, wait_for ? IORING_ENTER_GETEVENTS : 0,
				  NULL, 0);
	} while (rc < 0 && errno == EINTR && !wait_for);
	if (rc > 0)
		u->unsubmitted -= (uint32_t)rc;
	return rc;
}

static struct io_uring_sqe *next_sqe(struct io_uring *u)
{
	uint32_t tail = *u->sq_tail, index = tail & u->sq_mask;
	struct io_uring_sqe *sqe = &u->sqes[index];

	/* there is always room: requests and polls together are fewer than entries, and enter() hands over all of them */
	memset(sqe, 0, sizeof(*sqe));
	u->sq_array[index] = index;
	return sqe;
}

static void push_sqe(struct io_uring *u)
{
	__atomic_store_n(u->sq_tail, *u->sq_tail + 1, __ATOMIC_RELEASE);
	u->unsubmitted++;
}

/* requests -------------------------------------------------------------------------------------------------------- */

static void kick(struct usblk_io *io)
{
	struct io_uring *u = (struct io_uring *)io;

	if (u->unsubmitted)
		enter(u, 0);	/* what was not taken now goes with the next call */
}

static bool prepare(struct io_uring_sqe *sqe, const struct usblk_vbd *vbd, const struct usblk_req *req)
{
	bool write = req->action == BLKIF_OP_WRITE;

	sqe->off = req->sector << USBLK_SECTOR_SHIFT;
	switch (req->action) {
	case BLKIF_OP_READ:
	case BLKIF_OP_WRITE:
		if (req->nr_iov > IOV_MAX)
			return false;
		if (req->nr_iov == 1) {	/* without a vector the kernel has less to do */
			sqe->opcode = write ? IORING_OP_WRITE : IORING_OP_READ;
			sqe->addr = (uintptr_t)req->iov[0].iov_base;
			sqe->len = (uint32_t)req->iov[0].iov_len;
		} else {
			sqe->opcode = write ? IORING_OP_WRITEV : IORING_OP_READV;
			sqe->addr = (uintptr_t)req->iov;
			sqe->len = (uint32_t)req->nr_iov;
		}
		return true;
	case BLKIF_OP_FLUSH_DISKCACHE:
		sqe->opcode = IORING_OP_FSYNC;
		sqe->fsync_flags = IORING_FSYNC_DATASYNC;
		sqe->off = 0;
		return !req->nr_iov;
	case BLKIF_OP_DISCARD:
		sqe->opcode = IORING_OP_FALLOCATE;
		sqe->len = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		sqe->addr = req->nr_sectors << USBLK_SECTOR_SHIFT;
		return !vbd->block_device && !(req->discard_flags & BLKIF_DISCARD_SECURE);
	default:
		return false;
	}
}

static int submit(struct usblk_io *io, struct usblk_req *req)
{
	struct io_uring *u = (struct io_uring *)io;
	struct io_uring_sqe *sqe = next_sqe(u);

	if (!prepare(sqe, u->vbd, req))
		return usblk_sync_request(u->vbd, req);
	sqe->fd = u->fixed_file ? 0 : u->vbd->config.image_fd;
	sqe->flags = u->fixed_file ? IOSQE_FIXED_FILE : 0;
	sqe->user_data = (uintptr_t)req;
	push_sqe(u);
	u->under_way++;
	io->fd = u->fd;
	if (u->unsubmitted >= SUBMIT_AT_ONCE)
		kick(io);
	return USBLK_IO_QUEUED;
}

/* The errno of a finished request.  What the kernel did not do, or did half, is done here. */
static int outcome(const struct io_uring *u, struct usblk_req *req, int result)
{
	bool moves = req->action == BLKIF_OP_READ || req->action == BLKIF_OP_WRITE;
	uint64_t offset = req->sector << USBLK_SECTOR_SHIFT, length = req->nr_sectors << USBLK_SECTOR_SHIFT;
	struct iovec *iov = req->iov;
	int nr = req->nr_iov;

	if (result == -EAGAIN || result == -EINTR || (result < 0 && !moves && result == -EOPNOTSUPP))
		return usblk_sync_request(u->vbd, req);
	if (result < 0)
		return -result;
	if (!moves || (uint64_t)result == length)
		return 0;
	if (!result)
		return EIO;	/* the image ends here */
	usblk_iov_skip(&iov, &nr, (size_t)result);
	return usblk_sync_transfer(u->vbd->config.image_fd, iov, nr, offset + (uint64_t)result,
				   req->action == BLKIF_OP_WRITE);
}

/* Take what has finished off the completion queue. */
static void collect(struct io_uring *u)
{
	uint32_t head = *u->cq_head, tail = __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE);

	for (; head != tail; head++) {
		const struct io_uring_cqe *cqe = &u->cqes[head & u->cq_mask];
		struct usblk_req *req;

		if (cqe->user_data == TAG_DISARM)
			continue;
		if (cqe->user_data <= TAG_CHANNEL) {
			int wake = cqe->user_data == TAG_STOP ? USBLK_WAKE_STOP : USBLK_WAKE_CHANNEL;

			u->armed &= ~wake;
			u->woken |= wake;
			if (cqe->res < 0 || (cqe->res & (POLLERR | POLLNVAL | POLLHUP)))
				u->failed |= wake;
			continue;
		}
		req = (struct usblk_req *)(uintptr_t)cqe->user_data;
		req->result = cqe->res;
		req->next = NULL;
		*u->done_end = req;
		u->done_end = &req->next;
	}
	__atomic_store_n(u->cq_head, head, __ATOMIC_RELEASE);
}

static struct usblk_req *reap(struct usblk_io *io, int *error)
{
	struct io_uring *u = (struct io_uring *)io;
	struct usblk_req *req;

	if (!u->done)
		collect(u);
	req = u->done;
	if (!req)
		return NULL;
	u->done = req->next;
	if (!u->done)
		u->done_end = &u->done;
	if (!--u->under_way)
		io->fd = -1;
	*error = outcome(u, req, req->result);
	return req;
}

/* What the kernel has finished it tells only when it is entered, and asks for that. */
static bool ready(struct usblk_io *io)
{
	struct io_uring *u = (struct io_uring *)io;

	if (u->done)
		return true;
	if (__atomic_load_n(u->sq_flags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN)
		syscall(__NR_io_uring_enter, u->fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
	return *u->cq_head != __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE);
}

/* sleeping -------------------------------------------------------------------------------------------------------- */

static void arm(struct io_uring *u, int wake, int fd, uint64_t tag)
{
	struct io_uring_sqe *sqe;

	if (u->armed & wake)
		return;
	sqe = next_sqe(u);
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = fd;
	sqe->poll_events = POLLIN;
	sqe->user_data = tag;
	push_sqe(u);
	u->armed |= wake;
}

static int wait(struct usblk_io *io, int stop_fd, int channel_fd)
{
	struct io_uring *u = (struct io_uring *)io;
	int woken;

	arm(u, USBLK_WAKE_STOP, stop_fd, TAG_STOP);
	arm(u, USBLK_WAKE_CHANNEL, channel_fd, TAG_CHANNEL);
	if (!u->done && enter(u, 1) < 0 && errno != EINTR && errno != EAGAIN && errno != EBUSY)
		return -1;
	collect(u);
	if (u->failed)
		return -1;
	woken = u->woken;
	u->woken = 0;
	return woken | (u->done ? USBLK_WAKE_IO : 0);
}

/* life and death -------------------------------------------------------------------------------------------------- */

static void disarm(struct io_uring *u, int wake, uint64_t tag)
{
	struct io_uring_sqe *sqe;

	if (!(u->armed & wake))
		return;
	sqe = next_sqe(u);
	sqe->opcode = IORING_OP_POLL_REMOVE;
	sqe->addr = tag;
	sqe->user_data = TAG_DISARM;
	push_sqe(u);
}

/*
 * The kernel tears a closed ring down later, and until then it would hold the image, locks and all, and the channel.  So
 * they are given back before: the polls end, and the image is no registered file any more.
 */
static void let_go(struct io_uring *u)
{
	disarm(u, USBLK_WAKE_STOP, TAG_STOP);
	disarm(u, USBLK_WAKE_CHANNEL, TAG_CHANNEL);
	while (u->armed && (enter(u, 1) >= 0 || errno == EINTR || errno == EAGAIN || errno == EBUSY))
		collect(u);
	if (u->fixed_file)
		syscall(__NR_io_uring_register, u->fd, IORING_UNREGISTER_FILES, NULL, 0);
}

static void destroy(struct usblk_io *io)
{
	struct io_uring *u = (struct io_uring *)io;

	if (u->cqes)
		let_go(u);
	if (u->sqes)
		munmap(u->sqes, ENTRIES * sizeof(*u->sqes));
	if (u->rings)
		munmap(u->rings, u->rings_size);
	close(u->fd);
	free(u);
}

static void *map_ring(const struct io_uring *u, size_t size, off_t offset)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, u->fd, offset);

	return map == MAP_FAILED ? NULL : map;
}

static bool map_rings(struct io_uring *u, const struct io_uring_params *p)
{
	size_t sq = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
	size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	uint8_t *rings;

	/* the last one came with the reads, writes and hole punching without a vector that are used here */
	if (!(p->features & IORING_FEAT_SINGLE_MMAP) || !(p->features & IORING_FEAT_NODROP) ||
	    !(p->features & IORING_FEAT_RW_CUR_POS))
		return false;
	u->rings_size = sq > cq ? sq : cq;
	u->rings = map_ring(u, u->rings_size, IORING_OFF_SQ_RING);
	u->sqes = map_ring(u, ENTRIES * sizeof(*u->sqes), IORING_OFF_SQES);
	if (!u->rings || !u->sqes)
		return false;
	rings = u->rings;
	u->sq_flags = (uint32_t *)(rings + p->sq_off.flags);
	u->sq_tail = (uint32_t *)(rings + p->sq_off.tail);
	u->sq_mask = *(uint32_t *)(rings + p->sq_off.ring_mask);
	u->sq_array = (uint32_t *)(rings + p->sq_off.array);
	u->cq_head = (uint32_t *)(rings + p->cq_off.head);
	u->cq_tail = (uint32_t *)(rings + p->cq_off.tail);
	u->cq_mask = *(uint32_t *)(rings + p->cq_off.ring_mask);
	u->cqes = (struct io_uring_cqe *)(rings + p->cq_off.cqes);
	return true;
}

/* NULL where the kernel has no io_uring, is too old for it, or forbids it. */
struct usblk_io *usblk_io_uring_create(const struct usblk_vbd *vbd)
{
	struct io_uring *u = calloc(1, sizeof(*u));
	struct io_uring_params params = { .flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG };
	int32_t image_fd = vbd->config.image_fd;

	if (!u)
		return NULL;
	u->fd = setup(ENTRIES, &params);
	if (u->fd < 0) {
		params = (struct io_uring_params){ 0 };
		u->fd = setup(ENTRIES, &params);
	}
	if (u->fd < 0) {
		free(u);
		return NULL;
	}
	u->io = (struct usblk_io){ .kind = USBLK_IO_URING, .depth = DEPTH, .fd = -1, .submit = submit, .kick = kick,
				   .reap = reap, .ready = ready, .wait = wait, .destroy = destroy };
	u->vbd = vbd;
	u->done_end = &u->done;
	if (!map_rings(u, &params)) {
		destroy(&u->io);
		return NULL;
	}
	u->fixed_file = !syscall(__NR_io_uring_register, u->fd, IORING_REGISTER_FILES, &image_fd, 1);
	return &u->io;
}
