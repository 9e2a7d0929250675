/* SPDX-License-Identifier: MIT */
/*
 * A guest's load on a vhost-user block device, the way a Linux guest's virtio_blk drives it: indirect descriptors, event
 * indices on both sides, pages that lie anywhere in memory, and sleep until the device calls.  What is read is compared with
 * the image now and then, what was written last is looked for in the image at the end: a device that does nothing fast must
 * not win.  Prints one line of JSON.
 */
#define _GNU_SOURCE
#include "vhost_user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096U
#define SECTOR 512U
#define QUEUE 256U     /* descriptors; each request takes one */
#define CHECK_EVERY 61 /* reads */
#define REMEMBERED 256 /* writes */
#define BUCKETS 512    /* 8 per power of two of nanoseconds */
#define DEAF_MS 20000

/* In guest memory, after the rings: one page for each request. */
struct control {
	struct virtio_blk_outhdr header;
	uint8_t status;
	struct vring_desc table[] __attribute__((aligned(16)));
};

struct request {
	struct control *control;
	uint32_t *pages; /* page frames of its data */
	uint64_t block;
	uint64_t issued;
};

struct order {
	const char *socket;
	const char *image;
	pid_t server;
	bool write;
	bool sequential;
	uint32_t block_bytes;
	uint32_t depth;
	uint64_t ramp_ns;
	uint64_t run_ns;
};

struct load {
	struct order order;
	struct memory memory;
	struct queue queue;
	struct vring ring;
	struct request *requests;
	uint16_t *idle; /* a stack of requests */
	uint32_t nr_idle;
	uint32_t run_pages; /* of a segment */
	uint64_t blocks;
	uint64_t next_block;
	uint64_t random;
	uint64_t tag; /* another one in each run */
	uint16_t avail, used;
	int sock, image;
	uint64_t now;
	uint8_t *compare;
	uint64_t checked, finished;
	uint64_t remembered[REMEMBERED];
	uint64_t latency[BUCKETS];
};

static uint64_t clock_of(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t))
		fail("no clock: %s", strerror(errno));
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static uint64_t random_next(struct load *l)
{
	uint64_t x = l->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	l->random = x;
	return x * 0x2545f4914f6cdd1dULL >> 11;
}

static uint8_t *page_at(struct load *l, const struct request *request, uint32_t page)
{
	return l->memory.base + (size_t)request->pages[page] * PAGE;
}

/* Setting up ---------------------------------------------------------------------------------------------------------- */

/* Frames in an order in which nothing is adjacent by design; runs of 'run_pages' stay together. */
static void shuffle_pages(struct load *l, uint32_t *frames, uint32_t first, uint32_t count)
{
	uint32_t runs = count / l->run_pages;

	for (uint32_t i = 0; i < runs; i++)
		frames[i * l->run_pages] = first + i * l->run_pages;
	for (uint32_t i = runs; i > 1; i--) {
		uint32_t other = (uint32_t)(random_next(l) % i) * l->run_pages;
		uint32_t kept = frames[(i - 1) * l->run_pages];

		frames[(i - 1) * l->run_pages] = frames[other];
		frames[other] = kept;
	}
	for (uint32_t i = 0; i < count; i++)
		frames[i] = frames[i - i % l->run_pages] + i % l->run_pages;
}

/* The descriptors of a request never change, only what they point to. */
static void put_table(struct load *l, uint16_t id)
{
	struct request *request = &l->requests[id];
	uint32_t pages = l->order.block_bytes / PAGE, n = 0;
	struct vring_desc *table = request->control->table;
	uint64_t control = (uint64_t)((uint8_t *)request->control - l->memory.base);
	uint16_t data = l->order.write ? VRING_DESC_F_NEXT : VRING_DESC_F_NEXT | VRING_DESC_F_WRITE;

	table[n++] = (struct vring_desc){ control, sizeof(request->control->header), VRING_DESC_F_NEXT, 1 };
	for (uint32_t page = 0; page < pages; page += l->run_pages, n++) {
		uint64_t address = (uint64_t)request->pages[page] * PAGE;

		table[n] = (struct vring_desc){ address, l->run_pages * PAGE, data, (uint16_t)(n + 1) };
	}
	table[n++] = (struct vring_desc){ control + offsetof(struct control, status), 1, VRING_DESC_F_WRITE, 0 };
	l->ring.desc[id] = (struct vring_desc){ control + offsetof(struct control, table), n * (uint32_t)sizeof(*table),
						VRING_DESC_F_INDIRECT, 0 };
}

