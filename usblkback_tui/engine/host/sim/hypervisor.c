/* SPDX-License-Identifier: MIT */
/*
 * Grants and event channels without Xen.
 *
 * A grant is checked as Xen checks it (xen/common/grant_table.c): type and domain under a compare-and-swap of the entry's
 * first word, so that the guest sees GTF_reading and GTF_writing for as long as a page is mapped, and the frame is read
 * once, at the first pin, so that a guest that rewrites a mapped entry changes nothing.
 */
#define _GNU_SOURCE
#include "sim.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096UL
#define BUCKETS 1024

/* A version 1 entry: flags in the low half and domain in the high half of one word, then the frame. */
struct entry {
	uint32_t word;
	uint32_t frame;
};

/* What we hold of an entry. */
struct active {
	uint32_t readers;
	uint32_t writers;
	uint32_t frame;
	uint16_t domid;
};

struct sim_domain {
	pthread_mutex_t lock;
	uint32_t users; /* the creator and every open handle */
	bool alive;
	uint16_t domid;
	int fd;
	uint32_t pages;
	uint32_t refs;
	uint8_t *memory;
	struct active *active;
	uint32_t mapped;
	uint64_t maps;
	uint64_t copies;
};

struct mapping {
	struct mapping *next;
	uint8_t *start;
	uint32_t count;
	bool writable;
	uint32_t refs[];
};

struct sim_grants {
	sim_domain *domain;
	uint16_t our_domid;
	int status;
	uint32_t status_ref;
	uint32_t mapped;
	struct mapping *buckets[BUCKETS];
};

sim_domain *sim_domain_new(uint16_t domid, int memory_fd, uint32_t pages, uint32_t grant_pages)
{
	sim_domain *domain = calloc(1, sizeof(*domain));

	if (!domain)
		return NULL;
	pthread_mutex_init(&domain->lock, NULL);
	domain->users = 1;
	domain->alive = true;
	domain->domid = domid;
	domain->pages = pages;
	domain->refs = grant_pages * (PAGE / sizeof(struct entry));
	domain->active = calloc(domain->refs, sizeof(*domain->active));
	domain->fd = dup(memory_fd);
	domain->memory = MAP_FAILED;
	if (domain->fd >= 0)
		domain->memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, domain->fd, 0);
	if (!domain->active || domain->memory == MAP_FAILED) {
		sim_domain_put(domain);
		return NULL;
	}
	return domain;
}

/* No new grants from now on; what is mapped stays readable. */
void sim_domain_kill(sim_domain *domain)
{
	pthread_mutex_lock(&domain->lock);
	domain->alive = false;
	pthread_mutex_unlock(&domain->lock);
}

void sim_domain_put(sim_domain *domain)
{
	bool last;

	pthread_mutex_lock(&domain->lock);
	last = --domain->users == 0;
	pthread_mutex_unlock(&domain->lock);
	if (!last)
		return;
	if (domain->memory != MAP_FAILED)
		munmap(domain->memory, domain->pages * PAGE);
	if (domain->fd >= 0)
		close(domain->fd);
	free(domain->active);
	pthread_mutex_destroy(&domain->lock);
	free(domain);
}

#define LOCKED(domain, type, expression)               \
	({                                             \
		type value_;                           \
		pthread_mutex_lock(&(domain)->lock);   \
		value_ = (expression);                 \
		pthread_mutex_unlock(&(domain)->lock); \
		value_;                                \
	})

/* Pages of this domain that are mapped now, by any handle. */
uint32_t sim_domain_mapped(sim_domain *domain)
{
	return LOCKED(domain, uint32_t, domain->mapped);
}

/* Pages ever mapped. */
uint64_t sim_domain_maps(sim_domain *domain)
{
	return LOCKED(domain, uint64_t, domain->maps);
}

/* Segments ever copied. */
uint64_t sim_domain_copies(sim_domain *domain)
{
	return LOCKED(domain, uint64_t, domain->copies);
}

static struct entry *entry_of(sim_domain *domain, uint32_t ref)
{
	return (struct entry *)domain->memory + ref;
}

