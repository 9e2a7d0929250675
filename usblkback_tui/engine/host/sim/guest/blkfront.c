/* SPDX-License-Identifier: MIT */
/*
 * The ring of one queue, as drivers/block/xen-blkfront.c drives it but for what front_setup says of other frontends: every response
 * is checked as blkif_interrupt checks it, and a backend that breaks the protocol on one queue is never listened to again on any.
 */
#define _GNU_SOURCE
#include "front.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>

_Static_assert(sizeof(front_book) <= FRONT_BOOK_BYTES, "the notes begin after the book");
_Static_assert(sizeof(front_stats) % 64 == 0 && offsetof(front_book, stats) % 64 == 0, "queues share no cache line");

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

/* Life ---------------------------------------------------------------------------------------------------------------- */

front *front_new(const front_setup *setup)
{
	front *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->s = *setup;
	f->disk = setup->disk;
	f->stats = &setup->book->stats[setup->queue];
	f->notes = (front_note *)((uint8_t *)setup->book + FRONT_BOOK_BYTES);
	f->granule = setup->book->granule;
	f->layout = setup->x86_32 ? &LAYOUT_32 : &LAYOUT_64;
	f->slots = 1;
	while (f->slots * 2 <= (setup->ring_pages * PAGE - RING_HEADER) / f->layout->slot && f->slots < FRONT_MAX_SLOTS)
		f->slots *= 2;
	for (uint32_t i = 0; i < f->slots; i++)
		f->free_slots[i] = (uint16_t)(f->slots - 1 - i);
	f->nr_free_slots = f->slots;
	return f;
}

void front_free(front *f)
{
	for (uint32_t i = 0; i < f->slots; i++)
		free(f->shadow[i].used);
	free(f->idle);
	free(f->free_refs);
	free(f);
}

uint32_t front_slots(front *f)
{
	return f->slots;
}

/*
 * Before a run: the slots that a load of so many requests at once will use can name so many pages each.  Slots are taken from a
 * stack, so those are the upper ones.  0, or -1 without memory.
 */
int front_reserve(front *f, uint32_t depth, uint32_t pages)
{
	for (uint32_t i = 0; i < depth && i < f->nr_free_slots; i++) {
		struct shadow *shadow = &f->shadow[f->free_slots[f->nr_free_slots - 1 - i]];
		struct page *used;

		if (shadow->room >= pages)
			continue;
		used = realloc(shadow->used, pages * sizeof(*used));
		if (!used)
			return -1;
		shadow->used = used;
		shadow->room = pages;
	}
	return 0;
}

/* From any thread: a running front_run looks at everything anew. */
void front_wake(front *f)
{
	(void)!eventfd_write(f->s.stop_fd, 1);
}

/* From any thread: what a running front_run is to do now. */
void front_order(front *f, int order)
{
	__atomic_store_n(&f->order, order, __ATOMIC_RELEASE);
	front_wake(f);
}

/* From any thread; queues that found nothing to do on a smaller disk are then to be woken. */
void front_resize(front_disk *disk, uint64_t sectors)
{
	__atomic_store_n(&disk->sectors, sectors, __ATOMIC_RELEASE);
}

/* Requests ------------------------------------------------------------------------------------------------------------ */

static uint8_t *slot_at(front *f, uint32_t index)
{
	return f->s.ring + RING_HEADER + (size_t)(index & (f->slots - 1)) * f->layout->slot;
}

static void put_segment(front *f, uint8_t *at, struct page page, uint32_t first, uint32_t bytes)
{
	put32(at, page.ref);
	at[4] = (uint8_t)(first / f->disk->unit);
	at[5] = (uint8_t)((first + bytes / SECTOR - 1) / f->disk->unit);
	put16(at + 6, 0);
}

