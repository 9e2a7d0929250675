/* SPDX-License-Identifier: MIT */
/*
 * The blkif ring by byte offsets, for both layouts.  x86_32 aligns 64-bit members to 4, so everything from 'id' on sits
 * four bytes earlier.  Source: xen/include/public/io/{ring,blkif}.h.
 */
#ifndef USBLK_GUEST_RING_H
#define USBLK_GUEST_RING_H

#include <stdint.h>
#include <string.h>

enum {
	RING_REQ_PROD = 0,
	RING_REQ_EVENT = 4,
	RING_RSP_PROD = 8,
	RING_RSP_EVENT = 12,
	RING_HEADER = 64,

	OP_READ = 0,
	OP_WRITE = 1,
	OP_BARRIER = 2,
	OP_FLUSH = 3,
	OP_DISCARD = 5,
	OP_INDIRECT = 6,

	DISCARD_SECURE = 1, /* the flag of a discard */

	RSP_OKAY = 0,
	RSP_ERROR = -1,
	RSP_EOPNOTSUPP = -2,

	DIRECT_SEGMENTS = 11,
	SEGMENT = 8, /* gref, first_sect, last_sect, padding */
};

/* Where things are in a slot. */
struct layout {
	uint32_t slot;
	uint32_t id;
	uint32_t sector;
	uint32_t segments;
	uint32_t discard_sectors;
	uint32_t indirect_handle;
	uint32_t indirect_refs;
	uint32_t rsp_op;
	uint32_t rsp_status;
};

static const struct layout LAYOUT_64 = { 112, 8, 16, 24, 24, 24, 28, 8, 10 };
static const struct layout LAYOUT_32 = { 108, 4, 12, 20, 20, 20, 24, 8, 10 };

static inline void put16(uint8_t *at, uint16_t value)
{
	memcpy(at, &value, sizeof(value));
}

static inline void put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

static inline void put64(uint8_t *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
}

static inline uint32_t index_load(const uint8_t *ring, int which)
{
	return __atomic_load_n((const uint32_t *)(ring + which), __ATOMIC_ACQUIRE);
}

static inline void index_store(uint8_t *ring, int which, uint32_t value)
{
	__atomic_store_n((uint32_t *)(ring + which), value, __ATOMIC_RELEASE);
}

#endif
