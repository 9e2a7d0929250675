// SPDX-License-Identifier: MIT
/*
 * The life of one ring: copy requests out, check them, hand them to the image, publish answers, sleep.
 *
 * Shared ring (xen/include/public/io/ring.h): four 32-bit free-running indices, 48 bytes of padding, then the slots.  A
 * response overwrites its request's slot, so requests are copied out before anything is answered.  The guest can write all
 * of it at any time: every index is read once and checked, and what we rely on (req_cons, rsp_prod) is kept privately.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stats.h"
#include "usblk.h"

struct sring {
	uint32_t req_prod, req_event;
	uint32_t rsp_prod, rsp_event;
	uint8_t pad[48];
	uint8_t slots[];
};

typedef int pending_fn(void *handle);
typedef int port_fn(void *handle, uint32_t port);

struct usblk_ring {
	struct usblk_config config;
	struct sring *shared;
	const struct usblk_layout *layout;
	uint32_t size;
	uint32_t req_cons;		/* next request to copy */
	uint32_t rsp_prod_pvt;		/* next response to write */
	uint32_t rsp_published;
	uint64_t sectors;

	pending_fn *pending;
	port_fn *unmask, *notify;

	struct usblk_grants *grants;
	struct usblk_io *io;
	struct usblk_req *reqs;		/* one for each slot */
	struct usblk_req **free;
	uint32_t nr_free;
	uint8_t *indirect;		/* copies of one request's indirect pages */

	int stop_fd;
	int stopping;
	bool notify_failed;
	bool masked;			/* we took an event and have not unmasked the port since */

	struct usblk_stats stats;
	uint64_t trace_seq;
	struct usblk_trace trace[USBLK_TRACE_SIZE];
};

/* answers --------------------------------------------------------------------------------------------------------- */

static void publish(struct usblk_ring *ring)
{
	uint32_t old = ring->rsp_published, new = ring->rsp_prod_pvt, event;

	if (old == new)
		return;
	__atomic_store_n(&ring->shared->rsp_prod, new, __ATOMIC_RELEASE);
	ring->rsp_published = new;
	/* the frontend sets rsp_event, then looks at rsp_prod once more: ours must be visible before we look at his */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(&ring->shared->rsp_event, __ATOMIC_RELAXED);
	if ((uint32_t)(new - event) < (uint32_t)(new - old)) {
		stat_add(&ring->stats.notifies_sent, 1);
		if (ring->notify((void *)ring->config.channel_handle, ring->config.channel_port))
			ring->notify_failed = true;
	} else {
		stat_add(&ring->stats.notifies_suppressed, 1);
	}
}

static enum usblk_op op_of(const struct usblk_req *req)
{
	switch (req->action) {
	case BLKIF_OP_READ:
		return USBLK_READ;
	case BLKIF_OP_DISCARD:
		return USBLK_DISCARD;
	case BLKIF_OP_WRITE:
		return USBLK_WRITE;
	default:
		return req->nr_sectors ? USBLK_WRITE : USBLK_FLUSH;
	}
}

