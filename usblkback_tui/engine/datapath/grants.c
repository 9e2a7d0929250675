// SPDX-License-Identifier: MIT
/*
 * A guest's pages in our memory, in one of three ways:
 *
 *   persistent  a page stays mapped after the request, because both ends agreed that the frontend will not take it back;
 *               looked up by grant reference; to stay within the budgets one that was not used lately is unmapped
 *   copy        the hypervisor copies between the page and a buffer of ours; nothing is ever mapped
 *   map         all pages of a request are mapped side by side and unmapped before it is answered; where a page must not
 *               be mapped twice at a time, they are looked up as persistent ones are, and none is kept
 *
 * Pages we only read from are mapped read-only where the frontend may have granted them so.  Each page mapped is counted
 * and must be unmapped once: usblk_stats.maps == unmaps + grants_mapped.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "stats.h"
#include "usblk.h"

#define NONE (-1)

/* xengnttab_grant_copy_segment_t (xengnttab.h) */
union copy_ptr {
	void *virt;
	struct {
		uint32_t ref;
		uint16_t offset;
		uint16_t domid;
	} foreign;
};

struct copy_segment {
	union copy_ptr source, dest;
	uint16_t len, flags;
	int16_t status;
};

enum { COPY_SOURCE_GREF = 1, COPY_DEST_GREF = 2 };

typedef void *map_fn(void *handle, uint32_t count, uint32_t domid, uint32_t *refs, int prot);
typedef int unmap_fn(void *handle, void *start, uint32_t count);
typedef int copy_fn(void *handle, uint32_t count, struct copy_segment *segs);

struct entry {
	uint32_t gref;
	int32_t next;		/* in its hash chain, or in the free list */
	void *page;
	int32_t newer, older;	/* in the queue */
	uint32_t in_use;
	uint16_t idle;		/* trims it has seen since it was used, as far as `used` has been looked at */
	bool kept : 1;		/* counted in the budgets: stays when nobody uses it any more */
	bool writable : 1;
	bool used;		/* since it was looked at last; all that a lookup leaves behind */
};

struct usblk_grants {
	void *handle;
	map_fn *map;
	unmap_fn *unmap;
	copy_fn *copy;
	uint32_t domid;
	int mode;
	bool cached;			/* pages are looked up by reference, kept or not */
	uint32_t max_map_pages;
	struct usblk_stats *stats;

	uint32_t *refs;			/* room for one request */
	struct copy_segment *copies;
	size_t buffered, max_buffered;	/* bytes of all requests' copy buffers */

	struct entry *entries;
	int32_t *buckets;
	uint32_t bucket_mask;
	uint32_t nr_entries, nr_cached;
	uint32_t nr_kept, max_kept;
	struct usblk_budget *budget;	/* of the process */
	uint32_t idle_trims;
	int32_t free, newest, oldest;
};

/* mapping --------------------------------------------------------------------------------------------------------- */

static void *map_pages(struct usblk_grants *grants, uint32_t *refs, uint32_t nr, bool writable)
{
	int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
	void *pages = grants->map(grants->handle, nr, grants->domid, refs, prot);

	if (!pages)
		return NULL;
	stat_add(&grants->stats->maps, nr);
	stat_add(&grants->stats->grants_mapped, nr);
	return pages;
}

static void unmap_pages(struct usblk_grants *grants, void *pages, uint32_t nr)
{
	if (grants->unmap(grants->handle, pages, nr)) {
		stat_add(&grants->stats->unmap_errors, 1);
		return;
	}
	stat_add(&grants->stats->unmaps, nr);
	stat_add(&grants->stats->grants_mapped, -(uint64_t)nr);
}

/* the persistent cache -------------------------------------------------------------------------------------------- */

/* Guests number their grants densely, so the number itself spreads them best; who does not, slows his own disk down. */
static int32_t *bucket_of(struct usblk_grants *grants, uint32_t gref)
{
	return &grants->buckets[gref & grants->bucket_mask];
}

static void queue_remove(struct usblk_grants *grants, int32_t i)
{
	struct entry *e = &grants->entries[i];

	if (e->newer == NONE)
		grants->newest = e->older;
	else
		grants->entries[e->newer].older = e->older;
	if (e->older == NONE)
		grants->oldest = e->newer;
	else
		grants->entries[e->older].newer = e->newer;
}