static void set_up(struct load *l)
{
	uint32_t pages = l->order.block_bytes / PAGE, depth = l->order.depth;
	size_t rings = (vring_size(QUEUE, PAGE) + PAGE - 1) / PAGE, total = rings + depth + (size_t)depth * pages;
	uint32_t *frames = calloc((size_t)depth * pages, sizeof(*frames));
	struct disk disk;

	l->sock = vhost_connect(l->order.socket, &disk);
	l->run_pages = 1;
	while (pages / l->run_pages > disk.max_segments)
		l->run_pages *= 2;
	l->blocks = disk.sectors * SECTOR / l->order.block_bytes;
	if (!l->blocks || pages % l->run_pages || pages / l->run_pages > (PAGE - sizeof(struct control)) / 16 - 2)
		fail("requests of %u bytes do not fit a disk of %llu sectors with %u segments", l->order.block_bytes,
		     (unsigned long long)disk.sectors, disk.max_segments);
	l->memory = memory_new(total * PAGE);
	vring_init(&l->ring, QUEUE, l->memory.base, PAGE);
	l->queue = (struct queue){
		QUEUE,
		eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		(uint8_t *)l->ring.desc,
		(uint8_t *)l->ring.avail,
		(uint8_t *)l->ring.used,
	};
	l->requests = calloc(QUEUE, sizeof(*l->requests));
	l->idle = calloc(depth, sizeof(*l->idle));
	l->compare = malloc(l->order.block_bytes);
	if (!frames || !l->requests || !l->idle || !l->compare)
		fail("no memory");
	shuffle_pages(l, frames, (uint32_t)(rings + depth), depth * pages);
	for (uint32_t i = 0; i < depth; i++) {
		l->requests[i].control = (struct control *)(l->memory.base + (rings + i) * PAGE);
		l->requests[i].pages = frames + (size_t)i * pages;
		put_table(l, (uint16_t)i);
		l->idle[l->nr_idle++] = (uint16_t)i;
	}
	vhost_start(l->sock, &l->memory, &l->queue);
}

/* Checking ------------------------------------------------------------------------------------------------------------ */

static uint64_t tag_of(const struct load *l, uint64_t block)
{
	return (block + 1) * 0x9e3779b97f4a7c15ULL ^ l->tag;
}

static void read_image(struct load *l, uint64_t block, size_t bytes)
{
	off_t at = (off_t)(block * l->order.block_bytes);

	if (pread(l->image, l->compare, bytes, at) != (ssize_t)bytes)
		fail("%s cannot be read at %lld", l->order.image, (long long)at);
}

static void check_read(struct load *l, const struct request *request)
{
	read_image(l, request->block, l->order.block_bytes);
	for (uint32_t page = 0; page < l->order.block_bytes / PAGE; page++)
		if (memcmp(page_at(l, request, page), l->compare + (size_t)page * PAGE, PAGE))
			fail("block %llu was read wrong in page %u", (unsigned long long)request->block, page);
	l->checked++;
}

static void check_writes(struct load *l)
{
	uint64_t found, count = l->finished < REMEMBERED ? l->finished : REMEMBERED;

	for (uint64_t i = 0; i < count; i++) {
		read_image(l, l->remembered[i], sizeof(found));
		memcpy(&found, l->compare, sizeof(found));
		if (found != tag_of(l, l->remembered[i]))
			fail("block %llu was not written", (unsigned long long)l->remembered[i]);
		l->checked++;
	}
}

/* The load ------------------------------------------------------------------------------------------------------------ */

static void issue(struct load *l, uint16_t id)
{
	struct request *request = &l->requests[id];

	request->block = l->order.sequential ? l->next_block++ % l->blocks : random_next(l) % l->blocks;
	request->issued = l->now;
	request->control->header = (struct virtio_blk_outhdr){
		.type = l->order.write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
		.sector = request->block * (l->order.block_bytes / SECTOR),
	};
	request->control->status = 0xff;
	if (l->order.write) {
		uint64_t tag = tag_of(l, request->block);

		memcpy(page_at(l, request, 0), &tag, sizeof(tag));
	}
	l->ring.avail->ring[l->avail++ % QUEUE] = id;
}

