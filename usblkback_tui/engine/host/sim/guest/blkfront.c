/* SPDX-License-Identifier: MIT */
/*
 * The ring and the load of one vbd, as drivers/block/xen-blkfront.c drives it: pages come from a list of grants, those the
 * backend keeps mapped are used again first; every response is checked as blkif_interrupt checks it, and a backend that
 * breaks the protocol is never listened to again.
 */
#define _GNU_SOURCE
#include "blkfront.h"
#include "pattern.h"
#include "ring.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>

_Static_assert(sizeof(front_book) <= FRONT_BOOK_BYTES, "the notes begin after the book");

#define PAGE 4096U
#define NO_REF 0xffffffffU
#define SEARCH 64 /* blocks to try for one that is not under way */

enum { GTF_PERMIT = 1, GTF_READONLY = 4, GTF_IN_USE = 8 | 16 };

/* One page for data or indirect segments; 'ref' while the backend may see it. */
struct page {
	uint32_t frame;
	uint32_t ref;
};

/* What a slot of the ring carries. */
struct shadow {
	uint8_t op; /* READ, WRITE, FLUSH, BARRIER or DISCARD, also when it goes out as INDIRECT */
	bool pending;
	uint16_t pages; /* data pages */
	uint16_t indirect; /* indirect pages, after the data pages */
	uint16_t first_sect;
	uint64_t sector;
	uint32_t bytes;
	uint32_t generation;
	uint64_t issued;
	struct page *used; /* room for FRONT_MAX_SEGMENTS + FRONT_MAX_INDIRECT */
};

struct front {
	front_setup s;
	const struct layout *layout;
	uint32_t slots;
	uint32_t req_prod;
	uint32_t rsp_cons;
	bool broken;
	int order;
	uint64_t sectors; /* changes under a running load */

	struct shadow shadow[FRONT_MAX_SLOTS];
	uint16_t free_slots[FRONT_MAX_SLOTS];
	uint32_t nr_free_slots;
	uint32_t inflight;

	/* A ring of idle pages: those with a mapped grant are put back in front, others at the end. */
	struct page *idle;
	uint32_t idle_head, nr_idle, nr_pages;
	uint32_t *free_refs; /* a stack: a ref that was just given back is the next one used, with another page */
	uint32_t nr_free_refs;
	uint32_t nr_persistent;

	/* The run. */
	front_load load;
	int what;
	uint64_t blocks;      /* of load.block bytes in the span */
	uint64_t next_block;  /* sequential, and verify */
	uint64_t random;
	uint64_t due; /* when the rate allows the next request */
	uint32_t since_flush, since_discard;
	uint8_t *busy; /* one per block */
	uint64_t now;

	front_note *notes;
	uint32_t granule;
	front_stats *stats;
};

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static uint64_t random_next(front *f)
{
	uint64_t x = f->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	f->random = x;
	return x * 0x2545f4914f6cdd1dULL >> 11;
}

/* Grants -------------------------------------------------------------------------------------------------------------- */

void front_grant(uint8_t *ram, uint32_t ref, uint16_t domid, uint32_t frame, int read_only)
{
	uint32_t *entry = (uint32_t *)(ram + (size_t)ref * 8);
	uint32_t flags = GTF_PERMIT | (read_only ? GTF_READONLY : 0);

	entry[1] = frame;
	__atomic_store_n(&entry[0], flags | (uint32_t)domid << 16, __ATOMIC_RELEASE);
}

