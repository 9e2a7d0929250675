/* SPDX-License-Identifier: MIT */
/*
 * Several queues of one disk, each with its own ring thread and guest thread, while another thread looks on, trims and
 * resizes: a program for ThreadSanitizer, see scripts/tsan.sh.  The guest is this process, too: a grant reference is the
 * number of a page, and an event channel two eventfds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "usblk.h"

enum { QUEUES = 4, PAGES = 24, BATCH = 8, SLOTS = 32, SHARE = 1024, BUDGET = 30, PORT = 7 };

#define CHECK(condition)                                                                  \
	do {                                                                              \
		if (!(condition)) {                                                       \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);   \
			exit(1);                                                          \
		}                                                                         \
	} while (0)

struct queue {
	struct usblk_ring *ring;
	uint8_t *shared, *pages;
	int to_backend, to_guest;
	uint32_t prod, cons;
	uint64_t first;		/* sector of our part of the disk */
	pthread_t server, guest;
	int rounds;
};

static struct usblk_vbd *vbd;
static struct usblk_budget *budget;
static int working;

/* the host -------------------------------------------------------------------------------------------------------- */

static void *host_map(struct queue *q, uint32_t count, uint32_t domid, uint32_t *refs, int prot)
{
	(void)domid, (void)prot;
	CHECK(count == 1 && refs[0] < PAGES);
	return q->pages + refs[0] * USBLK_PAGE_SIZE;
}

static int host_unmap(struct queue *q, void *start, uint32_t count)
{
	(void)q, (void)start, (void)count;
	return 0;
}

static int host_pending(struct queue *q)
{
	eventfd_t count;

	return eventfd_read(q->to_backend, &count) ? -1 : PORT;
}

static int host_unmask(struct queue *q, uint32_t port)
{
	(void)q, (void)port;
	return 0;
}

static int host_notify(struct queue *q, uint32_t port)
{
	(void)port;
	return eventfd_write(q->to_guest, 1);
}

/* the guest ------------------------------------------------------------------------------------------------------- */

static uint32_t *index_of(struct queue *q, int number)	/* req_prod, req_event, rsp_prod, rsp_event */
{
	return (uint32_t *)q->shared + number;
}

static uint8_t *slot(struct queue *q, uint32_t number)
{
	return q->shared + 64 + (number % SLOTS) * 112;
}

static void push(struct queue *q, uint8_t op, uint64_t sector, uint32_t ref)
{
	uint8_t request[112] = { [0] = op, [1] = op == BLKIF_OP_FLUSH_DISKCACHE ? 0 : 1, [29] = 7 };

	memcpy(request + 16, &sector, 8);
	memcpy(request + 24, &ref, 4);
	memcpy(slot(q, q->prod++), request, sizeof(request));
}

static void done(struct queue *q)
{
	uint32_t *rsp_prod = index_of(q, 2);
	eventfd_t count;

	__atomic_store_n(index_of(q, 0), q->prod, __ATOMIC_RELEASE);
	eventfd_write(q->to_backend, 1);
	while (q->cons != q->prod) {
		struct pollfd events = { .fd = q->to_guest, .events = POLLIN };
		int16_t status;

		__atomic_store_n(index_of(q, 3), q->cons + 1, __ATOMIC_SEQ_CST);
		if (q->cons == __atomic_load_n(rsp_prod, __ATOMIC_SEQ_CST)) {
			CHECK(poll(&events, 1, 60000) == 1);
			(void)!eventfd_read(q->to_guest, &count);
			continue;
		}
		memcpy(&status, slot(q, q->cons++) + 10, sizeof(status));
		CHECK(status == BLKIF_RSP_OKAY);
	}
}

static void *guest(void *argument)
{
	struct queue *q = argument;

	for (int round = 0; round < q->rounds; round++) {
		for (uint32_t i = 0; i < BATCH; i++) {
			memset(q->pages + i * USBLK_PAGE_SIZE, round + (int)i, USBLK_PAGE_SIZE);
			push(q, BLKIF_OP_WRITE, q->first + 8 * ((i * 5 + (uint32_t)round) % (SHARE / 8)), i);
		}
		done(q);
		for (uint32_t i = 0; i < BATCH; i++)
			push(q, BLKIF_OP_READ, q->first + 8 * ((i * 5 + (uint32_t)round) % (SHARE / 8)),
			     BATCH + (i + (uint32_t)round) % (PAGES - BATCH));
		push(q, BLKIF_OP_FLUSH_DISKCACHE, 0, 0);
		done(q);
		for (uint32_t i = 0; i < BATCH; i++)
			CHECK(!memcmp(q->pages + i * USBLK_PAGE_SIZE,
				      q->pages + (BATCH + (i + (uint32_t)round) % (PAGES - BATCH)) * USBLK_PAGE_SIZE,
				      USBLK_PAGE_SIZE));
	}
	return NULL;
}

