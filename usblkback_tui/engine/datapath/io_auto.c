// SPDX-License-Identifier: MIT
/*
 * The engine that chooses.  Direct I/O and block devices go through io_uring.  Of a file in the page cache, reads and writes
 * go the way that costs least here and now: through a mapping or by pread and pwrite, found out by trying both now and
 * then.  Reads that have to wait for the disk go through io_uring, where many can wait at a time; a write never does, unless
 * a mapped page must be read first, so then it is not mapped.  Flushes and discards take long, so they go where others can
 * pass them.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/resource.h>

#include "usblk.h"

enum way { WAY_MMAP, WAY_SYNC, WAY_URING, NR_WAYS };

/* Sizes that are judged apart: up to 16 KiB, up to 256 KiB, more.  The larger, the fewer requests tell as much. */
enum { NR_SIZES = 3 };

static const struct pace {
	uint32_t sample_every;		/* requests; looking at the clock is not free */
	uint32_t trial;			/* requests */
	uint32_t first_stretch;		/* requests by the winner until the other is tried again; doubled each time it wins */
	uint32_t longest_stretch;
	uint32_t waiting_stretch;	/* reads through io_uring until it is seen whether they are cached by now */
} paces[NR_SIZES] = {
	{ 8, 512, 16384, 1u << 22, 4096 },
	{ 1, 64, 2048, 1u << 19, 512 },
	{ 1, 16, 512, 1u << 17, 128 },
};

#define SLOW_NS 20000u		/* no copy of a few pages takes that long: perhaps the disk was waited for */
#define WAITS 3u		/* of so many in a stretch: then it is the disk's speed that counts */
#define WAITING_TRIAL 32u

struct choice {
	const struct pace *pace;
	bool write;
	enum way way;			/* now */
	bool trial;
	uint32_t left;			/* requests until the next decision */
	uint32_t stretch;
	uint32_t tick;
	uint32_t waits;
	uint64_t sum_ns, samples;	/* since this way was taken up */
	uint64_t warm_ns, warm_samples;	/* of these: without a page fault */
	uint64_t cost_ns[NR_WAYS];	/* means; 0: not known */
};

struct io_auto {
	struct usblk_io io;
	struct usblk_io *ways[NR_WAYS];	/* NULL where it cannot be had; WAY_SYNC always can */
	struct choice choices[2][NR_SIZES];	/* of reads, of writes */
	long blocks_read, faults;	/* of this thread, when they were looked at last */
};

static void take_up(struct choice *choice, enum way way, bool trial, uint32_t requests)
{
	choice->way = way;
	choice->trial = trial;
	choice->left = requests;
	choice->waits = 0;
	choice->sum_ns = choice->samples = 0;
	choice->warm_ns = choice->warm_samples = 0;
}

/*
 * What a request costs this way.  A new mapping faults on every page once, so a trial is judged by the requests that did
 * not, where there are some; a stretch is long enough to be judged by all of them.
 */
static void settle_cost(struct choice *choice)
{
	if (choice->trial && choice->warm_samples >= 4)
		choice->cost_ns[choice->way] = choice->warm_ns / choice->warm_samples;
	else if (choice->samples)
		choice->cost_ns[choice->way] = choice->sum_ns / choice->samples;
}

/* A stretch or a trial is over. */
static void decide(struct io_auto *a, struct choice *choice)
{
	enum way was = choice->way, other = was == WAY_MMAP ? WAY_SYNC : WAY_MMAP, best;

	if (was == WAY_URING)
		return take_up(choice, a->ways[WAY_MMAP] ? WAY_MMAP : WAY_SYNC, true, WAITING_TRIAL);
	settle_cost(choice);
	if (!a->ways[WAY_MMAP])
		return take_up(choice, WAY_SYNC, false, choice->pace->first_stretch);
	if (!choice->trial || !choice->cost_ns[other])
		return take_up(choice, other, true, choice->pace->trial);
	best = choice->cost_ns[WAY_MMAP] <= choice->cost_ns[WAY_SYNC] ? WAY_MMAP : WAY_SYNC;
	choice->stretch = best == was ? choice->pace->first_stretch : choice->stretch * 2;
	if (choice->stretch < choice->pace->first_stretch)
		choice->stretch = choice->pace->first_stretch;
	if (choice->stretch > choice->pace->longest_stretch)
		choice->stretch = choice->pace->longest_stretch;
	take_up(choice, best, false, choice->stretch);
}

/* Whether this thread has read from a disk since the last question. */
static bool disk_was_read(struct io_auto *a)
{
	struct rusage usage;
	bool read;

	if (getrusage(RUSAGE_THREAD, &usage))
		return false;
	read = usage.ru_inblock != a->blocks_read || usage.ru_majflt != a->faults;
	a->blocks_read = usage.ru_inblock;
	a->faults = usage.ru_majflt;
	return read;
}

