/* SPDX-License-Identifier: MIT */
/*
 * Grants and the pages behind them, as blkfront keeps them: pages come from a list, those the backend keeps mapped are used again
 * first, and a reference that was given back is the next one used.
 */
#include "front.h"

#include <stdbool.h>
#include <stdlib.h>

enum { GTF_PERMIT = 1, GTF_READONLY = 4, GTF_IN_USE = 8 | 16 };

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

/* Whether the other domain has it mapped. */
static bool in_use(const uint8_t *ram, uint32_t ref)
{
	return __atomic_load_n((const uint32_t *)(ram + (size_t)ref * 8), __ATOMIC_ACQUIRE) & GTF_IN_USE;
}

/* A granted page; front_add_pages has seen to it that there is one. */
struct page page_take(front *f, bool read_only)
{
	struct page page = f->idle[f->idle_head];

	f->idle_head = (f->idle_head + 1) % f->nr_pages;
	f->nr_idle--;
	if (page.ref == NO_REF) {
		page.ref = f->free_refs[--f->nr_free_refs];
		front_grant(f->s.ram, page.ref, f->s.backend_domid, page.frame, read_only);
	} else if (!f->s.keep_grants) {
		f->nr_persistent--;
	}
	return page;
}

/* blkif_completion: false when the backend kept a page it had to give back. */
bool page_put(front *f, struct page page)
{
	if (f->s.keep_grants || front_revoke_one(f->s.ram, page.ref)) {
		f->nr_persistent += !f->s.keep_grants;
		f->nr_idle++;
		f->idle_head = (f->idle_head + f->nr_pages - 1) % f->nr_pages;
		f->idle[f->idle_head] = page;
		return f->disk->persistent || !in_use(f->s.ram, page.ref);
	}
	f->free_refs[f->nr_free_refs++] = page.ref;
	page.ref = NO_REF;
	f->idle[(f->idle_head + f->nr_idle++) % f->nr_pages] = page;
	return true;
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