static void queue_add(struct usblk_grants *grants, int32_t i)
{
	struct entry *e = &grants->entries[i];

	e->newer = NONE;
	e->older = grants->newest;
	if (grants->newest == NONE)
		grants->oldest = i;
	else
		grants->entries[grants->newest].newer = i;
	grants->newest = i;
}

static void cache_drop(struct usblk_grants *grants, int32_t i)
{
	struct entry *e = &grants->entries[i];
	int32_t *link = bucket_of(grants, e->gref);

	while (*link != i)
		link = &grants->entries[*link].next;
	*link = e->next;
	queue_remove(grants, i);
	if (e->kept) {
		grants->nr_kept--;
		usblk_budget_give(grants->budget);
	}
	unmap_pages(grants, e->page, 1);
	e->next = grants->free;
	grants->free = i;
	grants->nr_cached--;
}

static int32_t cache_find(struct usblk_grants *grants, uint32_t gref)
{
	int32_t i = *bucket_of(grants, gref);

	while (i != NONE && grants->entries[i].gref != gref)
		i = grants->entries[i].next;
	return i;
}

/* Take notice of its having been used. */
static void look(struct entry *e)
{
	if (e->used || e->in_use)
		e->idle = 0;
	e->used = false;
}

/*
 * Unmap up to `nr` pages that nobody uses; how many it were.  Those used since they were queued have a second chance at the
 * end of the queue, which comes close to the least recently used ones and costs a lookup nothing but a flag.
 */
static uint32_t cache_evict(struct usblk_grants *grants, uint32_t nr)
{
	int32_t i = grants->oldest;
	uint32_t done = 0;

	/* after a chance for each, no flag is set: twice around is enough */
	for (uint32_t left = 2 * grants->nr_cached; done < nr && left && i != NONE; left--) {
		struct entry *e = &grants->entries[i];
		int32_t newer = e->newer;

		if (!e->in_use && !e->used) {
			cache_drop(grants, i);
			done++;
		} else {
			look(e);
			queue_remove(grants, i);
			queue_add(grants, i);
		}
		i = newer == NONE ? grants->oldest : newer;
	}
	stat_add(&grants->stats->evictions, done);
	return done;
}

/* Whether one more page may be kept; another one makes room if it must. */
static bool cache_may_keep(struct usblk_grants *grants)
{
	if (!grants->max_kept)
		return false;
	if (grants->nr_kept < grants->max_kept && usblk_budget_take(grants->budget))
		return true;
	return cache_evict(grants, 1) && usblk_budget_take(grants->budget);
}

static int32_t cache_insert(struct usblk_grants *grants, uint32_t gref, bool from_guest)
{
	bool persistent = grants->mode == USBLK_GRANT_PERSISTENT, writable = persistent || !from_guest;
	struct entry *e;
	int32_t i, *bucket;
	void *page;
	bool kept;

	kept = cache_may_keep(grants);
	if (grants->free == NONE)
		cache_evict(grants, 1);
	page = grants->free == NONE ? NULL : map_pages(grants, &gref, 1, writable);
	if (!page && grants->nr_cached && cache_evict(grants, (grants->nr_cached + 1) / 2))
		/* perhaps the host has no room for one more mapping: try again with fewer of our own */
		page = map_pages(grants, &gref, 1, writable);
	if (!page && writable && from_guest && grants->free != NONE) {	/* data a frontend granted read-only */
		writable = false;
		page = map_pages(grants, &gref, 1, false);
	}
	if (!page) {
		if (kept)
			usblk_budget_give(grants->budget);
		return NONE;
	}
	i = grants->free;
	e = &grants->entries[i];
	grants->free = e->next;
	bucket = bucket_of(grants, gref);
	*e = (struct entry){ .gref = gref, .writable = writable, .kept = kept, .page = page, .next = *bucket };
	*bucket = i;
	queue_add(grants, i);
	grants->nr_cached++;
	grants->nr_kept += kept;
	return i;
}

/* What is found for a reference, if anything, does not serve: map it, or map it anew. */
static int32_t cache_replace(struct usblk_grants *grants, int32_t found, uint32_t gref, bool from_guest)
{
	if (found != NONE) {
		if (grants->entries[found].in_use)
			return NONE;
		cache_drop(grants, found);
	}
	return cache_insert(grants, gref, from_guest);
}