/* the backend ----------------------------------------------------------------------------------------------------- */

static void *serve(void *argument)
{
	struct queue *q = argument;

	CHECK(usblk_ring_run(q->ring) == USBLK_END_STOPPED);
	return NULL;
}

static void begin(struct queue *q, int number, int io)
{
	*q = (struct queue){
		.shared = aligned_alloc(USBLK_PAGE_SIZE, USBLK_PAGE_SIZE),
		.pages = aligned_alloc(USBLK_PAGE_SIZE, PAGES * USBLK_PAGE_SIZE),
		.to_backend = eventfd(0, EFD_NONBLOCK), .to_guest = eventfd(0, EFD_NONBLOCK),
		.first = (uint64_t)number * SHARE, .rounds = 150,
	};
	CHECK(q->shared && q->pages && q->to_backend >= 0 && q->to_guest >= 0);
	memset(q->shared, 0, USBLK_PAGE_SIZE);
	q->ring = usblk_ring_create(&(struct usblk_config){
		.vbd = vbd, .budget = budget, .grant_handle = (uintptr_t)q, .grant_map = (uintptr_t)host_map,
		.grant_unmap = (uintptr_t)host_unmap, .channel_handle = (uintptr_t)q,
		.channel_pending = (uintptr_t)host_pending, .channel_unmask = (uintptr_t)host_unmask,
		.channel_notify = (uintptr_t)host_notify, .channel_fd = q->to_backend, .channel_port = PORT,
		.ring = (uintptr_t)q->shared, .ring_pages = 1, .abi = USBLK_ABI_64,
		.grant_mode = USBLK_GRANT_PERSISTENT, .persistent_pages = 20, .max_map_pages = 1, .idle_trims = 1,
		.max_segments = 32, .response_batch = 4, .response_wait_us = 30, .poll_us = 10, .io = io });
	CHECK(q->ring);
	CHECK(!pthread_create(&q->server, NULL, serve, q));
	CHECK(!pthread_create(&q->guest, NULL, guest, q));
}

static void *look(void *argument)
{
	struct queue *queues = argument;

	for (uint32_t n = 0; __atomic_load_n(&working, __ATOMIC_RELAXED); n++) {
		struct usblk_ring *ring = queues[n % QUEUES].ring;
		struct usblk_indices indices;

		usblk_ring_trim(ring);
		usblk_vbd_set_sectors(vbd, QUEUES * SHARE + n % 2);
		CHECK(usblk_budget_used(budget) <= BUDGET);
		usblk_ring_indices(ring, &indices);
		CHECK(!usblk_vbd_poisoned(vbd) && !usblk_vbd_last_errno(vbd));
		CHECK(usblk_ring_io(ring) >= 0);
		CHECK(__atomic_load_n(&usblk_ring_stats(ring)->grants_mapped, __ATOMIC_RELAXED) <= PAGES);
		usleep(100);
	}
	return NULL;
}

static void run(int io)
{
	static struct queue queues[QUEUES];
	pthread_t watcher;
	int image = memfd_create("image", 0);

	CHECK(image >= 0 && !ftruncate(image, (QUEUES * SHARE + 1) * 512));
	budget = usblk_budget_create(BUDGET);
	vbd = usblk_vbd_create(&(struct usblk_vbd_config){ .image_fd = image, .sectors = QUEUES * SHARE });
	CHECK(budget && vbd);
	for (int i = 0; i < QUEUES; i++)
		begin(&queues[i], i, io);
	__atomic_store_n(&working, 1, __ATOMIC_RELAXED);
	CHECK(!pthread_create(&watcher, NULL, look, queues));
	for (int i = 0; i < QUEUES; i++)
		pthread_join(queues[i].guest, NULL);
	__atomic_store_n(&working, 0, __ATOMIC_RELAXED);
	pthread_join(watcher, NULL);
	for (int i = 0; i < QUEUES; i++)
		usblk_ring_stop(queues[i].ring);
	for (int i = 0; i < QUEUES; i++) {
		const struct usblk_stats *stats = usblk_ring_stats(queues[i].ring);

		pthread_join(queues[i].server, NULL);
		usblk_ring_release(queues[i].ring);
		CHECK(stats->maps && stats->maps == stats->unmaps && !stats->grants_mapped);
		CHECK(stats->responses == queues[i].prod && !stats->errors);
		usblk_ring_destroy(queues[i].ring);
		close(queues[i].to_backend);
		close(queues[i].to_guest);
		free(queues[i].shared);
		free(queues[i].pages);
	}
	CHECK(!usblk_budget_used(budget));
	usblk_vbd_destroy(vbd);
	usblk_budget_destroy(budget);
	close(image);
}

int main(void)
{
	for (int io = USBLK_IO_AUTO; io <= USBLK_IO_MMAP; io++)
		run(io);
	return 0;
}