/* 0, or -1 while the other domain has it mapped ("g.e. still in use"). */
int front_revoke_one(uint8_t *ram, uint32_t ref)
{
	uint32_t *entry = (uint32_t *)(ram + (size_t)ref * 8);
	uint32_t had = __atomic_load_n(entry, __ATOMIC_ACQUIRE);

	do {
		if (had & GTF_IN_USE)
			return -1;
	} while (!__atomic_compare_exchange_n(entry, &had, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	return 0;
}

static struct page take_page(front *f, bool read_only)
{
	struct page page = f->idle[f->idle_head];

	f->idle_head = (f->idle_head + 1) % f->nr_pages;
	f->nr_idle--;
	if (page.ref == NO_REF) {
		page.ref = f->free_refs[--f->nr_free_refs];
		front_grant(f->s.ram, page.ref, f->s.backend_domid, page.frame, read_only);
	} else {
		f->nr_persistent--;
	}
	return page;
}

/* blkif_completion: false when the backend kept a page it had to give back. */
static bool put_page(front *f, struct page page)
{
	if (front_revoke_one(f->s.ram, page.ref)) {
		f->nr_persistent++;
		f->nr_idle++;
		f->idle_head = (f->idle_head + f->nr_pages - 1) % f->nr_pages;
		f->idle[f->idle_head] = page;
		return f->s.persistent;
	}
	f->free_refs[f->nr_free_refs++] = page.ref;
	page.ref = NO_REF;
	f->idle[(f->idle_head + f->nr_idle++) % f->nr_pages] = page;
	return true;
}

static uint8_t *page_data(front *f, struct page page)
{
	return f->s.ram + (size_t)page.frame * PAGE;
}

/* Life ---------------------------------------------------------------------------------------------------------------- */

front *front_new(const front_setup *setup)
{
	front *f = calloc(1, sizeof(*f));
	uint32_t room = FRONT_MAX_SEGMENTS + FRONT_MAX_INDIRECT;
	struct page *used;

	if (!f)
		return NULL;
	f->s = *setup;
	f->sectors = setup->sectors;
	f->stats = &setup->book->stats;
	f->stats->fault = FAULT_NONE;
	f->stats->inflight = 0;
	f->stats->persistent = 0;
	f->notes = (front_note *)((uint8_t *)setup->book + FRONT_BOOK_BYTES);
	f->granule = setup->book->granule;
	f->layout = setup->x86_32 ? &LAYOUT_32 : &LAYOUT_64;
	f->slots = 1;
	while (f->slots * 2 <= (setup->ring_pages * PAGE - RING_HEADER) / f->layout->slot && f->slots < FRONT_MAX_SLOTS)
		f->slots *= 2;
	used = calloc((size_t)f->slots * room, sizeof(*used));
	if (!used) {
		free(f);
		return NULL;
	}
	for (uint32_t i = 0; i < f->slots; i++) {
		f->shadow[i].used = used + (size_t)i * room;
		f->free_slots[i] = (uint16_t)(f->slots - 1 - i);
	}
	f->nr_free_slots = f->slots;
	return f;
}

void front_free(front *f)
{
	free(f->shadow[0].used);
	free(f->idle);
	free(f->free_refs);
	free(f);
}

uint32_t front_slots(front *f)
{
	return f->slots;
}

/* Pages there are for data, idle or under way. */
uint32_t front_pages(front *f)
{
	return f->nr_pages;
}

/* Give it more pages and as many refs.  Only while no load runs.  0, or -1 without memory. */
int front_add_pages(front *f, uint32_t count, const uint32_t *frames, const uint32_t *refs)
{
	struct page *idle = malloc((f->nr_pages + count) * sizeof(*idle));
	uint32_t *free_refs = realloc(f->free_refs, (f->nr_pages + count) * sizeof(*free_refs));

	if (free_refs)
		f->free_refs = free_refs;
	if (!idle || !free_refs) {
		free(idle);
		return -1;
	}
	for (uint32_t i = 0; i < f->nr_idle; i++)
		idle[i] = f->idle[(f->idle_head + i) % f->nr_pages];
	for (uint32_t i = 0; i < count; i++) {
		idle[f->nr_idle++] = (struct page){ frames[i], NO_REF };
		f->free_refs[f->nr_free_refs++] = refs[i];
	}
	free(f->idle);
	f->idle = idle;
	f->idle_head = 0;
	f->nr_pages += count;
	return 0;
}

static uint32_t revoke_page(front *f, struct page page, uint32_t *refs, uint32_t *frames, uint32_t n)
{
	if (page.ref != NO_REF && front_revoke_one(f->s.ram, page.ref))
		return n;
	refs[n] = page.ref == NO_REF ? f->free_refs[--f->nr_free_refs] : page.ref;
	frames[n] = page.frame;
	return n + 1;
}

/*
 * End all access, as blkif_free does.  Both arrays have room for front_pages(); the number of pages given back, the others are
 * "still in use" and lost until the domain ends.
 */
uint32_t front_revoke(front *f, uint32_t *refs, uint32_t *frames)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < f->nr_idle; i++)
		n = revoke_page(f, f->idle[(f->idle_head + i) % f->nr_pages], refs, frames, n);
	for (uint32_t i = 0; i < f->slots; i++) {
		struct shadow *shadow = &f->shadow[i];

		for (int k = 0; shadow->pending && k < shadow->pages + shadow->indirect; k++)
			n = revoke_page(f, shadow->used[k], refs, frames, n);
		shadow->pending = false;
	}
	f->nr_idle = 0;
	f->nr_pages = 0;
	return n;
}