/* The disk had to be waited for, and more than once. */
static void do_not_wait(struct io_auto *a, struct choice *choice)
{
	if (!choice->write && a->ways[WAY_URING])
		take_up(choice, WAY_URING, false, choice->pace->waiting_stretch);
	else if (choice->write && choice->way == WAY_MMAP)
		take_up(choice, WAY_SYNC, false, choice->pace->longest_stretch);
}

static long page_faults(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? 0 : usage.ru_minflt;
}

static int measured(struct io_auto *a, struct choice *choice, struct usblk_req *req)
{
	bool may_warm_up = choice->trial && choice->way == WAY_MMAP;
	long faults = may_warm_up ? page_faults() : 0;
	uint64_t began = usblk_now_ns(), took;
	int error = a->ways[choice->way]->submit(a->ways[choice->way], req);

	took = usblk_now_ns() - began;
	choice->sum_ns += took;
	choice->samples++;
	if (may_warm_up && page_faults() == faults) {
		choice->warm_ns += took;
		choice->warm_samples++;
	}
	if (took > SLOW_NS + (req->nr_sectors << USBLK_SECTOR_SHIFT) / 4 && disk_was_read(a) && ++choice->waits == WAITS)
		do_not_wait(a, choice);
	return error;
}

static int move(struct io_auto *a, struct usblk_req *req)
{
	uint32_t size = req->nr_sectors <= 32 ? 0 : req->nr_sectors <= 512 ? 1 : 2;
	struct choice *choice = &a->choices[req->action == BLKIF_OP_WRITE][size];

	if (!choice->left--)
		decide(a, choice);
	if (a->io.kind != a->ways[choice->way]->kind)
		__atomic_store_n(&a->io.kind, a->ways[choice->way]->kind, __ATOMIC_RELAXED);
	if (choice->way != WAY_URING && choice->tick++ % choice->pace->sample_every == 0)
		return measured(a, choice, req);
	return a->ways[choice->way]->submit(a->ways[choice->way], req);
}

static int submit(struct usblk_io *io, struct usblk_req *req)
{
	struct io_auto *a = (struct io_auto *)io;
	struct usblk_io *way = a->ways[WAY_SYNC];
	int error;

	if (req->action == BLKIF_OP_READ || req->action == BLKIF_OP_WRITE) {
		error = move(a, req);
	} else {
		if (a->ways[WAY_URING] && req->action != BLKIF_OP_WRITE_BARRIER)
			way = a->ways[WAY_URING];
		error = way->submit(way, req);
	}
	if (error == USBLK_IO_QUEUED)
		io->fd = a->ways[WAY_URING]->fd;
	return error;
}

static void kick(struct usblk_io *io)
{
	struct usblk_io *uring = ((struct io_auto *)io)->ways[WAY_URING];

	uring->kick(uring);
}

static struct usblk_req *reap(struct usblk_io *io, int *error)
{
	struct usblk_io *uring = ((struct io_auto *)io)->ways[WAY_URING];
	struct usblk_req *req = uring->reap(uring, error);

	io->fd = uring->fd;
	return req;
}

static bool ready(struct usblk_io *io)
{
	struct usblk_io *uring = ((struct io_auto *)io)->ways[WAY_URING];

	return uring->ready(uring);
}

static int wait(struct usblk_io *io, int stop_fd, int channel_fd)
{
	struct usblk_io *uring = ((struct io_auto *)io)->ways[WAY_URING];

	return uring->wait(uring, stop_fd, channel_fd);
}

static void destroy(struct usblk_io *io)
{
	struct io_auto *a = (struct io_auto *)io;

	for (int i = 0; i < NR_WAYS; i++) {
		if (a->ways[i])
			a->ways[i]->destroy(a->ways[i]);
	}
	free(a);
}

struct usblk_io *usblk_io_auto_create(const struct usblk_vbd *vbd)
{
	struct io_auto *a;

	if (vbd->config.direct || vbd->block_device)
		return usblk_io_uring_create(vbd);
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->ways[WAY_MMAP] = usblk_io_mmap_create(vbd);
	a->ways[WAY_SYNC] = usblk_io_sync_create(vbd);
	a->ways[WAY_URING] = usblk_io_uring_create(vbd);
	a->io = (struct usblk_io){ .depth = 1, .fd = -1, .submit = submit, .destroy = destroy };
	if (!a->ways[WAY_SYNC]) {
		destroy(&a->io);
		return NULL;
	}
	if (a->ways[WAY_URING]) {
		a->io.depth = a->ways[WAY_URING]->depth;
		a->io.kick = kick;
		a->io.reap = reap;
		a->io.ready = ready;
		a->io.wait = wait;
	}
	for (int write = 0; write < 2; write++) {
		for (int i = 0; i < NR_SIZES; i++) {
			struct choice *choice = &a->choices[write][i];

			choice->write = write;
			choice->pace = &paces[i];
			take_up(choice, a->ways[WAY_MMAP] ? WAY_MMAP : WAY_SYNC, true, choice->pace->trial);
		}
	}
	a->io.kind = a->ways[a->choices[0][0].way]->kind;
	return &a->io;
}
