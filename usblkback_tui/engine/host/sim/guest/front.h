/* SPDX-License-Identifier: MIT */
/* What the parts of the block frontend know of each other: a queue, its slots and pages, and the work it is given. */
#ifndef USBLK_GUEST_FRONT_H
#define USBLK_GUEST_FRONT_H

#include "blkfront.h"
#include "pattern.h"
#include "ring.h"

#include <stdbool.h>
#include <stddef.h>

#define PAGE 4096U
#define SEGMENTS_PER_PAGE (PAGE / SEGMENT)
#define NO_REF 0xffffffffU

/* One page for data or indirect segments; 'ref' while the backend may see it. */
struct page {
	uint32_t frame;
	uint32_t ref;
};

/* One request to make. */
struct work {
	uint8_t op; /* READ, WRITE, FLUSH, BARRIER (with data or without) or DISCARD, also when it goes out as INDIRECT */
	bool durable; /* a write with FUA */
	bool secure;  /* a discard */
	uint64_t sector;
	uint64_t bytes; /* 0 for what concerns no block */
	uint64_t block; /* the first block it works on, counted in our stripe */
	uint32_t blocks;
};

/* What a slot of the ring carries. */
struct shadow {
	struct work work;
	bool pending;
	uint16_t pages; /* data pages */
	uint16_t indirect; /* indirect pages, after the data pages */
	uint16_t first_sect;
	uint32_t generation;
	uint64_t issued;
	struct page *used;
	uint32_t room; /* for pages in 'used' */
};

struct front {
	front_setup s;
	front_disk *disk;
	const struct layout *layout;
	uint32_t slots;
	uint32_t req_prod;
	uint32_t rsp_cons;
	int order;

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
	uint64_t blocks;      /* of load.block bytes in the span, those of all queues */
	uint64_t next_block;  /* in our stripe: sequential, and verify */
	uint64_t random;
	uint64_t due; /* when the rate allows the next request */
	uint32_t since_flush, since_fua, since_discard, since_secure;
	bool flush_owed; /* a durable write is done and not yet flushed */
	uint8_t *busy;	 /* one per block of our stripe */
	uint64_t now;

	front_note *notes;
	uint32_t granule;
	front_stats *stats;
};

static inline bool has_data(const struct work *work)
{
	return work->op == OP_READ || work->op == OP_WRITE || (work->op == OP_BARRIER && work->bytes);
}

static inline bool is_write(const struct work *work)
{
	return work->op != OP_READ && has_data(work);
}

static inline uint32_t disk_flag(const uint32_t *flag)
{
	return __atomic_load_n(flag, __ATOMIC_RELAXED);
}

/* pages.c */
struct page page_take(front *f, bool read_only);
bool page_put(front *f, struct page page);

static inline uint8_t *page_data(front *f, struct page page)
{
	return f->s.ram + (size_t)page.frame * PAGE;
}

/* notes.c */
uint32_t data_piece(const struct shadow *shadow, uint32_t page, uint32_t left);
void data_write(front *f, struct shadow *shadow);
void data_compare(front *f, const struct shadow *shadow);
void note_written(front *f, const struct shadow *shadow);
void note_forget(front *f, const struct work *work);

/* load.c */
uint64_t load_random(front *f);
bool load_begin(front *f, const front_load *load, int what);
bool load_next(front *f, struct work *work);
void load_busy(front *f, const struct work *work, bool busy);

#endif
