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
	struct usblk_vbd *vbd;
	struct sring *shared;
	const struct usblk_layout *layout;
	uint32_t size;
	uint32_t req_cons;		/* next request to copy */
	uint32_t rsp_prod_pvt;		/* next response to write */
	uint32_t rsp_published;
	uint64_t unpublished_ns;	/* when the oldest response not yet published was written */

	pending_fn *pending, *wait;
	port_fn *unmask, *notify;

	struct usblk_grants *grants;
	struct usblk_io *io;
	struct usblk_req *reqs;		/* one for each request that can be under way */
	struct usblk_req **free;
	uint32_t nr_reqs, nr_free;
	uint32_t segs_under_way;
	struct usblk_req *alone;	/* waits until it is the only one: see usblk.h */

	int stop_fd;			/* an eventfd that wakes the ring, for whatever reason */
	int stopping, trimming;		/* asked for by other threads */
	bool notify_failed;
	bool masked;			/* we took an event and have not unmasked the port since */
	bool stale;			/* the engine may yet tell of an event that ring->wait() took */

	struct usblk_poller poller;
	struct usblk_log log;
};

/*
 * Pages that requests under way may need at a time: a request more is taken while there are fewer.  The largest ring has
 * room for 2 million, and a guest must not make us hold that much.
 */
#define SEGMENTS_UNDER_WAY 8192u

/* answers --------------------------------------------------------------------------------------------------------- */

static void publish(struct usblk_ring *ring)
{
	uint32_t old = ring->rsp_published, new = ring->rsp_prod_pvt, event;

	if (old == new)
		return;
	__atomic_store_n(&ring->shared->rsp_prod, new, __ATOMIC_RELEASE);
	__atomic_store_n(&ring->rsp_published, new, __ATOMIC_RELAXED);
	/* the frontend sets rsp_event, then looks at rsp_prod once more: ours must be visible before we look at his */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(&ring->shared->rsp_event, __ATOMIC_RELAXED);
	if ((uint32_t)(new - event) < (uint32_t)(new - old)) {
		stat_add(&ring->log.stats.notifies_sent, 1);
		if (ring->notify((void *)ring->config.channel_handle, ring->config.channel_port))
			ring->notify_failed = true;
	} else {
		stat_add(&ring->log.stats.notifies_suppressed, 1);
	}
}

/*
 * Write the response, padding included (XSA-216), and let the request go.  It names the operation that was done: of an
 * indirect request the inner one, as blkfront insists.
 */
static void answer(struct usblk_ring *ring, struct usblk_req *req, int16_t status)
{
	uint8_t rsp[16] = { 0 };
	uint32_t slot = ring->rsp_prod_pvt & (ring->size - 1);
	uint64_t now = usblk_now_ns();

	memcpy(rsp, &req->id, 8);
	rsp[8] = req->action;
	memcpy(rsp + 10, &status, 2);
	memcpy(ring->shared->slots + (size_t)slot * ring->layout->slot_size, rsp, ring->layout->rsp_size);
	if (ring->rsp_prod_pvt++ == ring->rsp_published)
		ring->unpublished_ns = now;
	usblk_log_add(&ring->log, req, status, now);
	ring->segs_under_way -= req->nr_segs;
	ring->free[ring->nr_free++] = req;
	/* waiting for others pays while they come fast; where each takes its time, the first must not wait */
	if (ring->rsp_prod_pvt - ring->rsp_published >= ring->config.response_batch ||
	    now - ring->unpublished_ns > ring->config.response_wait_us * 1000ull)
		publish(ring);
}

/* one request ----------------------------------------------------------------------------------------------------- */

static void count_barrier(struct usblk_ring *ring, const struct usblk_req *req)
{
	if (req->op == BLKIF_OP_WRITE_BARRIER)
		stat_add(&ring->log.stats.barriers, 1);
	if (req->op == BLKIF_OP_INDIRECT)
		stat_add(&ring->log.stats.indirect, 1);
}

/* A finished request goes back to the guest; error is the image's errno. */
static void finish(struct usblk_ring *ring, struct usblk_req *req, int error)
{
	bool read = req->action == BLKIF_OP_READ, discard = req->action == BLKIF_OP_DISCARD;
	bool flush = req->action == BLKIF_OP_FLUSH_DISKCACHE || req->action == BLKIF_OP_WRITE_BARRIER;
	int16_t status = BLKIF_RSP_OKAY;

	if (usblk_grants_put(ring->grants, req, read && !error)) {
		stat_add(&ring->log.stats.map_errors, 1);
		status = BLKIF_RSP_ERROR;
	}
	if (error) {
		stat_add(&ring->log.stats.io_errors, 1);
		__atomic_store_n(&ring->vbd->last_errno, error, __ATOMIC_RELAXED);
		/* Linux takes an error to an empty flush for "not supported" and drops flushes: writes must fail too */
		if (flush)
			__atomic_store_n(&ring->vbd->poisoned, error, __ATOMIC_RELEASE);
		status = discard && error == EOPNOTSUPP ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_ERROR;
	}
	answer(ring, req, status);
}

