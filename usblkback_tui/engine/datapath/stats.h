/* SPDX-License-Identifier: MIT */
/* Counters that one thread writes and others read: plain 64-bit stores, no locks. */
#ifndef USBLK_STATS_H
#define USBLK_STATS_H

#include "usblk.h"

static inline void stat_add(uint64_t *counter, uint64_t n)
{
	/* one writer, so no atomic addition; the store must not tear */
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline void stat_set(uint64_t *counter, uint64_t value)
{
	__atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

/* Four buckets to each power of two; the same arithmetic as latency.py. */
static inline unsigned int latency_bucket(uint64_t ns)
{
	unsigned int msb, index;

	if (ns < 4)
		return (unsigned int)ns;
	msb = 63 - (unsigned int)__builtin_clzll(ns);
	index = 4 * (msb - 1) + ((ns >> (msb - 2)) & 3);
	return index < USBLK_HIST_BUCKETS ? index : USBLK_HIST_BUCKETS - 1;
}

#endif