/* From any thread: what a running front_run is to do now.  The stop fd wakes it. */
void front_order(front *f, int order)
{
	__atomic_store_n(&f->order, order, __ATOMIC_RELEASE);
	(void)!eventfd_write(f->s.stop_fd, 1);
}

void front_resize(front *f, uint64_t sectors)
{
	__atomic_store_n(&f->sectors, sectors, __ATOMIC_RELEASE);
}

/* What the backend offers; only while no load runs. */
void front_features(front *f, int flush, int discard)
{
	f->s.flush = flush;
	f->s.discard = discard;
}

/* Notes --------------------------------------------------------------------------------------------------------------- */

void front_fill(uint8_t *at, uint32_t bytes, uint64_t sector, uint32_t generation)
{
	for (uint32_t done = 0; done < bytes; done += SECTOR)
		pattern_fill(at + done, sector + done / SECTOR, generation);
}

/* Whether a sector has the bytes of either generation; 0 stands for anything. */
int front_check(const uint8_t *at, uint64_t sector, uint32_t low, uint32_t high)
{
	if (pattern_is(at, sector, high) || (low != high && pattern_is(at, sector, low)))
		return 1;
	return !low;
}

static front_note *notes_of(front *f, const struct shadow *shadow, uint32_t *count)
{
	*count = shadow->bytes / f->granule;
	return f->notes + shadow->sector * SECTOR / f->granule;
}

static void note_write(front *f, struct shadow *shadow)
{
	uint32_t count;
	front_note *note = notes_of(f, shadow, &count);

	shadow->generation = ++f->s.book->generation;
	for (uint32_t i = 0; i < count; i++) {
		if (note[i].low != note[i].high)
			note[i].low = 0;
		note[i].high = shadow->generation;
	}
}

static void note_written(front *f, const struct shadow *shadow)
{
	uint32_t count;
	front_note *note = notes_of(f, shadow, &count);

	for (uint32_t i = 0; i < count; i++)
		note[i].low = shadow->generation;
}

static void note_discard(front *f, const struct shadow *shadow)
{
	uint32_t count;
	front_note *note = notes_of(f, shadow, &count);

	memset(note, 0, count * sizeof(*note));
}

/* Bytes of a request are spread over its pages: the first may begin at first_sect, the others at 0. */
static uint32_t piece(const struct shadow *shadow, uint32_t page, uint32_t left)
{
	uint32_t room = page ? PAGE : PAGE - shadow->first_sect * SECTOR;

	return left < room ? left : room;
}

static uint8_t *piece_data(front *f, const struct shadow *shadow, uint32_t page)
{
	return page_data(f, shadow->used[page]) + (page ? 0 : shadow->first_sect * SECTOR);
}

static void write_data(front *f, const struct shadow *shadow)
{
	uint64_t sector = shadow->sector;
	uint32_t left = shadow->bytes;

	for (uint32_t page = 0; page < shadow->pages; page++) {
		uint32_t bytes = piece(shadow, page, left);

		front_fill(piece_data(f, shadow, page), bytes, sector, shadow->generation);
		sector += bytes / SECTOR;
		left -= bytes;
	}
}