/* Set GTF_reading and, for a writer, GTF_writing, if the entry lets us. */
static int set_status(struct entry *entry, uint16_t us, bool writable)
{
	uint32_t had = __atomic_load_n(&entry->word, __ATOMIC_ACQUIRE);
	uint32_t want;

	do {
		if ((had & GTF_type_mask) != GTF_permit_access || had >> 16 != us)
			return GNTST_general_error;
		if (writable && (had & GTF_readonly))
			return GNTST_general_error;
		want = had | GTF_reading | (writable ? GTF_writing : 0);
	} while (!__atomic_compare_exchange_n(&entry->word, &had, want, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	return GNTST_okay;
}

static void clear_status(struct entry *entry, uint32_t flags)
{
	__atomic_and_fetch(&entry->word, ~flags, __ATOMIC_RELEASE);
}

/* With the lock held. */
static int pin(sim_domain *domain, uint32_t ref, uint16_t us, bool writable)
{
	struct active *active;
	struct entry *entry;
	int status;

	if (!domain->alive)
		return GNTST_bad_domain;
	if (ref >= domain->refs)
		return GNTST_bad_gntref;
	active = &domain->active[ref];
	entry = entry_of(domain, ref);
	if (active->readers && active->domid != us)
		return GNTST_general_error;
	if (!active->readers || (writable && !active->writers)) {
		status = set_status(entry, us, writable);
		if (status != GNTST_okay)
			return status;
		if (!active->readers) {
			uint32_t frame = __atomic_load_n(&entry->frame, __ATOMIC_RELAXED);

			if (frame >= domain->pages) {
				clear_status(entry, GTF_reading | GTF_writing);
				return GNTST_bad_page;
			}
			active->frame = frame;
			active->domid = us;
		}
	}
	active->readers++;
	active->writers += writable;
	return GNTST_okay;
}

/* With the lock held. */
static void unpin(sim_domain *domain, uint32_t ref, bool writable)
{
	struct active *active = &domain->active[ref];
	uint32_t clear = 0;

	active->readers--;
	active->writers -= writable;
	if (!active->writers && writable)
		clear |= GTF_writing;
	if (!active->readers)
		clear |= GTF_reading;
	if (clear)
		clear_status(entry_of(domain, ref), clear);
}

sim_grants *sim_grants_open(sim_domain *domain, uint16_t our_domid)
{
	sim_grants *grants = calloc(1, sizeof(*grants));

	if (!grants)
		return NULL;
	grants->domain = domain;
	grants->our_domid = our_domid;
	pthread_mutex_lock(&domain->lock);
	domain->users++;
	pthread_mutex_unlock(&domain->lock);
	return grants;
}

/*
 * Close the handle.  Pages that are still mapped stay so, as with gntdev, where a mapping keeps the device open: they are
 * leaked and their number is returned.
 */
uint32_t sim_grants_close(sim_grants *grants)
{
	sim_domain *domain = grants->domain;
	uint32_t leaked = grants->mapped;

	for (unsigned int i = 0; i < BUCKETS; i++) {
		while (grants->buckets[i]) {
			struct mapping *mapping = grants->buckets[i];

			grants->buckets[i] = mapping->next;
			free(mapping);
		}
	}
	free(grants);
	if (!leaked)
		sim_domain_put(domain);
	return leaked;
}

/* Why the last map failed, and for which ref. */
int sim_grants_status(sim_grants *grants, uint32_t *ref)
{
	*ref = grants->status_ref;
	return grants->status;
}

static struct mapping **bucket(sim_grants *grants, const void *start)
{
	return &grants->buckets[((uintptr_t)start / PAGE) % BUCKETS];
}

static uint8_t *place(sim_domain *domain, uint32_t count, const uint32_t *refs, int prot)
{
	uint8_t *start = mmap(NULL, count * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (start == MAP_FAILED)
		return NULL;
	for (uint32_t i = 0; i < count; i++) {
		off_t where = (off_t)domain->active[refs[i]].frame * PAGE;

		if (mmap(start + i * PAGE, PAGE, prot, MAP_SHARED | MAP_FIXED | MAP_POPULATE, domain->fd, where) == MAP_FAILED) {
			munmap(start, count * PAGE);
			return NULL;
		}
	}
	return start;
}

static void unpin_all(sim_domain *domain, uint32_t count, const uint32_t *refs, bool writable)
{
	pthread_mutex_lock(&domain->lock);
	for (uint32_t i = 0; i < count; i++)
		unpin(domain, refs[i], writable);
	pthread_mutex_unlock(&domain->lock);
}

/* Map count pages side by side, all or none. */
void *sim_grants_map(void *handle, uint32_t count, uint32_t domid, uint32_t *refs, int prot)
{
	sim_grants *grants = handle;
	sim_domain *domain = grants->domain;
	bool writable = prot & PROT_WRITE;
	struct mapping *mapping;
	uint32_t done = 0;
	int status = GNTST_okay;

	mapping = count ? malloc(sizeof(*mapping) + count * sizeof(uint32_t)) : NULL;
	if (!mapping) {
		errno = count ? ENOMEM : EINVAL;
		return NULL;
	}
	memcpy(mapping->refs, refs, count * sizeof(uint32_t));
	if (domid != domain->domid)
		status = GNTST_bad_domain;
	pthread_mutex_lock(&domain->lock);
	while (status == GNTST_okay && done < count) {
		status = pin(domain, mapping->refs[done], grants->our_domid, writable);
		done += status == GNTST_okay;
	}
	pthread_mutex_unlock(&domain->lock);
	grants->status = status;
	grants->status_ref = done < count ? mapping->refs[done] : 0;
	mapping->start = status == GNTST_okay ? place(domain, count, mapping->refs, prot) : NULL;
	if (!mapping->start) {
		unpin_all(domain, done, mapping->refs, writable);
		errno = status == GNTST_okay ? ENOMEM : EINVAL;
		free(mapping);
		return NULL;
	}
	mapping->count = count;
	mapping->writable = writable;
	mapping->next = *bucket(grants, mapping->start);
	*bucket(grants, mapping->start) = mapping;
	grants->mapped += count;
	pthread_mutex_lock(&domain->lock);
	domain->mapped += count;
	domain->maps += count;
	pthread_mutex_unlock(&domain->lock);
	return mapping->start;
}

/* Give back one earlier map, whole: gntdev refuses a part of one, too. */
int sim_grants_unmap(void *handle, void *start, uint32_t count)
{
	sim_grants *grants = handle;
	sim_domain *domain = grants->domain;
	struct mapping **link = bucket(grants, start);
	struct mapping *mapping;

	while (*link && (*link)->start != start)
		link = &(*link)->next;
	mapping = *link;
	if (!mapping || mapping->count != count) {
		errno = EINVAL;
		return -1;
	}
	*link = mapping->next;
	munmap(start, count * PAGE);
	unpin_all(domain, count, mapping->refs, mapping->writable);
	grants->mapped -= count;
	pthread_mutex_lock(&domain->lock);
	domain->mapped -= count;
	pthread_mutex_unlock(&domain->lock);
	free(mapping);
	return 0;
}

static int copy_one(sim_grants *grants, const sim_copy_segment *segment)
{
	sim_domain *domain = grants->domain;
	bool from = segment->flags & GNTCOPY_source_gref;
	bool to = segment->flags & GNTCOPY_dest_gref;
	uint32_t ref = from ? segment->source.foreign.ref : segment->dest.foreign.ref;
	uint16_t offset = from ? segment->source.foreign.offset : segment->dest.foreign.offset;
	uint16_t domid = from ? segment->source.foreign.domid : segment->dest.foreign.domid;
	uint8_t *page;
	int status;

	/* Neither or both: nothing a backend needs, and nothing this hypervisor does. */
	if (from == to || (uint32_t)offset + segment->len > PAGE)
		return GNTST_bad_copy_arg;
	if (domid != domain->domid)
		return GNTST_bad_domain;
	pthread_mutex_lock(&domain->lock);
	status = pin(domain, ref, grants->our_domid, to);
	domain->copies += status == GNTST_okay;
	pthread_mutex_unlock(&domain->lock);
	if (status != GNTST_okay)
		return status;
	page = domain->memory + domain->active[ref].frame * PAGE + offset;
	if (from)
		memcpy(segment->dest.virt, page, segment->len);
	else
		memcpy(page, segment->source.virt, segment->len);
	unpin_all(domain, 1, &ref, to);
	return GNTST_okay;
}

int sim_grants_copy(void *handle, uint32_t count, sim_copy_segment *segments)
{
	for (uint32_t i = 0; i < count; i++)
		segments[i].status = (int16_t)copy_one(handle, &segments[i]);
	return 0;
}

/*
 * An event channel is two eventfds.  Ours sits in an epoll with EPOLLONESHOT, because taking an event masks the port: more
 * events are remembered, but nothing wakes us until unmask.
 */
struct sim_channel {
	int to_us;
	int to_them;
	int poke; /* ends a sleep of ours, see sim_channel_wait() */
	int poll;
	uint32_t port;
};

static int arm(sim_channel *channel, int operation)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.u32 = channel->port };

	return epoll_ctl(channel->poll, operation, channel->to_us, &event);
}

/* Bind to the two eventfds, which stay the caller's. */
sim_channel *sim_channel_open(int to_us, int to_them, uint32_t port)
{
	sim_channel *channel = calloc(1, sizeof(*channel));
	struct epoll_event poke = { .events = EPOLLIN, .data.u32 = SIM_POKE_PORT };
	eventfd_t lost;

	if (!channel)
		return NULL;
	channel->port = port;
	channel->to_us = dup(to_us);
	channel->to_them = dup(to_them);
	channel->poll = epoll_create1(EPOLL_CLOEXEC);
	channel->poke = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (channel->to_us < 0 || channel->to_them < 0 || channel->poll < 0 || channel->poke < 0 ||
	    arm(channel, EPOLL_CTL_ADD) || epoll_ctl(channel->poll, EPOLL_CTL_ADD, channel->poke, &poke)) {
		sim_channel_close(channel);
		return NULL;
	}
	/* Events sent while unbound were dropped; to make up for that a bind always raises one. */
	(void)!eventfd_read(channel->to_us, &lost);
	(void)!eventfd_write(channel->to_us, 1);
	return channel;
}

void sim_channel_close(sim_channel *channel)
{
	if (channel->poll >= 0)
		close(channel->poll);
	if (channel->poke >= 0)
		close(channel->poke);
	if (channel->to_us >= 0)
		close(channel->to_us);
	if (channel->to_them >= 0)
		close(channel->to_them);
	free(channel);
}

int sim_channel_fd(sim_channel *channel)
{
	return channel->poll;
}

static int take_event(sim_channel *channel, int timeout)
{
	struct epoll_event event;
	eventfd_t count;
	int rc = epoll_wait(channel->poll, &event, 1, timeout);

	if (rc != 1) {
		if (!rc)
			errno = EAGAIN;
		return -1;
	}
	(void)!eventfd_read(event.data.u32 == channel->port ? channel->to_us : channel->poke, &count);
	return (int)event.data.u32;
}

/* The port that has an event, masking it; -1 with EAGAIN when there is none. */
int sim_channel_pending(void *handle)
{
	return take_event(handle, 0);
}

/* The same, but sleep until there is one; notifying SIM_POKE_PORT is one. */
int sim_channel_wait(void *handle)
{
	return take_event(handle, -1);
}

int sim_channel_unmask(void *handle, uint32_t port)
{
	sim_channel *channel = handle;

	if (port == SIM_POKE_PORT)
		return 0;
	if (port != channel->port) {
		errno = EINVAL;
		return -1;
	}
	return arm(channel, EPOLL_CTL_MOD);
}

int sim_channel_notify(void *handle, uint32_t port)
{
	sim_channel *channel = handle;

	if (port == SIM_POKE_PORT)
		return eventfd_write(channel->poke, 1);
	if (port != channel->port) {
		errno = EINVAL;
		return -1;
	}
	return eventfd_write(channel->to_them, 1);
}