static void put_request(front *f, struct shadow *shadow, uint16_t id)
{
	const struct layout *l = f->layout;
	const struct work *work = &shadow->work;
	uint8_t *slot = slot_at(f, f->req_prod++);
	uint8_t *segments = slot + l->segments;
	uint32_t left = (uint32_t)work->bytes;

	put64(slot + l->id, f->s.id_base + id * f->s.id_step);
	put64(slot + l->sector, work->sector / f->disk->unit);
	if (work->op == OP_DISCARD) {
		slot[0] = OP_DISCARD;
		slot[1] = work->secure ? DISCARD_SECURE : 0;
		put16(slot + 2, f->s.handle);
		put64(slot + l->discard_sectors, work->bytes / SECTOR / f->disk->unit);
		return;
	}
	if (shadow->indirect) {
		slot[0] = OP_INDIRECT;
		slot[1] = work->op;
		put16(slot + 2, shadow->pages);
		put16(slot + l->indirect_handle, f->s.handle);
		for (uint32_t i = 0; i < shadow->indirect; i++)
			put32(slot + l->indirect_refs + i * 4, shadow->used[shadow->pages + i].ref);
	} else {
		slot[0] = work->op;
		slot[1] = (uint8_t)shadow->pages;
		put16(slot + 2, f->s.handle);
	}
	for (uint32_t page = 0; page < shadow->pages; page++) {
		uint32_t bytes = data_piece(shadow, page, left);

		if (shadow->indirect && page % SEGMENTS_PER_PAGE == 0)
			segments = page_data(f, shadow->used[shadow->pages + page / SEGMENTS_PER_PAGE]);
		put_segment(f, segments, shadow->used[page], page ? 0 : shadow->first_sect, bytes);
		segments += SEGMENT;
		left -= bytes;
	}
}

static void take_pages(front *f, struct shadow *shadow)
{
	bool read_only = is_write(&shadow->work) && !f->disk->persistent && !f->s.keep_grants;
	uint32_t bytes = (uint32_t)shadow->work.bytes;

	/* A buffer smaller than a page may begin anywhere in it. */
	if (bytes < PAGE && !f->s.from_page_start)
		shadow->first_sect = (uint16_t)(load_random(f) % ((PAGE - bytes) / SECTOR + 1));
	shadow->pages = (uint16_t)((bytes + PAGE - 1) / PAGE);
	if (shadow->pages > DIRECT_SEGMENTS)
		shadow->indirect = (uint16_t)((shadow->pages + SEGMENTS_PER_PAGE - 1) / SEGMENTS_PER_PAGE);
	for (uint32_t i = 0; i < shadow->pages; i++)
		shadow->used[i] = page_take(f, read_only);
	for (uint32_t i = 0; i < shadow->indirect; i++)
		shadow->used[shadow->pages + i] = page_take(f, f->s.read_only_lists);
}

static void issue(front *f, const struct work *work)
{
	uint16_t id = f->free_slots[--f->nr_free_slots];
	struct shadow *shadow = &f->shadow[id];

	shadow->work = *work;
	shadow->pending = true;
	shadow->issued = f->now;
	shadow->first_sect = 0;
	shadow->pages = 0;
	shadow->indirect = 0;
	load_busy(f, work, true);
	if (has_data(work))
		take_pages(f, shadow);
	if (is_write(work) && f->load.verify)
		data_write(f, shadow);
	else if (is_write(work) || work->op == OP_DISCARD)
		note_forget(f, work);
	put_request(f, shadow, id);
	f->inflight++;
}

/* Make requests up to depth and rate; true when the only limit is the rate. */
static bool issue_all(front *f)
{
	uint64_t step = f->load.rate && f->what == FRONT_LOAD ? 1000000000ULL * f->load.queues / f->load.rate : 0;
	uint32_t old = f->req_prod;
	bool late = false;
	struct work work;

	/* After a stall, do not make up for more than one full depth. */
	if (step && f->now > f->due + step * f->load.depth)
		f->due = f->now - step * f->load.depth;
	while (f->inflight < f->load.depth && f->nr_free_slots) {
		if (step && f->now < f->due) {
			late = true;
			break;
		}
		if (!load_next(f, &work))
			break;
		issue(f, &work);
		f->due += step;
	}
	if (f->req_prod != old) {
		index_store(f->s.ring, RING_REQ_PROD, f->req_prod);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (f->s.always_notifies || f->req_prod - index_load(f->s.ring, RING_REQ_EVENT) < f->req_prod - old) {
			f->stats->notifies++;
			(void)!eventfd_write(f->s.notify_fd, 1);
		}
	}
	return late;
}