static void read_data(front *f, const struct shadow *shadow)
{
	uint32_t count, left = shadow->bytes, done = 0;
	const front_note *note = notes_of(f, shadow, &count);
	bool good = true;

	for (uint32_t page = 0; page < shadow->pages; page++) {
		uint32_t bytes = piece(shadow, page, left);
		const uint8_t *data = piece_data(f, shadow, page);

		for (uint32_t at = 0; at < bytes; at += SECTOR) {
			uint64_t sector = shadow->sector + done / SECTOR;
			front_note known = note[done / f->granule];

			if (known.high && !front_check(data + at, sector, known.low, known.high)) {
				good = false;
				f->stats->bad_sector = sector;
			}
			done += SECTOR;
			if (done % f->granule)
				continue;
			if (known.high) {
				f->stats->verified += good;
				f->stats->mismatches += !good;
			}
			good = true;
		}
		left -= bytes;
	}
}

/* Requests ------------------------------------------------------------------------------------------------------------ */

static uint8_t *slot_at(front *f, uint32_t index)
{
	return f->s.ring + RING_HEADER + (size_t)(index & (f->slots - 1)) * f->layout->slot;
}

static void put_segment(uint8_t *at, struct page page, uint32_t first, uint32_t bytes)
{
	put32(at, page.ref);
	at[4] = (uint8_t)first;
	at[5] = (uint8_t)(first + bytes / SECTOR - 1);
	put16(at + 6, 0);
}

static void put_request(front *f, struct shadow *shadow, uint16_t id)
{
	const struct layout *l = f->layout;
	uint8_t *slot = slot_at(f, f->req_prod++);
	uint8_t *segments = slot + l->segments;
	uint32_t left = shadow->bytes;

	put64(slot + l->id, id);
	put64(slot + l->sector, shadow->sector);
	if (shadow->op == OP_DISCARD) {
		slot[0] = OP_DISCARD;
		slot[1] = 0;
		put16(slot + 2, f->s.handle);
		put64(slot + l->discard_sectors, shadow->bytes / SECTOR);
		return;
	}
	if (shadow->indirect) {
		slot[0] = OP_INDIRECT;
		slot[1] = shadow->op;
		put16(slot + 2, shadow->pages);
		put16(slot + l->indirect_handle, f->s.handle);
		put32(slot + l->indirect_refs, shadow->used[shadow->pages].ref);
		segments = page_data(f, shadow->used[shadow->pages]);
	} else {
		slot[0] = shadow->op;
		slot[1] = (uint8_t)shadow->pages;
		put16(slot + 2, f->s.handle);
	}
	for (uint32_t page = 0; page < shadow->pages; page++) {
		uint32_t bytes = piece(shadow, page, left);

		put_segment(segments + page * SEGMENT, shadow->used[page], page ? 0 : shadow->first_sect, bytes);
		left -= bytes;
	}
}

static uint64_t block_of(front *f, const struct shadow *shadow)
{
	return shadow->sector * SECTOR / f->load.block;
}

/* Start a request for a block, or for nothing (a flush). */
static void issue(front *f, uint8_t op, uint64_t block)
{
	uint16_t id = f->free_slots[--f->nr_free_slots];
	struct shadow *shadow = &f->shadow[id];
	bool data = op == OP_READ || op == OP_WRITE;
	bool range = data || op == OP_DISCARD;

	shadow->op = op;
	shadow->pending = true;
	shadow->issued = f->now;
	shadow->sector = range ? block * (f->load.block / SECTOR) : 0;
	shadow->bytes = range ? f->load.block : 0;
	shadow->first_sect = 0;
	shadow->pages = 0;
	shadow->indirect = 0;
	if (range)
		f->busy[block] = 1;
	if (data) {
		/* A buffer smaller than a page may begin anywhere in it. */
		if (f->load.block < PAGE)
			shadow->first_sect = (uint16_t)(random_next(f) % ((PAGE - f->load.block) / SECTOR + 1));
		shadow->pages = (uint16_t)((f->load.block + PAGE - 1) / PAGE);
		shadow->indirect = shadow->pages > DIRECT_SEGMENTS;
		for (uint32_t i = 0; i < shadow->pages; i++)
			shadow->used[i] = take_page(f, op == OP_WRITE && !f->s.persistent);
		if (shadow->indirect)
			shadow->used[shadow->pages] = take_page(f, false);
	}
	if (f->load.verify && op == OP_WRITE) {
		note_write(f, shadow);
		write_data(f, shadow);
	} else if (op == OP_WRITE || op == OP_DISCARD) {
		note_discard(f, shadow);
	}
	put_request(f, shadow, id);
	f->inflight++;
}