/* The mapped page of a reference, held until cache_release(). */
static inline int32_t cache_hold(struct usblk_grants *grants, uint32_t gref, bool from_guest)
{
	int32_t i = cache_find(grants, gref);
	struct entry *e;

	if (i == NONE || (!grants->entries[i].writable && !from_guest)) {
		i = cache_replace(grants, i, gref, from_guest);
		if (i == NONE)
			return NONE;
		e = &grants->entries[i];
	} else {
		e = &grants->entries[i];
		e->used = true;
	}
	e->in_use++;
	return i;
}

static inline void cache_release(struct usblk_grants *grants, int32_t i)
{
	if (!--grants->entries[i].in_use && !grants->entries[i].kept)
		cache_drop(grants, i);
}

static void cache_release_all(struct usblk_grants *grants, struct usblk_req *req)
{
	for (uint32_t i = 0; i < req->nr_held; i++)
		cache_release(grants, req->held[i]);
	req->nr_held = 0;
}

static int cache_init(struct usblk_grants *grants, uint32_t max_kept, uint32_t in_flight)
{
	uint32_t buckets = 64;

	/* requests may hold more pages than may be kept */
	grants->nr_entries = max_kept + in_flight;
	grants->max_kept = max_kept;
	while (buckets < grants->nr_entries)
		buckets *= 2;
	grants->bucket_mask = buckets - 1;
	grants->entries = calloc(grants->nr_entries, sizeof(*grants->entries));
	grants->buckets = malloc(buckets * sizeof(*grants->buckets));
	if (!grants->entries || !grants->buckets)
		return -1;
	memset(grants->buckets, 0xff, buckets * sizeof(*grants->buckets));
	for (uint32_t i = 0; i < grants->nr_entries; i++)
		grants->entries[i].next = i + 1 < grants->nr_entries ? (int32_t)i + 1 : NONE;
	return 0;
}

/* grant copy ------------------------------------------------------------------------------------------------------ */

static int run_copies(struct usblk_grants *grants, uint32_t nr)
{
	if (grants->copy(grants->handle, nr, grants->copies))
		return -1;
	stat_add(&grants->stats->copies, nr);
	for (uint32_t i = 0; i < nr; i++) {	/* each one has its own status (XSA-362) */
		if (grants->copies[i].status)
			return -1;
	}
	return 0;
}

/* Move a request's data between the guest's pages and req->buffer, where it lies without gaps. */
static int copy_data(struct usblk_grants *grants, struct usblk_req *req, bool from_guest)
{
	uint8_t *at = req->buffer;

	for (uint32_t i = 0; i < req->nr_segs; i++) {
		const struct usblk_seg *seg = &req->segs[i];
		uint16_t length = (uint16_t)((seg->last - seg->first + 1u) << USBLK_SECTOR_SHIFT);
		union copy_ptr guest = { .foreign = { .ref = seg->gref, .domid = (uint16_t)grants->domid,
						      .offset = (uint16_t)(seg->first << USBLK_SECTOR_SHIFT) } };
		union copy_ptr ours = { .virt = at };

		grants->copies[i] = (struct copy_segment){
			.source = from_guest ? guest : ours, .dest = from_guest ? ours : guest, .len = length,
			.flags = from_guest ? COPY_SOURCE_GREF : COPY_DEST_GREF,
		};
		at += length;
	}
	return run_copies(grants, req->nr_segs);
}

static int copy_page(struct usblk_grants *grants, uint32_t gref, void *ret, uint16_t length)
{
	grants->copies[0] = (struct copy_segment){
		.source = { .foreign = { .ref = gref, .domid = (uint16_t)grants->domid } },
		.dest = { .virt = ret }, .len = length, .flags = COPY_SOURCE_GREF,
	};
	return run_copies(grants, 1);
}

/* one request ----------------------------------------------------------------------------------------------------- */

/* Room for the request's data in memory of ours.  Buffers are kept, but not more of them than requests may need at a time. */
static bool buffer_get(struct usblk_grants *grants, struct usblk_req *req)
{
	size_t need = (size_t)req->nr_sectors << USBLK_SECTOR_SHIFT, size = USBLK_PAGE_SIZE;

	if (req->buffer_size >= need)
		return true;
	while (size < need)
		size *= 2;
	usblk_grants_drop_buffer(grants, req);
	if (posix_memalign(&req->buffer, USBLK_PAGE_SIZE, size)) {
		req->buffer = NULL;
		return false;
	}
	req->buffer_size = size;
	grants->buffered += size;
	return true;
}