/* Responses ----------------------------------------------------------------------------------------------------------- */

static bool fault(front *f, int what, uint64_t id, uint64_t value)
{
	f->stats->fault_id = id;
	f->stats->fault_value = value;
	__atomic_store_n(&f->stats->fault, (uint64_t)what, __ATOMIC_RELEASE);
	__atomic_store_n(&f->disk->broken, 1, __ATOMIC_RELAXED);
	return false;
}

static void record_latency(front *f, uint64_t ns)
{
	uint32_t top = ns < 8 ? 3 : 63 - (uint32_t)__builtin_clzll(ns);
	uint32_t bucket = (top - 3) * 8 + (uint32_t)(ns >> (top - 3)) % 8;

	f->stats->latency[bucket < FRONT_BUCKETS ? bucket : FRONT_BUCKETS - 1]++;
}

static void count_good(front *f, const struct work *work)
{
	if (work->op == OP_READ) {
		f->stats->reads++;
		f->stats->bytes_read += work->bytes;
	} else if (is_write(work)) {
		f->stats->writes++;
		f->stats->bytes_written += work->bytes;
	} else if (work->op == OP_DISCARD) {
		f->stats->discards++;
	} else {
		f->stats->flushes++;
	}
}

static void finish(front *f, struct shadow *shadow, int16_t status)
{
	const struct work *work = &shadow->work;

	if (status == RSP_OKAY) {
		count_good(f, work);
		if (work->op == OP_READ && f->load.verify)
			data_compare(f, shadow);
		if (is_write(work) && f->load.verify)
			note_written(f, shadow);
		/* Without a barrier of its own, a durable write is followed by a flush. */
		f->flush_owed |= work->durable && work->op == OP_WRITE;
		return;
	}
	if (status == RSP_EOPNOTSUPP) {
		f->stats->unsupported++;
		if (work->op == OP_DISCARD) {
			__atomic_store_n(&f->disk->discard, 0, __ATOMIC_RELAXED);
			return;
		}
	}
	f->stats->errors++;
	/* An error to a flush or a barrier is "not supported" to Linux: it never flushes this disk again. */
	if (work->op == OP_FLUSH || work->op == OP_BARRIER)
		__atomic_store_n(&f->disk->flush, 0, __ATOMIC_RELAXED);
}

/* The slot whose request had this id; f->slots when there is none. */
static uint64_t slot_of(front *f, uint64_t id)
{
	uint64_t step = f->s.id_step, slot;

	if (!step)
		return id == f->s.id_base ? 0 : f->slots;
	slot = (id - f->s.id_base) / step;
	return id - f->s.id_base == slot * step && slot < f->slots ? slot : f->slots;
}

static bool respond(front *f, const uint8_t *rsp)
{
	struct shadow *shadow;
	uint64_t id, slot;
	int16_t status;
	bool good = true;
	uint32_t pages;

	memcpy(&id, rsp, sizeof(id));
	memcpy(&status, rsp + f->layout->rsp_status, sizeof(status));
	slot = slot_of(f, id);
	if (slot >= f->slots || !f->shadow[slot].pending)
		return fault(f, FAULT_ID, id, 0);
	shadow = &f->shadow[slot];
	if (rsp[f->layout->rsp_op] != shadow->work.op)
		return fault(f, FAULT_OPERATION, id, rsp[f->layout->rsp_op]);
	record_latency(f, f->now - shadow->issued);
	finish(f, shadow, status);
	pages = shadow->pages + shadow->indirect;
	for (uint32_t i = 0; i < pages; i++)
		good &= page_put(f, shadow->used[i]);
	load_busy(f, &shadow->work, false);
	shadow->pending = false;
	f->free_slots[f->nr_free_slots++] = (uint16_t)slot;
	f->inflight--;
	return good || fault(f, FAULT_GRANT, id, 0);
}

