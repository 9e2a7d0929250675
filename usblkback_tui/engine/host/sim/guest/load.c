/* SPDX-License-Identifier: MIT */
/* Which request a queue makes next: the load of its stripe of the disk, or the reading back of it. */
#include "front.h"

#include <stdlib.h>

#define SEARCH 64 /* blocks to try for one that is not under way */

uint64_t load_random(front *f)
{
	uint64_t x = f->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	f->random = x;
	return x * 0x2545f4914f6cdd1dULL >> 11;
}

/* Stripes ------------------------------------------------------------------------------------------------------------- */

/* How many of the disk's first 'blocks' blocks are in our stripe. */
static uint64_t stripe_size(const front_load *l, uint64_t blocks)
{
	uint64_t chunks, mine, rest;

	if (l->queues == 1)
		return blocks;
	chunks = blocks / l->chunk;
	rest = blocks % l->chunk;
	mine = chunks / l->queues + (l->queue < chunks % l->queues);
	return mine * l->chunk + (l->queue == chunks % l->queues ? rest : 0);
}

/* The disk's block that is the given one of our stripe. */
static uint64_t stripe_block(const front_load *l, uint64_t block)
{
	if (l->queues == 1)
		return block;
	return (block / l->chunk * l->queues + l->queue) * l->chunk + block % l->chunk;
}

/* Blocks of the span that are there: the disk may have another size since the run began. */
static uint64_t blocks_now(front *f)
{
	uint64_t blocks = __atomic_load_n(&f->disk->sectors, __ATOMIC_ACQUIRE) * SECTOR / f->load.block;

	return blocks < f->blocks ? blocks : f->blocks;
}

void load_busy(front *f, const struct work *work, bool busy)
{
	memset(f->busy + work->block, busy, work->blocks);
}

/* Begin a run; false without memory. */
bool load_begin(front *f, const front_load *load, int what)
{
	uint64_t noted;
	uint64_t span = __atomic_load_n(&f->disk->sectors, __ATOMIC_ACQUIRE) * SECTOR;
	uint64_t step = load->rate ? 1000000000ULL / load->rate : 0;

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
	f->random = (load->seed + load->queue * 0x9e3779b97f4a7c15ULL) * 2 + 1;
	f->due = f->now + step * load->queue;
	f->flush_owed = false;
	f->busy = calloc(stripe_size(load, f->blocks) + 1, 1);
	return f->busy;
}

/* Requests ------------------------------------------------------------------------------------------------------------ */

static void one_block(front *f, struct work *work, uint8_t op, uint64_t block)
{
	*work = (struct work){
		.op = op,
		.sector = stripe_block(&f->load, block) * (f->load.block / SECTOR),
		.bytes = f->load.block,
		.block = block,
		.blocks = 1,
	};
}

/* A block of our stripe that nobody is working on; false when none was found soon. */
static bool pick_block(front *f, uint64_t *block)
{
	uint64_t limit = stripe_size(&f->load, blocks_now(f));

	if (!limit)
		return false;
	if (!f->load.sequential)
		f->next_block = load_random(f);
	for (int i = 0; i < SEARCH; i++) {
		*block = f->next_block++ % limit;
		if (!f->busy[*block])
			return true;
	}
	return false;
}

/* The next block of our stripe that has something to compare; false at the end. */
static bool next_noted(front *f, uint64_t *block)
{
	uint64_t per_block = f->load.block / f->granule;
	uint64_t end = stripe_size(&f->load, f->blocks);

	while (f->next_block < end) {
		const front_note *note = f->notes + stripe_block(&f->load, f->next_block) * per_block;

		*block = f->next_block++;
		for (uint64_t i = 0; i < per_block; i++) {
			if (note[i].high)
				return true;
		}
	}
	return false;
}

/*
 * A discard near a block: units of the granularity, counted from the alignment, of which one fits into the chunk; false when the
 * chunk has none there or somebody works on a block of it.
 */
static bool discard_near(front *f, uint64_t block, struct work *work)
{
	uint64_t unit = f->disk->discard_granularity, offset = f->disk->discard_alignment;
	uint64_t per_block = f->load.block / SECTOR;
	uint64_t in_chunk = block % f->load.chunk;
	uint64_t start = stripe_block(&f->load, block) * per_block;
	uint64_t chunk = start - in_chunk * per_block;
	uint64_t end = chunk + f->load.chunk * per_block;
	uint64_t limit = blocks_now(f) * per_block;
	uint64_t count = per_block > unit ? per_block / unit * unit : unit;
	uint64_t first;

	if (end > limit)
		end = limit;
	first = start < offset ? offset : start - (start - offset) % unit;
	if (first < chunk)
		first += unit;
	if (first > end || count > end - first)
		return false;
	work->op = OP_DISCARD;
	work->sector = first;
	work->bytes = count * SECTOR;
	work->block = block - in_chunk + (first - chunk) / per_block;
	work->blocks = (uint32_t)((first - chunk + count - 1) / per_block - (first - chunk) / per_block + 1);
	for (uint32_t i = 0; i < work->blocks; i++) {
		if (f->busy[work->block + i])
			return false;
	}
	work->secure = disk_flag(&f->disk->secure) && f->load.secure_every && f->since_secure + 1 >= f->load.secure_every;
	return true;
}

static bool due(uint32_t since, uint32_t every)
{
	return every && since >= every;
}

static void next_write(front *f, uint64_t block, struct work *work)
{
	one_block(f, work, OP_WRITE, block);
	f->since_flush++;
	f->since_discard++;
	if (!due(++f->since_fua, f->load.fua_every))
		return;
	f->since_fua = 0;
	work->durable = true;
	/* Where a barrier is all there is, it is one with data; there are no indirect ones. */
	if (disk_flag(&f->disk->flush) == OP_BARRIER && work->bytes <= DIRECT_SEGMENTS * PAGE)
		work->op = OP_BARRIER;
}

/* The barrier and the flush of a FRONT_FLUSH, each once; false when they are made. */
static bool next_flush(front *f, struct work *work)
{
	uint64_t step = f->next_block++;

	if (step == 0 && f->s.sync_barrier && f->disk->barrier) {
		work->op = OP_BARRIER;
		return true;
	}
	if (step == 0)
		f->next_block++;
	work->op = (uint8_t)disk_flag(&f->disk->flush);
	return step <= 1 && work->op;
}

/* What to ask for now; false when there is nothing. */
bool load_next(front *f, struct work *work)
{
	uint32_t flush = disk_flag(&f->disk->flush);
	uint64_t block;

	*work = (struct work){ 0 };
	if (f->what == FRONT_FLUSH)
		return next_flush(f, work);
	if (f->what == FRONT_VERIFY) {
		if (!next_noted(f, &block))
			return false;
		one_block(f, work, OP_READ, block);
		return true;
	}
	if (flush && (f->flush_owed || due(f->since_flush, f->load.flush_every))) {
		f->flush_owed = false;
		f->since_flush = 0;
		work->op = (uint8_t)flush;
		return true;
	}
	if (!pick_block(f, &block))
		return false;
	if (disk_flag(&f->disk->discard) && due(f->since_discard, f->load.discard_every) && discard_near(f, block, work)) {
		f->since_discard = 0;
		f->since_secure = work->secure ? 0 : f->since_secure + 1;
	} else if (f->disk->read_only || load_random(f) % 100 < f->load.read_percent) {
		one_block(f, work, OP_READ, block);
	} else {
		next_write(f, block, work);
	}
	return true;
}
