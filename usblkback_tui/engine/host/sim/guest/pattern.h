/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a written sector: 64 words that each depend on the sector's number, the write's generation and the word's place,
 * so a sector that is old, torn, shifted or someone else's is found.
 */
#ifndef USBLK_GUEST_PATTERN_H
#define USBLK_GUEST_PATTERN_H

#include <stdint.h>
#include <string.h>

#define SECTOR 512U
#define SECTOR_WORDS (SECTOR / 8)

static inline uint64_t pattern_base(uint64_t sector, uint32_t generation)
{
	uint64_t x = (sector + 1) * 0x9e3779b97f4a7c15ULL ^ (uint64_t)generation * 0xd1b54a32d192ed03ULL;

	x ^= x >> 29;
	return x * 0xbf58476d1ce4e5b9ULL;
}

static inline void pattern_fill(uint8_t *at, uint64_t sector, uint32_t generation)
{
	uint64_t base = pattern_base(sector, generation);
	uint64_t *words = (uint64_t *)at;

	for (uint64_t i = 0; i < SECTOR_WORDS; i++)
		words[i] = base + i * 0x2545f4914f6cdd1dULL;
}

static inline int pattern_is(const uint8_t *at, uint64_t sector, uint32_t generation)
{
	uint64_t base = pattern_base(sector, generation);
	const uint64_t *words = (const uint64_t *)at;
	uint64_t differs = 0;

	for (uint64_t i = 0; i < SECTOR_WORDS; i++)
		differs |= words[i] ^ (base + i * 0x2545f4914f6cdd1dULL);
	return !differs;
}

#endif
