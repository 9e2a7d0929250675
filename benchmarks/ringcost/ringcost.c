// SPDX-License-Identifier: MIT
/*
 * What a request costs the data path itself: ringcost BACKEND_CPU GUEST_CPU SEGMENTS DEPTH RAMP_MS RUN_MS
 *
 * The ring is served as the engine serves it, without an image, by a thread on one CPU; a thread on the other is the least
 * a frontend can be: its requests are written once and copied into the slots, its pages are kept mapped, and it never
 * sleeps.  So what is counted is parsing, checking, looking up pages, logging and answering, with a ring that really
 * travels between two CPUs, and nothing else.  Prints one line of JSON.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "usblk.h"

enum { SLOTS = 32, SLOT = 112, HEADER = 64, PORT = 1, INDIRECT = 8 };

static struct {
	uint32_t segments, depth, sets;
	uint8_t *ring, *pages;
	uint8_t requests[SLOTS][SLOT];
	int channel_fd, guest_cpu, leave;
	uint64_t answered;
} g;

static struct usblk_ring *ring;

/* the host: grant reference N is page N ------------------------------------------------------------------------------ */

static void *host_map(void *handle, uint32_t count, uint32_t domid, uint32_t *refs, int prot)
{
	(void)handle, (void)count, (void)domid, (void)prot;
	return g.pages + (size_t)refs[0] * USBLK_PAGE_SIZE;
}

static int host_unmap(void *handle, void *start, uint32_t count)
{
	(void)handle, (void)start, (void)count;
	return 0;
}

static int host_pending(void *handle)
{
	eventfd_t count;

	(void)handle;
	return eventfd_read(g.channel_fd, &count) ? -1 : PORT;
}

static int host_port(void *handle, uint32_t port)
{
	(void)handle, (void)port;
	return 0;
}

/* the guest ---------------------------------------------------------------------------------------------------------- */

static uint32_t *index_at(int number)	/* req_prod, req_event, rsp_prod, rsp_event */
{
	return (uint32_t *)g.ring + number;
}

static uint32_t page_of(uint32_t set, uint32_t segment)
{
	return (set * g.segments + segment) * 7919 % (g.sets * g.segments);
}

/* One request for each that can be under way, with pages of its own in no order. */
static void write_requests(void)
{
	bool indirect = g.segments > USBLK_SEGMENTS_DIRECT;

	for (uint32_t set = 0; set < g.sets; set++) {
		uint8_t *request = g.requests[set], *segment = request + 24;
		uint32_t table = g.sets * g.segments + set;

		request[0] = indirect ? BLKIF_OP_INDIRECT : BLKIF_OP_READ;
		request[1] = indirect ? BLKIF_OP_READ : (uint8_t)g.segments;
		if (indirect) {
			memcpy(request + 2, &(uint16_t){ (uint16_t)g.segments }, 2);
			memcpy(request + 28, &table, 4);
			segment = g.pages + (size_t)table * USBLK_PAGE_SIZE;
		}
		memcpy(request + 8, &(uint64_t){ set }, 8);
		for (uint32_t i = 0; i < g.segments; i++, segment += sizeof(struct usblk_seg)) {
			memcpy(segment, &(uint32_t){ page_of(set, i) }, 4);
			segment[5] = USBLK_SECTORS_PER_PAGE - 1;
		}
	}
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		perror("sched_setaffinity");
}

static void *guest(void *unused)
{
	uint32_t prod = 0, cons = 0;

	(void)unused;
	pin(g.guest_cpu);
	while (!__atomic_load_n(&g.leave, __ATOMIC_RELAXED)) {
		uint32_t old = prod, answered = __atomic_load_n(index_at(2), __ATOMIC_ACQUIRE);

		for (; cons != answered; cons++) {
			int16_t status;

			memcpy(&status, g.ring + HEADER + cons % SLOTS * SLOT + 10, 2);
			if (status)
				exit(3);
		}
		while (prod - cons < g.depth) {
			memcpy(g.ring + HEADER + prod % SLOTS * SLOT, g.requests[prod % g.sets], SLOT);
			prod++;
		}
		__atomic_store_n(&g.answered, cons, __ATOMIC_RELAXED);
		if (prod == old) {
			usblk_relax();
			continue;
		}
		__atomic_store_n(index_at(0), prod, __ATOMIC_RELEASE);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (prod - __atomic_load_n(index_at(1), __ATOMIC_RELAXED) < prod - old)
			eventfd_write(g.channel_fd, 1);
	}
	return NULL;
}