static void record(struct usblk_ring *ring, const struct usblk_req *req, int16_t status)
{
	uint64_t now = usblk_now_ns(), latency = now - req->start_ns, seq = ring->trace_seq + 1;
	struct usblk_trace *trace = &ring->trace[seq % USBLK_TRACE_SIZE];
	struct usblk_stats *stats = &ring->stats;

	if (status == BLKIF_RSP_OKAY) {
		enum usblk_op op = op_of(req);

		stat_add(&stats->requests[op], 1);
		stat_add(&stats->bytes[op], req->nr_sectors << USBLK_SECTOR_SHIFT);
		stat_add(&stats->latency[op][latency_bucket(latency)], 1);
	} else {
		stat_add(&stats->errors, 1);
	}
	stat_add(&stats->responses, 1);	/* last: who sees it counted sees the rest of it too */
	/* seq is 0 while the entry changes: a reader that sees the same one before and after has a whole entry */
	__atomic_store_n(&trace->seq, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	trace->time_ns = now;
	trace->latency_ns = latency;
	trace->id = req->id;
	trace->sector = req->sector;
	trace->nr_sectors = (uint32_t)req->nr_sectors;
	trace->segments = req->op == BLKIF_OP_DISCARD ? 0 : req->nr_segs;
	trace->status = status;
	trace->op = req->op == BLKIF_OP_INDIRECT ? req->action : req->op;
	trace->indirect = req->op == BLKIF_OP_INDIRECT;
	__atomic_store_n(&trace->seq, seq, __ATOMIC_RELEASE);
	__atomic_store_n(&ring->trace_seq, seq, __ATOMIC_RELEASE);
}

/*
 * Write the response, padding included (XSA-216), and let the request go.  It names the operation that was done: of an
 * indirect request the inner one, as blkfront insists.
 */
static void answer(struct usblk_ring *ring, struct usblk_req *req, int16_t status)
{
	uint8_t rsp[16] = { 0 };
	uint32_t slot = ring->rsp_prod_pvt & (ring->size - 1);

	memcpy(rsp, &req->id, 8);
	rsp[8] = req->action;
	memcpy(rsp + 10, &status, 2);
	memcpy(ring->shared->slots + (size_t)slot * ring->layout->slot_size, rsp, ring->layout->rsp_size);
	ring->rsp_prod_pvt++;
	record(ring, req, status);
	ring->free[ring->nr_free++] = req;
	if (ring->rsp_prod_pvt - ring->rsp_published >= ring->config.response_batch)
		publish(ring);
}

/* one request ----------------------------------------------------------------------------------------------------- */

static void count_barrier(struct usblk_ring *ring, const struct usblk_req *req)
{
	if (req->op == BLKIF_OP_WRITE_BARRIER)
		stat_add(&ring->stats.barriers, 1);
	if (req->op == BLKIF_OP_INDIRECT)
		stat_add(&ring->stats.indirect, 1);
}

/* A finished request goes back to the guest; error is the image's errno. */
static void finish(struct usblk_ring *ring, struct usblk_req *req, int error)
{
	bool read = req->action == BLKIF_OP_READ, discard = req->action == BLKIF_OP_DISCARD;
	bool flush = req->action == BLKIF_OP_FLUSH_DISKCACHE || req->action == BLKIF_OP_WRITE_BARRIER;
	int16_t status = BLKIF_RSP_OKAY;

	if (!discard && usblk_grants_put(ring->grants, req, read && !error)) {
		stat_add(&ring->stats.map_errors, 1);
		status = BLKIF_RSP_ERROR;
	}
	if (error) {
		stat_add(&ring->stats.io_errors, 1);
		stat_set(&ring->stats.last_io_errno, (uint64_t)error);
		/* Linux takes an error to an empty flush for "not supported" and drops flushes: writes must fail too */
		if (flush)
			stat_set(&ring->stats.poisoned, (uint64_t)error);
		status = discard && error == EOPNOTSUPP ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_ERROR;
	}
	answer(ring, req, status);
}

static void start(struct usblk_ring *ring, struct usblk_req *req)
{
	struct usblk_stats *stats = &ring->stats;
	bool discard = req->op == BLKIF_OP_DISCARD;
	int error;

	switch (usblk_req_check(req, &ring->config)) {
	case USBLK_VALID:
		break;
	case USBLK_BAD:
		stat_add(&stats->bad_requests, 1);
		return answer(ring, req, BLKIF_RSP_ERROR);
	case USBLK_READONLY:
		stat_add(&stats->refused, 1);
		return answer(ring, req, BLKIF_RSP_ERROR);
	case USBLK_NOT_OFFERED:
		stat_add(&stats->refused, 1);
		return answer(ring, req, BLKIF_RSP_EOPNOTSUPP);
	}
	if (stats->poisoned && req->action != BLKIF_OP_READ) {
		stat_add(&stats->refused, 1);
		return answer(ring, req, BLKIF_RSP_ERROR);
	}
	if (req->op == BLKIF_OP_INDIRECT) {
		if (usblk_grants_fetch_indirect(ring->grants, req, ring->indirect)) {
			stat_add(&stats->map_errors, 1);
			return answer(ring, req, BLKIF_RSP_ERROR);
		}
		usblk_segs_parse(req->segs, ring->indirect, req->nr_segs);
	}
	if (!usblk_segs_check(req, __atomic_load_n(&ring->sectors, __ATOMIC_RELAXED))) {
		stat_add(&stats->bad_requests, 1);
		return answer(ring, req, BLKIF_RSP_ERROR);
	}
	if (!discard && usblk_grants_get(ring->grants, req, req->action != BLKIF_OP_READ)) {
		stat_add(&stats->map_errors, 1);
		return answer(ring, req, BLKIF_RSP_ERROR);
	}
	count_barrier(ring, req);
	error = ring->io->submit(ring->io, req);
	if (error != USBLK_IO_QUEUED)
		finish(ring, req, error);
}

static void reap(struct usblk_ring *ring)
{
	struct usblk_req *req;
	int error;

	while (ring->io->reap && (req = ring->io->reap(ring->io, &error)))
		finish(ring, req, error);
}

/* the loop -------------------------------------------------------------------------------------------------------- */

static bool stop_asked(const struct usblk_ring *ring)
{
	return __atomic_load_n(&ring->stopping, __ATOMIC_RELAXED);
}

static uint32_t read_req_prod(const struct usblk_ring *ring)
{
	return __atomic_load_n(&ring->shared->req_prod, __ATOMIC_ACQUIRE);
}

/* Serve what is on the ring.  Returns the number of requests taken, or -1 when the indices are impossible. */
static int64_t drain(struct usblk_ring *ring)
{
	uint32_t prod = read_req_prod(ring);
	int64_t taken = 0;
	uint64_t now = 0;

	reap(ring);
	while (ring->req_cons != prod && !stop_asked(ring)) {
		const uint8_t *shared;
		uint8_t slot[112];
		struct usblk_req *req;

		/* more requests than slots: the guest has lost its mind or wants us to lose ours */
		if ((uint32_t)(prod - ring->rsp_prod_pvt) > ring->size) {
			publish(ring);
			return -1;
		}
		if (!ring->nr_free)
			break;
		shared = ring->shared->slots + (size_t)(ring->req_cons & (ring->size - 1)) * ring->layout->slot_size;
		memcpy(slot, shared, ring->layout->slot_size);
		/* from here on only the copy exists: the compiler must not read the slot again */
		__asm__ volatile("" : : : "memory");
		ring->req_cons++;
		req = ring->free[--ring->nr_free];
		usblk_req_parse(req, slot, ring->layout);
		if (!now)
			now = usblk_now_ns();
		req->start_ns = now;
		start(ring, req);
		taken++;
		if (ring->req_cons == prod) {
			prod = read_req_prod(ring);
			now = 0;
		}
	}
	publish(ring);
	return taken;
}

/* Ask for an event with the next request; true when one has slipped in before the asking. */
static bool arm(struct usblk_ring *ring)
{
	__atomic_store_n(&ring->shared->req_event, ring->req_cons + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return read_req_prod(ring) != ring->req_cons;
}

/* Look for more work for a while before going to sleep. */
static bool poll_ring(const struct usblk_ring *ring)
{
	uint64_t end = usblk_now_ns() + ring->config.poll_us * 1000ull;

	do {
		for (int i = 0; i < 64; i++) {
			if (read_req_prod(ring) != ring->req_cons || stop_asked(ring))
				return true;
			usblk_relax();
		}
	} while (usblk_now_ns() < end);
	return false;
}

int usblk_ring_run(struct usblk_ring *ring)
{
	void *channel = (void *)ring->config.channel_handle;
	bool woken = false;
	int wake = 0;

	for (;;) {
		int64_t taken = drain(ring);

		if (taken < 0)
			return USBLK_END_OVERFLOW;
		if (ring->notify_failed)
			return USBLK_END_NOTIFY;
		if (woken && !taken)
			stat_add(&ring->stats.spurious, 1);
		woken = false;
		if (stop_asked(ring) && ring->nr_free == ring->size) {
			usblk_stop_clear(ring->stop_fd);
			__atomic_store_n(&ring->stopping, 0, __ATOMIC_RELAXED);
			return USBLK_END_STOPPED;
		}
		if (taken && ring->config.poll_us && poll_ring(ring))
			continue;
		if (ring->nr_free && !stop_asked(ring) && arm(ring))
			continue;
		/* unmasked only now: until we are about to sleep, a storm of events costs the guest, not us (XSA-332) */
		if (ring->masked) {
			if (ring->unmask(channel, ring->config.channel_port))
				return USBLK_END_WAIT;
			ring->masked = false;
		}
		wake = usblk_wait(ring->stop_fd, ring->config.channel_fd, ring->io->fd);
		if (wake < 0)
			return USBLK_END_WAIT;
		/* the signal may come after the run that obeyed its flag has ended; left up, this run would never sleep */
		if ((wake & USBLK_WAKE_STOP) && !stop_asked(ring))
			usblk_stop_clear(ring->stop_fd);
		if (wake & USBLK_WAKE_CHANNEL) {
			stat_add(&ring->stats.wakeups, 1);
			woken = true;
			if (ring->pending(channel) >= 0)
				ring->masked = true;
			else if (errno != EAGAIN && errno != EINTR)
				return USBLK_END_WAIT;
		}
	}
}

/* life and death -------------------------------------------------------------------------------------------------- */

static int create_requests(struct usblk_ring *ring)
{
	uint32_t segs = ring->config.max_segments;

	if (segs < USBLK_SEGMENTS_DIRECT)
		segs = USBLK_SEGMENTS_DIRECT;
	ring->reqs = calloc(ring->size, sizeof(*ring->reqs));
	ring->free = calloc(ring->size, sizeof(*ring->free));
	ring->indirect = malloc(USBLK_MAX_INDIRECT_PAGES * USBLK_PAGE_SIZE);
	if (!ring->reqs || !ring->free || !ring->indirect)
		return -1;
	for (uint32_t i = 0; i < ring->size; i++) {
		struct usblk_req *req = &ring->reqs[i];

		req->segs = calloc(segs, sizeof(*req->segs));
		req->iov = calloc(segs, sizeof(*req->iov));
		req->held = calloc(segs, sizeof(*req->held));
		if (!req->segs || !req->iov || !req->held)
			return -1;
		/* the last one given back is taken first: a synchronous image touches the memory of one request only */
		ring->free[ring->nr_free++] = req;
	}
	return 0;
}

struct usblk_ring *usblk_ring_create(const struct usblk_config *config)
{
	struct usblk_ring *ring;

	if (!config->ring_pages || (config->ring_pages & (config->ring_pages - 1)) ||
	    config->max_segments > USBLK_MAX_SEGMENTS || config->abi < 0 || config->abi > USBLK_ABI_32)
		return NULL;
	if (config->grant_mode == USBLK_GRANT_COPY && !config->grant_copy)
		return NULL;
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return NULL;
	ring->config = *config;
	if (!ring->config.response_batch)
		ring->config.response_batch = 1;
	ring->shared = (struct sring *)config->ring;
	ring->layout = &usblk_layouts[config->abi];
	ring->size = (config->ring_pages * USBLK_PAGE_SIZE - (uint32_t)sizeof(struct sring)) / ring->layout->slot_size;
	while (ring->size & (ring->size - 1))	/* down to a power of two */
		ring->size &= ring->size - 1;
	ring->sectors = config->sectors;
	ring->rsp_prod_pvt = ring->rsp_published = ring->req_cons =
		__atomic_load_n(&ring->shared->rsp_prod, __ATOMIC_ACQUIRE);
	ring->pending = (pending_fn *)config->channel_pending;
	ring->unmask = (port_fn *)config->channel_unmask;
	ring->notify = (port_fn *)config->channel_notify;
	ring->stop_fd = usblk_stop_create();
	ring->grants = usblk_grants_create(config, &ring->stats);
	ring->io = usblk_io_sync_create(config->image_fd);
	if (ring->stop_fd < 0 || !ring->grants || !ring->io || create_requests(ring)) {
		usblk_ring_destroy(ring);
		return NULL;
	}
	return ring;
}

void usblk_ring_stop(struct usblk_ring *ring)
{
	__atomic_store_n(&ring->stopping, 1, __ATOMIC_RELAXED);
	usblk_stop_signal(ring->stop_fd);
}

void usblk_ring_release(struct usblk_ring *ring)
{
	usblk_grants_destroy(ring->grants);
	ring->grants = NULL;
}

void usblk_ring_destroy(struct usblk_ring *ring)
{
	if (!ring)
		return;
	usblk_ring_release(ring);
	if (ring->io)
		ring->io->destroy(ring->io);
	for (uint32_t i = 0; ring->reqs && i < ring->size; i++) {
		free(ring->reqs[i].segs);
		free(ring->reqs[i].iov);
		free(ring->reqs[i].held);
		free(ring->reqs[i].buffer);
	}
	free(ring->reqs);
	free(ring->free);
	free(ring->indirect);
	if (ring->stop_fd >= 0)
		usblk_stop_destroy(ring->stop_fd);
	free(ring);
}

/* looking on ------------------------------------------------------------------------------------------------------ */

const struct usblk_stats *usblk_ring_stats(const struct usblk_ring *ring)
{
	return &ring->stats;
}

void usblk_ring_indices(const struct usblk_ring *ring, struct usblk_indices *ret)
{
	const struct sring *shared = ring->shared;

	*ret = (struct usblk_indices){
		.req_prod = read_req_prod(ring),
		.req_cons = __atomic_load_n(&ring->req_cons, __ATOMIC_RELAXED),
		.rsp_prod = __atomic_load_n(&ring->rsp_published, __ATOMIC_RELAXED),
		.req_event = __atomic_load_n(&shared->req_event, __ATOMIC_RELAXED),
		.rsp_event = __atomic_load_n(&shared->rsp_event, __ATOMIC_RELAXED),
		.size = ring->size,
	};
}

uint32_t usblk_ring_trace(const struct usblk_ring *ring, uint64_t after, struct usblk_trace *ret, uint32_t max)
{
	uint64_t newest = __atomic_load_n(&ring->trace_seq, __ATOMIC_ACQUIRE), seq;
	uint32_t nr = 0;

	if (after >= newest)
		return 0;
	seq = newest > USBLK_TRACE_SIZE && after < newest - USBLK_TRACE_SIZE ? newest - USBLK_TRACE_SIZE : after;
	if (newest - seq > max)
		seq = newest - max;
	while (seq++ < newest) {
		const struct usblk_trace *trace = &ring->trace[seq % USBLK_TRACE_SIZE];

		if (__atomic_load_n(&trace->seq, __ATOMIC_ACQUIRE) != seq)
			continue;
		ret[nr] = *trace;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&trace->seq, __ATOMIC_RELAXED) == seq && ret[nr].seq == seq)
			nr++;
	}
	return nr;
}

void usblk_ring_set_sectors(struct usblk_ring *ring, uint64_t sectors)
{
	__atomic_store_n(&ring->sectors, sectors, __ATOMIC_RELAXED);
}