/* Take every response; false when the backend broke the protocol. */
static bool reap(front *f)
{
	uint32_t produced = index_load(f->s.ring, RING_RSP_PROD);

	if (produced - f->rsp_cons > f->inflight)
		return fault(f, FAULT_COUNT, 0, produced - f->rsp_cons);
	if (produced == f->rsp_cons)
		return true;
	f->now = clock_ns();
	while (f->rsp_cons != produced) {
		uint8_t rsp[16];

		memcpy(rsp, slot_at(f, f->rsp_cons++), 12);
		if (!respond(f, rsp))
			return false;
	}
	return true;
}

/* RING_FINAL_CHECK_FOR_RESPONSES */
static bool more_after_event(front *f)
{
	index_store(f->s.ring, RING_RSP_EVENT, f->rsp_cons + 1);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return index_load(f->s.ring, RING_RSP_PROD) != f->rsp_cons;
}

static void sleep_for_event(front *f, bool timed)
{
	struct pollfd fds[2] = { { .fd = f->s.event_fd, .events = POLLIN }, { .fd = f->s.stop_fd, .events = POLLIN } };
	struct timespec wait = { 0, 0 };
	eventfd_t count;

	if (f->load.spin) {
		__builtin_ia32_pause();
		return;
	}
	if (f->s.yields && f->inflight) {
		sched_yield();
		return;
	}
	if (!timed && f->inflight && more_after_event(f))
		return;
	if (timed) {
		uint64_t ns;

		if (more_after_event(f) && f->inflight)
			return;
		f->now = clock_ns();
		ns = f->due > f->now ? f->due - f->now : 0;
		wait.tv_sec = (time_t)(ns / 1000000000ULL);
		wait.tv_nsec = (long)(ns % 1000000000ULL);
	}
	if (ppoll(fds, 2, timed ? &wait : NULL, NULL) <= 0)
		return;
	f->stats->wakes++;
	if (fds[0].revents)
		(void)!eventfd_read(f->s.event_fd, &count);
	if (fds[1].revents)
		(void)!eventfd_read(f->s.stop_fd, &count);
}

/*
 * Make load, read everything noted back or flush, until ordered to stop; FRONT_DONE, FRONT_LEFT or FRONT_BROKEN.  The caller has seen
 * to it that depth * pages of a block are there (front_reserve, front_add_pages).  One thread at a time, without the GIL.
 */
int front_run(front *f, const front_load *load, int what)
{
	int result = FRONT_DONE;

	if (disk_flag(&f->disk->broken))
		return FRONT_BROKEN;
	if (f->inflight) /* left behind by an earlier run: the ring is over */
		return FRONT_LEFT;
	f->now = clock_ns();
	if (!load_begin(f, load, what))
		return FRONT_LEFT;
	for (;;) {
		int order = __atomic_load_n(&f->order, __ATOMIC_ACQUIRE);
		bool late = false;

		if (disk_flag(&f->disk->broken) || !reap(f)) {
			result = FRONT_BROKEN;
			break;
		}
		if (order == FRONT_LEAVE) {
			result = f->inflight ? FRONT_LEFT : FRONT_DONE;
			break;
		}
		if (order == FRONT_GO) {
			f->now = load->rate ? clock_ns() : f->now;
			late = issue_all(f);
		}
		f->stats->inflight = f->inflight;
		f->stats->persistent = f->nr_persistent;
		if (!f->inflight && (order == FRONT_DRAIN || what != FRONT_LOAD))
			break;
		if (index_load(f->s.ring, RING_RSP_PROD) == f->rsp_cons)
			sleep_for_event(f, late);
	}
	if (result == FRONT_DONE)
		(void)more_after_event(f); /* nothing is under way: as an interrupt handler leaves the ring */
	free(f->busy);
	f->busy = NULL;
	return result;
}