/* What came before it is durable before it, and it is durable before it is answered. */
static bool must_be_alone(const struct usblk_req *req)
{
	return req->action == BLKIF_OP_WRITE_BARRIER || (req->action == BLKIF_OP_FLUSH_DISKCACHE && req->nr_segs);
}

static void submit(struct usblk_ring *ring, struct usblk_req *req)
{
	int error = ring->io->submit(ring->io, req);

	if (error != USBLK_IO_QUEUED)
		finish(ring, req, error);
}

/* Take a request from the ring's copy to the image, or answer it at once. */
static void start(struct usblk_ring *ring, struct usblk_req *req)
{
	struct usblk_stats *stats = &ring->log.stats;

	switch (usblk_req_check(req, &ring->vbd->config, ring->config.max_segments)) {
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
	if (usblk_vbd_poisoned(ring->vbd) && req->action != BLKIF_OP_READ) {
		stat_add(&stats->refused, 1);
		return answer(ring, req, BLKIF_RSP_ERROR);
	}
	if (req->op == BLKIF_OP_INDIRECT) {
		if (usblk_grants_fetch_indirect(ring->grants, req)) {
			stat_add(&stats->map_errors, 1);
			return answer(ring, req, BLKIF_RSP_ERROR);
		}
	}
	if (!usblk_segs_check(req, __atomic_load_n(&ring->vbd->sectors, __ATOMIC_RELAXED))) {
		stat_add(&stats->bad_requests, 1);
		return answer(ring, req, BLKIF_RSP_ERROR);
	}
	if (usblk_grants_get(ring->grants, req, req->action != BLKIF_OP_READ)) {
		stat_add(&stats->map_errors, 1);
		return answer(ring, req, BLKIF_RSP_ERROR);
	}
	count_barrier(ring, req);
	if (must_be_alone(req) && ring->nr_free + 1 != ring->nr_reqs)
		ring->alone = req;
	else
		submit(ring, req);
}

static void reap(struct usblk_ring *ring)
{
	struct usblk_req *req;
	int error;

	while (ring->io->reap && (req = ring->io->reap(ring->io, &error)))
		finish(ring, req, error);
	if (ring->alone && ring->nr_free + 1 == ring->nr_reqs) {
		req = ring->alone;
		ring->alone = NULL;
		if (usblk_vbd_poisoned(ring->vbd)) {	/* by a flush it waited for */
			usblk_grants_put(ring->grants, req, false);
			stat_add(&ring->log.stats.refused, 1);
			answer(ring, req, BLKIF_RSP_ERROR);
		} else {
			submit(ring, req);
		}
	}
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

/* One more request may be taken off the ring. */
static bool has_room(const struct usblk_ring *ring)
{
	return ring->nr_free && !ring->alone && ring->segs_under_way < SEGMENTS_UNDER_WAY;
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
		if (!has_room(ring))
			break;
		shared = ring->shared->slots + (size_t)(ring->req_cons & (ring->size - 1)) * ring->layout->slot_size;
		memcpy(slot, shared, ring->layout->slot_size);
		/* from here on only the copy exists: the compiler must not read the slot again */
		__asm__ volatile("" : : : "memory");
		__atomic_store_n(&ring->req_cons, ring->req_cons + 1, __ATOMIC_RELAXED);
		req = ring->free[--ring->nr_free];
		usblk_req_parse(req, slot, ring->layout);
		ring->segs_under_way += req->nr_segs;
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
	if (ring->io->kick)
		ring->io->kick(ring->io);
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

static bool has_work(struct usblk_ring *ring)
{
	if (has_room(ring) && read_req_prod(ring) != ring->req_cons)
		return true;
	return ring->io->fd >= 0 && ring->io->ready(ring->io);
}

/* Look for more work for a while before going to sleep. */
static bool poll_ring(struct usblk_ring *ring)
{
	uint64_t now, end;

	if (!ring->poller.window_ns)
		return false;
	now = usblk_now_ns();
	end = now + ring->poller.window_ns;
	stat_add(&ring->log.stats.polls, 1);
	do {
		uint64_t before = now;

		for (int i = 0; i < 32; i++) {
			if (has_work(ring) || stop_asked(ring)) {
				stat_add(&ring->log.stats.poll_hits, 1);
				return true;
			}
			usblk_relax();
		}
		now = usblk_now_ns();
		if (usblk_poller_preempted(&ring->poller, before, now))
			return false;
	} while (now < end);
	return false;
}

/* An event was taken, which masks its port: a set of enum usblk_wake, or -1. */
static int took_event(struct usblk_ring *ring, int port)
{
	if (port < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if ((uint32_t)port == ring->config.channel_port) {
		ring->masked = true;
		return USBLK_WAKE_CHANNEL;
	}
	return ring->unmask((void *)ring->config.channel_handle, (uint32_t)port) ? -1 : USBLK_WAKE_STOP;
}

/* Sleep until the guest, the image or another thread wants something: a set of enum usblk_wake, or -1. */
static int sleep_ring(struct usblk_ring *ring)
{
	void *channel = (void *)ring->config.channel_handle;
	struct usblk_io *io = ring->io;
	int wake, event;

	if (ring->wait && io->fd < 0) {
		ring->stale = true;
		return took_event(ring, ring->wait(channel));
	}
	if (io->fd >= 0 && io->wait)
		wake = io->wait(io, ring->stop_fd, ring->config.channel_fd);
	else
		wake = usblk_wait(ring->stop_fd, ring->config.channel_fd, io->fd);
	if (wake < 0)
		return -1;
	if (wake & USBLK_WAKE_STOP)
		usblk_stop_clear(ring->stop_fd);
	if (!(wake & USBLK_WAKE_CHANNEL))
		return wake;
	/* where the channel can be slept on, asking for an event that is not there sleeps, and I/O is under way */
	if (ring->stale) {
		ring->stale = false;
		if (!usblk_readable(ring->config.channel_fd))
			return wake & ~USBLK_WAKE_CHANNEL;
	}
	event = took_event(ring, ring->pending(channel));
	return event < 0 ? -1 : (wake & ~USBLK_WAKE_CHANNEL) | event;
}

/* The image still works on requests and on the guest's pages: nothing may be given back before it has finished. */
static enum usblk_end settle(struct usblk_ring *ring, enum usblk_end why)
{
	while (reap(ring), ring->nr_free != ring->nr_reqs) {
		if (ring->io->kick)
			ring->io->kick(ring->io);
		if (usblk_wait(-1, -1, ring->io->fd) < 0)
			usblk_relax();
	}
	return why;
}

int usblk_ring_run(struct usblk_ring *ring)
{
	bool woken = false;

	for (;;) {
		uint64_t answered = ring->log.stats.responses, slept;
		int64_t taken = drain(ring);
		int wake;

		if (taken < 0)
			return settle(ring, USBLK_END_OVERFLOW);
		if (ring->notify_failed)
			return settle(ring, USBLK_END_NOTIFY);
		if (woken && !taken)
			stat_add(&ring->log.stats.spurious, 1);
		woken = false;
		if (stop_asked(ring) && ring->nr_free == ring->nr_reqs) {
			__atomic_store_n(&ring->stopping, 0, __ATOMIC_RELAXED);
			return USBLK_END_STOPPED;
		}
		if (__atomic_exchange_n(&ring->trimming, 0, __ATOMIC_RELAXED))
			usblk_grants_trim(ring->grants);
		if ((taken || ring->log.stats.responses != answered) && poll_ring(ring))
			continue;
		if (has_room(ring) && !stop_asked(ring) && arm(ring))
			continue;
		/* unmasked only now: until we are about to sleep, a storm of events costs the guest, not us (XSA-332) */
		if (ring->masked) {
			if (ring->unmask((void *)ring->config.channel_handle, ring->config.channel_port))
				return settle(ring, USBLK_END_WAIT);
			ring->masked = false;
		}
		slept = usblk_now_ns();
		wake = sleep_ring(ring);
		if (wake < 0)
			return settle(ring, USBLK_END_WAIT);
		if (wake & USBLK_WAKE_CHANNEL) {
			stat_add(&ring->log.stats.wakeups, 1);
			woken = true;
		}
		if (wake & (USBLK_WAKE_CHANNEL | USBLK_WAKE_IO))
			usblk_poller_slept(&ring->poller, slept, usblk_now_ns());
	}
}

/* life and death -------------------------------------------------------------------------------------------------- */

static int create_requests(struct usblk_ring *ring)
{
	uint32_t segs = ring->config.max_segments;

	if (segs < USBLK_SEGMENTS_DIRECT)
		segs = USBLK_SEGMENTS_DIRECT;
	ring->nr_reqs = ring->io->depth < ring->size ? ring->io->depth : ring->size;
	ring->reqs = calloc(ring->nr_reqs, sizeof(*ring->reqs));
	ring->free = calloc(ring->nr_reqs, sizeof(*ring->free));
	if (!ring->reqs || !ring->free)
		return -1;
	for (uint32_t i = 0; i < ring->nr_reqs; i++) {
		struct usblk_req *req = &ring->reqs[i];

		req->segs = calloc(segs, sizeof(*req->segs));
		req->iov = calloc(segs, sizeof(*req->iov));
		req->held = calloc(segs, sizeof(*req->held));
		req->mapped = calloc(segs, sizeof(*req->mapped));
		if (!req->segs || !req->iov || !req->held || !req->mapped)
			return -1;
		/* the last one given back is taken first: a synchronous image touches the memory of one request only */
		ring->free[ring->nr_free++] = req;
	}
	return 0;
}

struct usblk_ring *usblk_ring_create(const struct usblk_config *config)
{
	uint32_t segs = config->max_segments > USBLK_SEGMENTS_DIRECT ? config->max_segments : USBLK_SEGMENTS_DIRECT;
	struct usblk_ring *ring;

	if (!config->ring_pages || (config->ring_pages & (config->ring_pages - 1)) ||
	    config->ring_pages > USBLK_MAX_RING_PAGES ||
	    config->max_segments > USBLK_MAX_SEGMENTS || config->abi < 0 || config->abi > USBLK_ABI_32)
		return NULL;
	if (config->grant_mode == USBLK_GRANT_COPY && !config->grant_copy)
		return NULL;
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return NULL;
	ring->config = *config;
	ring->vbd = config->vbd;
	if (!ring->config.response_batch)
		ring->config.response_batch = 1;
	ring->shared = (struct sring *)config->ring;
	ring->layout = &usblk_layouts[config->abi];
	ring->size = (config->ring_pages * USBLK_PAGE_SIZE - (uint32_t)sizeof(struct sring)) / ring->layout->slot_size;
	while (ring->size & (ring->size - 1))	/* down to a power of two */
		ring->size &= ring->size - 1;
	ring->rsp_prod_pvt = ring->rsp_published = ring->req_cons =
		__atomic_load_n(&ring->shared->rsp_prod, __ATOMIC_ACQUIRE);
	ring->pending = (pending_fn *)config->channel_pending;
	ring->unmask = (port_fn *)config->channel_unmask;
	ring->wait = (pending_fn *)config->channel_wait;
	ring->notify = (port_fn *)config->channel_notify;
	ring->poller = (struct usblk_poller){ .max_ns = config->poll_us * 1000ull };
	ring->stop_fd = usblk_stop_create();
	ring->io = usblk_io_create((enum usblk_io_kind)config->io, config->vbd);
	ring->grants = usblk_grants_create(config, &ring->log.stats,
					   ring->io && ring->io->depth > 1 ? SEGMENTS_UNDER_WAY + segs : segs);
	if (ring->stop_fd < 0 || !ring->grants || !ring->io || create_requests(ring)) {
		usblk_ring_destroy(ring);
		return NULL;
	}
	return ring;
}

/* From another thread: let the ring look at what it is asked for. */
static void wake(struct usblk_ring *ring)
{
	usblk_stop_signal(ring->stop_fd);
	if (ring->wait)
		ring->notify((void *)ring->config.channel_handle, ring->config.channel_poke);
}

void usblk_ring_stop(struct usblk_ring *ring)
{
	__atomic_store_n(&ring->stopping, 1, __ATOMIC_RELAXED);
	wake(ring);
}

void usblk_ring_trim(struct usblk_ring *ring)
{
	if (!__atomic_load_n(&ring->log.stats.grants_mapped, __ATOMIC_RELAXED))
		return;	/* nothing to release: let it sleep */
	__atomic_store_n(&ring->trimming, 1, __ATOMIC_RELAXED);
	wake(ring);
}

void usblk_ring_release(struct usblk_ring *ring)
{
	for (uint32_t i = 0; ring->grants && ring->reqs && i < ring->nr_reqs; i++)
		usblk_grants_drop_buffer(ring->grants, &ring->reqs[i]);
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
	for (uint32_t i = 0; ring->reqs && i < ring->nr_reqs; i++) {
		free(ring->reqs[i].segs);
		free(ring->reqs[i].iov);
		free(ring->reqs[i].held);
		free(ring->reqs[i].mapped);
	}
	free(ring->reqs);
	free(ring->free);
	if (ring->stop_fd >= 0)
		usblk_stop_destroy(ring->stop_fd);
	free(ring);
}

/* looking on ------------------------------------------------------------------------------------------------------ */

const struct usblk_stats *usblk_ring_stats(const struct usblk_ring *ring)
{
	return &ring->log.stats;
}

int usblk_ring_io(const struct usblk_ring *ring)
{
	return __atomic_load_n(&ring->io->kind, __ATOMIC_RELAXED);
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
	return usblk_log_read(&ring->log, after, ret, max);
}