/* A block nobody is working on; false when none was found soon. */
static bool pick_block(front *f, uint64_t *block)
{
	uint64_t limit = __atomic_load_n(&f->sectors, __ATOMIC_ACQUIRE) * SECTOR / f->load.block;

	if (limit > f->blocks)
		limit = f->blocks;
	if (!limit)
		return false;
	if (!f->load.sequential)
		f->next_block = random_next(f);
	for (int i = 0; i < SEARCH; i++) {
		*block = f->next_block++ % limit;
		if (!f->busy[*block])
			return true;
	}
	return false;
}

/* The next block that has something to compare; false at the end. */
static bool next_noted(front *f, uint64_t *block)
{
	uint64_t per_block = f->load.block / f->granule;

	for (; f->next_block < f->blocks; f->next_block++) {
		const front_note *note = f->notes + f->next_block * per_block;

		for (uint64_t i = 0; i < per_block; i++) {
			if (note[i].high) {
				*block = f->next_block++;
				return true;
			}
		}
	}
	return false;
}

static bool issue_next(front *f)
{
	uint64_t block;

	if (f->what == FRONT_VERIFY) {
		if (!next_noted(f, &block))
			return false;
		issue(f, OP_READ, block);
		return true;
	}
	if (f->s.flush && f->load.flush_every && f->since_flush >= f->load.flush_every) {
		f->since_flush = 0;
		issue(f, (uint8_t)f->s.flush, 0);
		return true;
	}
	if (!pick_block(f, &block))
		return false;
	if (f->s.discard && f->load.discard_every && f->since_discard >= f->load.discard_every) {
		f->since_discard = 0;
		issue(f, OP_DISCARD, block);
	} else if (f->s.read_only || random_next(f) % 100 < f->load.read_percent) {
		issue(f, OP_READ, block);
	} else {
		f->since_flush++;
		f->since_discard++;
		issue(f, OP_WRITE, block);
	}
	return true;
}

