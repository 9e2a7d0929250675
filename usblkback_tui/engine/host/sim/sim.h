/* SPDX-License-Identifier: MIT */
/*
 * What the embedded hypervisor does for the data path: grants and event channels, with the signatures of libxengnttab and
 * libxenevtchn.  build.py hands the declarations (everything but the lines of the preprocessor) to cffi.
 */
#ifndef USBLK_SIM_H
#define USBLK_SIM_H

#include <stdint.h>

/* xen/include/public/grant_table.h: the flags of a version 1 entry, statuses and copy flags. */
enum {
	GTF_permit_access = 1,
	GTF_type_mask = 3,
	GTF_readonly = 4,
	GTF_reading = 8,
	GTF_writing = 16,

	GNTST_okay = 0,
	GNTST_general_error = -1,
	GNTST_bad_domain = -2,
	GNTST_bad_gntref = -3,
	GNTST_bad_page = -9,
	GNTST_bad_copy_arg = -10,

	GNTCOPY_source_gref = 1,
	GNTCOPY_dest_gref = 2,
};

typedef struct sim_copy_segment {
	union {
		void *virt;
		struct {
			uint32_t ref;
			uint16_t offset;
			uint16_t domid;
		} foreign;
	} source, dest;
	uint16_t len;
	uint16_t flags;
	int16_t status;
} sim_copy_segment;

/* A domain's memory as the hypervisor sees it.  The grant table is its first grant_pages pages. */
typedef struct sim_domain sim_domain;

sim_domain *sim_domain_new(uint16_t domid, int memory_fd, uint32_t pages, uint32_t grant_pages);
void sim_domain_kill(sim_domain *domain);
void sim_domain_put(sim_domain *domain);
uint32_t sim_domain_mapped(sim_domain *domain);
uint64_t sim_domain_maps(sim_domain *domain);
uint64_t sim_domain_copies(sim_domain *domain);

/* One opened grant device, for one thread. */
typedef struct sim_grants sim_grants;

sim_grants *sim_grants_open(sim_domain *domain, uint16_t our_domid);
uint32_t sim_grants_close(sim_grants *grants);
int sim_grants_status(sim_grants *grants, uint32_t *ref);
void *sim_grants_map(void *handle, uint32_t count, uint32_t domid, uint32_t *refs, int prot);
int sim_grants_unmap(void *handle, void *start, uint32_t count);
int sim_grants_copy(void *handle, uint32_t count, sim_copy_segment *segments);

/* One bound end of an event channel. */
typedef struct sim_channel sim_channel;

enum { SIM_POKE_PORT = 0x7fffffff };

sim_channel *sim_channel_open(int to_us, int to_them, uint32_t port);
void sim_channel_close(sim_channel *channel);
int sim_channel_fd(sim_channel *channel);
int sim_channel_pending(void *handle);
int sim_channel_wait(void *handle);
int sim_channel_unmask(void *handle, uint32_t port);
int sim_channel_notify(void *handle, uint32_t port);

#endif