static void issue_all(struct load *l)
{
	uint16_t old = l->avail;

	while (l->nr_idle)
		issue(l, l->idle[--l->nr_idle]);
	if (l->avail == old)
		return;
	__atomic_store_n(&l->ring.avail->idx, l->avail, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (vring_need_event(__atomic_load_n(&vring_avail_event(&l->ring), __ATOMIC_ACQUIRE), l->avail, old))
		eventfd_write(l->queue.kick, 1);
}

static void record_latency(struct load *l, uint64_t ns)
{
	uint32_t top = ns < 8 ? 3 : 63 - (uint32_t)__builtin_clzll(ns);
	uint32_t bucket = (top - 3) * 8 + (uint32_t)(ns >> (top - 3)) % 8;

	l->latency[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

static double percentile_us(const struct load *l, double part)
{
	uint64_t total = 0, seen = 0;

	for (int i = 0; i < BUCKETS; i++)
		total += l->latency[i];
	for (int i = 0; i < BUCKETS; i++) {
		seen += l->latency[i];
		if (l->latency[i] && (double)seen >= part * (double)total)
			return (double)((8ULL + (uint64_t)i % 8 + 1) << (i / 8)) / 1000;
	}
	return 0;
}

/* Take what the device has finished. */
static void reap(struct load *l)
{
	uint16_t used = __atomic_load_n(&l->ring.used->idx, __ATOMIC_ACQUIRE);

	if (used == l->used)
		return;
	l->now = clock_of(CLOCK_MONOTONIC);
	for (; l->used != used; l->used++) {
		uint32_t id = l->ring.used->ring[l->used % QUEUE].id;
		struct request *request;

		if (id >= l->order.depth)
			fail("the device finished request %u, which there is not", id);
		request = &l->requests[id];
		if (request->control->status != VIRTIO_BLK_S_OK)
			fail("block %llu: status %u", (unsigned long long)request->block, request->control->status);
		record_latency(l, l->now - request->issued);
		if (l->order.write)
			l->remembered[l->finished % REMEMBERED] = request->block;
		else if (l->finished % CHECK_EVERY == 0)
			check_read(l, request);
		l->finished++;
		l->idle[l->nr_idle++] = (uint16_t)id;
	}
}

static void sleep_for_call(struct load *l)
{
	struct pollfd fds[2] = { { .fd = l->queue.call, .events = POLLIN }, { .fd = l->sock, .events = POLLIN } };
	eventfd_t count;

	vring_used_event(&l->ring) = l->used;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&l->ring.used->idx, __ATOMIC_ACQUIRE) != l->used)
		return;
	if (poll(fds, 2, DEAF_MS) <= 0)
		fail("the device has not answered for %d s", DEAF_MS / 1000);
	if (fds[1].revents)
		fail("the device is gone");
	eventfd_read(l->queue.call, &count);
}

static void carry(struct load *l)
{
	clockid_t clock;
	uint64_t begin, end, before, cpu, done;
	double seconds;

	if (clock_getcpuclockid(l->order.server, &clock))
		fail("no clock of process %d", (int)l->order.server);
	l->now = clock_of(CLOCK_MONOTONIC);
	for (end = l->now + l->order.ramp_ns; l->now < end; sleep_for_call(l)) {
		reap(l);
		issue_all(l);
	}
	memset(l->latency, 0, sizeof(l->latency));
	begin = l->now;
	before = l->finished;
	cpu = clock_of(clock);
	for (end = l->now + l->order.run_ns; l->now < end; sleep_for_call(l)) {
		reap(l);
		issue_all(l);
	}
	cpu = clock_of(clock) - cpu;
	done = l->finished - before;
	seconds = (double)(l->now - begin) / 1e9;
	for (reap(l); l->nr_idle < l->order.depth; reap(l))
		sleep_for_call(l);
	vhost_stop(l->sock);
	if (l->order.write)
		check_writes(l);
	printf("{\"seconds\": %.6f, \"requests\": %llu, \"cpu_seconds\": %.6f, \"p50_us\": %.3f, \"p99_us\": %.3f, "
	       "\"checked\": %llu}\n",
	       seconds, (unsigned long long)done, (double)cpu / 1e9, percentile_us(l, 0.5), percentile_us(l, 0.99),
	       (unsigned long long)l->checked);
}

int main(int argc, char **argv)
{
	struct load load = { 0 };
	struct order *order = &load.order;

	if (argc != 9)
		fail("use: load SOCKET IMAGE SERVER-PID read|write|randread|randwrite BYTES DEPTH RAMP-MS RUN-MS");
	order->socket = argv[1];
	order->image = argv[2];
	order->server = (pid_t)strtol(argv[3], NULL, 10);
	order->write = strstr(argv[4], "write");
	order->sequential = strncmp(argv[4], "rand", 4);
	order->block_bytes = (uint32_t)strtoul(argv[5], NULL, 10);
	order->depth = (uint32_t)strtoul(argv[6], NULL, 10);
	order->ramp_ns = strtoull(argv[7], NULL, 10) * 1000000;
	order->run_ns = strtoull(argv[8], NULL, 10) * 1000000;
	if (!order->block_bytes || order->block_bytes % PAGE || !order->depth || order->depth > QUEUE)
		fail("blocks are pages, and %u of them can be under way", QUEUE);
	load.image = open(order->image, O_RDONLY | O_CLOEXEC);
	if (load.image < 0)
		fail("%s: %s", order->image, strerror(errno));
	load.tag = clock_of(CLOCK_REALTIME);
	load.random = load.tag | 1;
	set_up(&load);
	carry(&load);
	return 0;
}
