/* SPDX-License-Identifier: MIT */
/* What is written and what must be read back: the bytes of requests, and the notes on them. */
#include "front.h"

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

/* The notes of all granules that a request touches, also in part. */
static front_note *notes_of(front *f, const struct work *work, uint64_t *count)
{
	uint64_t first = work->sector * SECTOR / f->granule;
	uint64_t end = (work->sector * SECTOR + work->bytes + f->granule - 1) / f->granule;

	*count = end - first;
	return f->notes + first;
}

/* All queues of a disk draw from one counter; 0 means unknown and is nobody's. */
static uint32_t next_generation(front *f)
{
	uint32_t generation;

	do
		generation = __atomic_add_fetch(&f->s.book->generation, 1, __ATOMIC_RELAXED);
	while (!generation);
	return generation;
}

static void note_write(front *f, struct shadow *shadow)
{
	uint64_t count;
	front_note *note = notes_of(f, &shadow->work, &count);

	shadow->generation = next_generation(f);
	for (uint64_t i = 0; i < count; i++) {
		if (note[i].low != note[i].high)
			note[i].low = 0;
		note[i].high = shadow->generation;
	}
}

/* The write was confirmed. */
void note_written(front *f, const struct shadow *shadow)
{
	uint64_t count;
	front_note *note = notes_of(f, &shadow->work, &count);

	for (uint64_t i = 0; i < count; i++)
		note[i].low = shadow->generation;
}

/* Nothing is known of these bytes any more. */
void note_forget(front *f, const struct work *work)
{
	uint64_t count;
	front_note *note = notes_of(f, work, &count);

	memset(note, 0, count * sizeof(*note));
}

/* Bytes of a request are spread over its pages: the first may begin at first_sect, the others at 0. */
uint32_t data_piece(const struct shadow *shadow, uint32_t page, uint32_t left)
{
	uint32_t room = page ? PAGE : PAGE - shadow->first_sect * SECTOR;

	return left < room ? left : room;
}

static uint8_t *piece_at(front *f, const struct shadow *shadow, uint32_t page)
{
	return page_data(f, shadow->used[page]) + (page ? 0 : shadow->first_sect * SECTOR);
}

/* Note a write and put its bytes into its pages. */
void data_write(front *f, struct shadow *shadow)
{
	uint64_t sector = shadow->work.sector;
	uint32_t left = (uint32_t)shadow->work.bytes;

	note_write(f, shadow);
	for (uint32_t page = 0; page < shadow->pages; page++) {
		uint32_t bytes = data_piece(shadow, page, left);

		front_fill(piece_at(f, shadow, page), bytes, sector, shadow->generation);
		sector += bytes / SECTOR;
		left -= bytes;
	}
}

/* Hold what was read against the notes. */
void data_compare(front *f, const struct shadow *shadow)
{
	uint64_t count;
	uint32_t left = (uint32_t)shadow->work.bytes, done = 0;
	const front_note *note = notes_of(f, &shadow->work, &count);
	bool good = true;

	for (uint32_t page = 0; page < shadow->pages; page++) {
		uint32_t bytes = data_piece(shadow, page, left);
		const uint8_t *data = piece_at(f, shadow, page);

		for (uint32_t at = 0; at < bytes; at += SECTOR) {
			uint64_t sector = shadow->work.sector + done / SECTOR;
			front_note known = note[done / f->granule];

			if (known.high && !front_check(data + at, sector, known.low, known.high)) {
				good = false;
				__atomic_store_n(&f->s.book->bad_sector, sector, __ATOMIC_RELAXED);
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