/* measuring ---------------------------------------------------------------------------------------------------------- */

static void *serve(void *cpu)
{
	pin(*(int *)cpu);
	usblk_ring_run(ring);
	return NULL;
}

static double thread_cpu(pthread_t thread)
{
	struct timespec t;
	clockid_t clock;

	if (pthread_getcpuclockid(thread, &clock) || clock_gettime(clock, &t))
		exit(4);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t responses(void)
{
	return __atomic_load_n(&usblk_ring_stats(ring)->responses, __ATOMIC_RELAXED);
}

static void *memory(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

int main(int argc, char **argv)
{
	struct usblk_vbd_config disk = { .image_fd = -1, .sectors = 1 << 20 };
	struct usblk_config config = {
		.grant_map = (uintptr_t)host_map, .grant_unmap = (uintptr_t)host_unmap,
		.channel_pending = (uintptr_t)host_pending, .channel_unmask = (uintptr_t)host_port,
		.channel_notify = (uintptr_t)host_port, .channel_port = PORT, .ring_pages = 1,
		.grant_mode = USBLK_GRANT_PERSISTENT, .persistent_pages = 16384, .max_segments = 256,
		.response_batch = 16, .response_wait_us = 50, .poll_us = 1000, .io = USBLK_IO_NULL,
	};
	int backend_cpu, ramp, run;
	double cpu, wall;
	pthread_t server, front;
	uint64_t before;

	if (argc != 7)
		return 2;
	backend_cpu = atoi(argv[1]);
	g.guest_cpu = atoi(argv[2]);
	g.segments = (uint32_t)atoi(argv[3]);
	g.depth = (uint32_t)atoi(argv[4]);
	ramp = atoi(argv[5]);
	run = atoi(argv[6]);
	if (!g.segments || g.segments > config.max_segments || !g.depth || g.depth > SLOTS)
		return 2;
	g.sets = g.depth;
	g.ring = memory(USBLK_PAGE_SIZE);
	g.pages = memory((size_t)g.sets * (g.segments + 1) * USBLK_PAGE_SIZE);
	g.channel_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	config.vbd = usblk_vbd_create(&disk);
	config.budget = usblk_budget_create(config.persistent_pages);
	config.ring = (uintptr_t)g.ring;
	config.channel_fd = g.channel_fd;
	if (!g.ring || !g.pages || g.channel_fd < 0 || !config.vbd || !config.budget)
		return 4;
	*index_at(1) = *index_at(3) = 1;
	write_requests();
	ring = usblk_ring_create(&config);
	if (!ring || pthread_create(&server, NULL, serve, &backend_cpu) || pthread_create(&front, NULL, guest, NULL))
		return 4;
	usleep((useconds_t)ramp * 1000);
	before = responses();
	cpu = thread_cpu(server);
	wall = (double)usblk_now_ns();
	usleep((useconds_t)run * 1000);
	before = responses() - before;
	cpu = thread_cpu(server) - cpu;
	wall = ((double)usblk_now_ns() - wall) * 1e-9;
	if (usblk_ring_stats(ring)->errors)
		return 3;
	printf("{\"requests\": %llu, \"seconds\": %f, \"cpu_seconds\": %f}\n", (unsigned long long)before, wall, cpu);
	__atomic_store_n(&g.leave, 1, __ATOMIC_RELAXED);
	pthread_join(front, NULL);
	usblk_ring_stop(ring);
	pthread_join(server, NULL);
	usblk_ring_destroy(ring);
	return 0;
}