void usblk_grants_drop_buffer(struct usblk_grants *grants, struct usblk_req *req)
{
	grants->buffered -= req->buffer_size;
	free(req->buffer);
	req->buffer = NULL;
	req->buffer_size = 0;
}

/* Add bytes to the request's iovec; what lies side by side becomes one element. */
static inline void add_iov(struct usblk_req *req, uint8_t *base, size_t length)
{
	struct iovec *last = req->nr_iov ? &req->iov[req->nr_iov - 1] : NULL;

	if (last && (uint8_t *)last->iov_base + last->iov_len == base)
		last->iov_len += length;
	else
		req->iov[req->nr_iov++] = (struct iovec){ .iov_base = base, .iov_len = length };
}

static inline void add_seg(struct usblk_req *req, const struct usblk_seg *seg, uint8_t *page)
{
	add_iov(req, page + (seg->first << USBLK_SECTOR_SHIFT),
		(size_t)(seg->last - seg->first + 1) << USBLK_SECTOR_SHIFT);
}

/* Copy the segments in the request's indirect pages, once, to req->segs.  -1: a page cannot be reached. */
int usblk_grants_fetch_indirect(struct usblk_grants *grants, struct usblk_req *req)
{
	uint32_t left = req->nr_segs;

	for (uint32_t i = 0; i < req->nr_indirect; i++) {
		struct usblk_seg *ret = req->segs + i * USBLK_SEGMENTS_PER_INDIRECT_PAGE;
		uint32_t nr = left < USBLK_SEGMENTS_PER_INDIRECT_PAGE ? left : USBLK_SEGMENTS_PER_INDIRECT_PAGE;
		uint32_t gref = req->indirect[i];
		size_t length = nr * sizeof(*ret);

		left -= nr;
		if (grants->cached) {
			int32_t held = cache_hold(grants, gref, true);

			if (held == NONE)
				return -1;
			memcpy(ret, grants->entries[held].page, length);
			/* now: a request refused for its segments holds nothing, and is never given back */
			cache_release(grants, held);
		} else if (grants->mode == USBLK_GRANT_COPY) {
			if (copy_page(grants, gref, ret, (uint16_t)length))
				return -1;
		} else {
			void *page = map_pages(grants, &gref, 1, false);

			if (!page)
				return -1;
			memcpy(ret, page, length);
			unmap_pages(grants, page, 1);
		}
	}
	/* what was copied is what is checked and used: the compiler must not read the page again */
	__asm__ volatile("" : : : "memory");
	return 0;
}

/* As add_seg() does it, with all in registers: a large request spends most of its time here. */
static int hold_pages(struct usblk_grants *grants, struct usblk_req *req, bool from_guest)
{
	const struct usblk_seg *seg = req->segs, *last = seg + req->nr_segs;
	struct iovec *iov = req->iov;
	int32_t *held = req->held;
	uint8_t *end = NULL;

	for (; seg < last; seg++) {
		int32_t i = cache_hold(grants, seg->gref, from_guest);
		uint8_t *base;
		size_t length;

		if (i == NONE) {
			req->nr_held = (uint32_t)(held - req->held);
			cache_release_all(grants, req);
			return -1;
		}
		*held++ = i;
		base = (uint8_t *)grants->entries[i].page + (seg->first << USBLK_SECTOR_SHIFT);
		length = (size_t)(seg->last - seg->first + 1) << USBLK_SECTOR_SHIFT;
		if (base == end)
			iov[-1].iov_len += length;
		else
			*iov++ = (struct iovec){ .iov_base = base, .iov_len = length };
		end = base + length;
	}
	req->nr_held = req->nr_segs;
	req->nr_iov = (int)(iov - req->iov);
	return 0;
}

static void unmap_request(struct usblk_grants *grants, struct usblk_req *req)
{
	for (uint32_t done = 0; done < req->nr_mapped; done += grants->max_map_pages) {
		uint32_t left = req->nr_mapped - done;

		unmap_pages(grants, req->mapped[done / grants->max_map_pages],
			    left < grants->max_map_pages ? left : grants->max_map_pages);
	}
	req->nr_mapped = 0;
}