/* Make requests up to depth and rate; true when the only limit is the rate. */
static bool issue_all(front *f)
{
	uint64_t step = f->load.rate && f->what == FRONT_LOAD ? 1000000000ULL / f->load.rate : 0;
	uint32_t old = f->req_prod;
	bool late = false;

	/* After a stall, do not make up for more than one full depth. */
	if (step && f->now > f->due + step * f->load.depth)
		f->due = f->now - step * f->load.depth;
	while (f->inflight < f->load.depth && f->nr_free_slots) {
		if (step && f->now < f->due) {
			late = true;
			break;
		}
		if (!issue_next(f))
			break;
		f->due += step;
	}
	if (f->req_prod != old) {
		index_store(f->s.ring, RING_REQ_PROD, f->req_prod);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (f->req_prod - index_load(f->s.ring, RING_REQ_EVENT) < f->req_prod - old) {
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
	f->broken = true;
	return false;
}

static void record_latency(front *f, uint64_t ns)
{
	uint32_t top = ns < 8 ? 3 : 63 - (uint32_t)__builtin_clzll(ns);
	uint32_t bucket = (top - 3) * 8 + (uint32_t)(ns >> (top - 3)) % 8;

	f->stats->latency[bucket < FRONT_BUCKETS ? bucket : FRONT_BUCKETS - 1]++;
}

static void count_good(front *f, const struct shadow *shadow)
{
	switch (shadow->op) {
	case OP_READ:
		f->stats->reads++;
		f->stats->bytes_read += shadow->bytes;
		break;
	case OP_WRITE:
		f->stats->writes++;
		f->stats->bytes_written += shadow->bytes;
		break;
	case OP_DISCARD:
		f->stats->discards++;
		break;
	default:
		f->stats->flushes++;
	}
}

static void finish(front *f, struct shadow *shadow, int16_t status)
{
	if (status == RSP_OKAY) {
		count_good(f, shadow);
		if (shadow->op == OP_READ && f->load.verify)
			read_data(f, shadow);
		if (shadow->op == OP_WRITE && f->load.verify)
			note_written(f, shadow);
		return;
	}
	if (status == RSP_EOPNOTSUPP) {
		f->stats->unsupported++;
		if (shadow->op == OP_DISCARD) {
			f->s.discard = 0;
			return;
		}
	}
	f->stats->errors++;
	/* An error to an empty flush is "not supported" to Linux: it never flushes again. */
	if (shadow->op == OP_FLUSH || shadow->op == OP_BARRIER)
		f->s.flush = 0;
}

static bool respond(front *f, const uint8_t *rsp)
{
	struct shadow *shadow;
	uint64_t id;
	int16_t status;
	bool good = true;
	uint32_t pages;

	memcpy(&id, rsp, sizeof(id));
	memcpy(&status, rsp + f->layout->rsp_status, sizeof(status));
	if (id >= f->slots || !f->shadow[id].pending)
		return fault(f, FAULT_ID, id, 0);
	shadow = &f->shadow[id];
	if (rsp[f->layout->rsp_op] != shadow->op)
		return fault(f, FAULT_OPERATION, id, rsp[f->layout->rsp_op]);
	record_latency(f, f->now - shadow->issued);
	finish(f, shadow, status);
	pages = shadow->pages + shadow->indirect;
	for (uint32_t i = 0; i < pages; i++)
		good &= put_page(f, shadow->used[i]);
	if (shadow->bytes)
		f->busy[block_of(f, shadow)] = 0;
	shadow->pending = false;
	f->free_slots[f->nr_free_slots++] = (uint16_t)id;
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

static bool begin(front *f, const front_load *load, int what)
{
	uint64_t noted;
	uint64_t span = f->sectors * SECTOR;

	f->granule = f->s.book->granule;
	noted = f->s.nr_notes * f->granule;
	f->load = *load;
	f->what = what;
	/* A load may follow a disk that grows; what is read back is there now. */
	if (span > noted || what == FRONT_LOAD)
		span = noted;
	if (load->span && what == FRONT_LOAD && span > load->span)
		span = load->span;
	f->blocks = span / load->block;
	f->next_block = 0;
	f->random = load->seed * 2 + 1;
	f->now = clock_ns();
	f->due = f->now;
	f->busy = calloc(f->blocks + 1, 1);
	return f->busy;
}

/*
 * Make load, or read everything noted back, until ordered to stop; FRONT_DONE, FRONT_LEFT or FRONT_BROKEN.  The caller has seen
 * to it that depth * pages of a block are there.  One thread at a time, without the GIL.
 */
int front_run(front *f, const front_load *load, int what)
{
	int result = FRONT_DONE;

	if (f->broken)
		return FRONT_BROKEN;
	if (f->inflight) /* left behind by an earlier run: the ring is over */
		return FRONT_LEFT;
	if (!begin(f, load, what))
		return FRONT_LEFT;
	for (;;) {
		int order = __atomic_load_n(&f->order, __ATOMIC_ACQUIRE);
		bool late = false;

		if (!reap(f)) {
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
		if (!f->inflight && (order == FRONT_DRAIN || what == FRONT_VERIFY))
			break;
		if (index_load(f->s.ring, RING_RSP_PROD) == f->rsp_cons)
			sleep_for_event(f, late);
	}
	free(f->busy);
	f->busy = NULL;
	return result;
}