static int map_request(struct usblk_grants *grants, struct usblk_req *req, bool from_guest)
{
	for (uint32_t i = 0; i < req->nr_segs; i++)
		grants->refs[i] = req->segs[i].gref;
	while (req->nr_mapped < req->nr_segs) {
		uint32_t first = req->nr_mapped, nr = req->nr_segs - first;
		uint8_t *page;

		if (nr > grants->max_map_pages)
			nr = grants->max_map_pages;
		page = map_pages(grants, grants->refs + first, nr, !from_guest);
		if (!page) {
			unmap_request(grants, req);
			return -1;
		}
		req->mapped[first / grants->max_map_pages] = page;
		req->nr_mapped += nr;
		for (uint32_t i = 0; i < nr; i++, page += USBLK_PAGE_SIZE)
			add_seg(req, &req->segs[first + i], page);
	}
	return 0;
}

/*
 * Make the request's data reachable through req->iov.  from_guest: we read the pages (a write to the disk).
 * On failure (-1) nothing stays held; call usblk_grants_put() only after success.
 */
int usblk_grants_get(struct usblk_grants *grants, struct usblk_req *req, bool from_guest)
{
	req->nr_iov = 0;
	if (!req->nr_segs)
		return 0;
	if (grants->mode == USBLK_GRANT_COPY) {
		if (!buffer_get(grants, req) || (from_guest && copy_data(grants, req, true)))
			return -1;
		add_iov(req, req->buffer, (size_t)req->nr_sectors << USBLK_SECTOR_SHIFT);
		return 0;
	}
	return grants->cached ? hold_pages(grants, req, from_guest) : map_request(grants, req, from_guest);
}

/* Give the pages back before the request is answered; to_guest: first bring what was read.  -1: it did not arrive. */
int usblk_grants_put(struct usblk_grants *grants, struct usblk_req *req, bool to_guest)
{
	int rc = 0;

	cache_release_all(grants, req);
	unmap_request(grants, req);
	if (grants->mode == USBLK_GRANT_COPY) {
		if (to_guest && req->nr_segs)
			rc = copy_data(grants, req, false);
		if (grants->buffered > grants->max_buffered)
			usblk_grants_drop_buffer(grants, req);
	}
	return rc;
}

/* Unmap the kept pages that nobody has used since the last few calls of this. */
void usblk_grants_trim(struct usblk_grants *grants)
{
	int32_t i = grants->oldest;

	while (i != NONE) {
		struct entry *e = &grants->entries[i];
		int32_t newer = e->newer;

		look(e);
		if (!e->in_use && ++e->idle > grants->idle_trims) {
			cache_drop(grants, i);
			stat_add(&grants->stats->idle_releases, 1);
		}
		i = newer;
	}
}

/* `in_flight`: pages that all requests under way may need at a time. */
struct usblk_grants *usblk_grants_create(const struct usblk_config *config, struct usblk_stats *stats, uint32_t in_flight)
{
	struct usblk_grants *grants = calloc(1, sizeof(*grants));
	uint32_t segs = config->max_segments > USBLK_SEGMENTS_DIRECT ? config->max_segments : USBLK_SEGMENTS_DIRECT;
	bool persistent = config->grant_mode == USBLK_GRANT_PERSISTENT;

	if (!grants)
		return NULL;
	grants->handle = (void *)config->grant_handle;
	grants->map = (map_fn *)config->grant_map;
	grants->unmap = (unmap_fn *)config->grant_unmap;
	grants->copy = (copy_fn *)config->grant_copy;
	grants->domid = config->domid;
	grants->mode = config->grant_mode;
	grants->cached = persistent || (config->grant_mode == USBLK_GRANT_MAP && config->single_map);
	grants->max_map_pages = config->max_map_pages ? config->max_map_pages : USBLK_MAX_SEGMENTS;
	grants->max_buffered = (size_t)in_flight * USBLK_PAGE_SIZE;
	grants->idle_trims = config->idle_trims;
	grants->budget = config->budget;
	grants->stats = stats;
	grants->free = grants->cached ? 0 : NONE;
	grants->newest = grants->oldest = NONE;
	grants->refs = calloc(segs, sizeof(*grants->refs));
	grants->copies = calloc(segs, sizeof(*grants->copies));
	if (!grants->refs || !grants->copies ||
	    (grants->cached && cache_init(grants, persistent ? config->persistent_pages : 0, in_flight))) {
		usblk_grants_destroy(grants);
		return NULL;
	}
	return grants;
}

void usblk_grants_destroy(struct usblk_grants *grants)
{
	if (!grants)
		return;
	while (grants->entries && grants->oldest != NONE)
		cache_drop(grants, grants->oldest);
	free(grants->refs);
	free(grants->copies);
	free(grants->entries);
	free(grants->buckets);
	free(grants);
}
