/* SPDX-License-Identifier: MIT */
/*
 * What Python sees of the data path.  No preprocessor lines: cffi reads this file as it is, C through usblk.h.
 *
 * One struct usblk_ring serves one queue of one disk.  usblk_ring_run() is its whole life, called once without the GIL;
 * everything else may be called from another thread meanwhile, except usblk_ring_destroy().
 */

/* Request layouts; the native one of a 64-bit host, x86_64-abi and arm-abi are the same. */
enum usblk_abi { USBLK_ABI_64, USBLK_ABI_32 };

/* How a guest's pages are reached. */
enum usblk_grant_mode { USBLK_GRANT_PERSISTENT, USBLK_GRANT_COPY, USBLK_GRANT_MAP };

/* Why usblk_ring_run() came back. */
enum usblk_end { USBLK_END_STOPPED, USBLK_END_OVERFLOW, USBLK_END_WAIT, USBLK_END_NOTIFY };

enum usblk_op { USBLK_READ, USBLK_WRITE, USBLK_FLUSH, USBLK_DISCARD, USBLK_NR_OPS };

enum { USBLK_HIST_BUCKETS = 160, USBLK_TRACE_SIZE = 1024, USBLK_SEGMENTS_DIRECT = 11 };

struct usblk_config {
	/* grants: addresses of functions with libxengnttab's signatures; copy may be 0 */
	uintptr_t grant_handle, grant_map, grant_unmap, grant_copy;
	/* event channel: addresses of functions with libxenevtchn's signatures */
	uintptr_t channel_handle, channel_pending, channel_unmask, channel_notify;
	int channel_fd;
	uint32_t channel_port;
	uint32_t domid;
	uintptr_t ring;			/* address of the mapped ring pages */
	uint32_t ring_pages;		/* a power of two */
	int abi;			/* enum usblk_abi */
	int grant_mode;			/* enum usblk_grant_mode */
	uint32_t persistent_pages;	/* pages kept mapped, at most */
	uint32_t max_segments;		/* of an indirect request; 0: none offered */
	uint32_t response_batch;	/* responses published at once, at most */
	uint32_t poll_us;		/* look for more work this long before sleeping */
	int image_fd;
	uint64_t sectors;		/* image size in units of 512 bytes */
	int readonly;
	int discard;			/* discard was offered */
};

/* Counters only grow, except in_flight and grants_mapped.  Written by the ring's thread alone. */
struct usblk_stats {
	uint64_t requests[4];		/* finished, by enum usblk_op */
	uint64_t bytes[4];
	uint64_t errors;		/* responses that are not OKAY */
	uint64_t bad_requests;		/* of these: refused by validation */
	uint64_t io_errors;		/* of these: the image failed */
	uint64_t map_errors;		/* of these: a grant could not be mapped or copied */
	uint64_t refused;		/* of these: writes to a read-only or poisoned disk, operations not offered */
	uint64_t barriers;
	uint64_t indirect;
	uint64_t responses;
	uint64_t notifies_sent;
	uint64_t notifies_suppressed;
	uint64_t wakeups;
	uint64_t spurious;		/* wake-ups that found no request */
	uint64_t maps, unmaps;		/* pages */
	uint64_t copies;		/* pages moved by grant copy */
	uint64_t unmap_errors;
	uint64_t poisoned;		/* errno of the flush that failed; from then on writes are refused */
	uint64_t last_io_errno;
	uint64_t grants_mapped;
	uint64_t latency[4][160];	/* log-linear nanoseconds, see stats.h */
};

struct usblk_indices {
	uint32_t req_prod, req_cons, rsp_prod, req_event, rsp_event, size;
};

/* One finished request. */
struct usblk_trace {
	uint64_t seq;			/* counts from 1 */
	uint64_t time_ns;		/* CLOCK_MONOTONIC when it was answered */
	uint64_t latency_ns;
	uint64_t id;
	uint64_t sector;
	uint32_t nr_sectors;
	uint16_t segments;
	int16_t status;			/* as answered */
	uint8_t op;			/* blkif operation as the guest wrote it */
	uint8_t indirect;		/* it came as BLKIF_OP_INDIRECT */
};

/* NULL when out of memory or the configuration is impossible. */
struct usblk_ring *usblk_ring_create(const struct usblk_config *config);
/* Serve requests until usblk_ring_stop() or a reason to give up: enum usblk_end.  May be called again after STOPPED. */
int usblk_ring_run(struct usblk_ring *ring);
/* Ask usblk_ring_run() to finish what it has started, answer it, and come back; from any thread. */
void usblk_ring_stop(struct usblk_ring *ring);
/* Unmap all of the guest's pages; then the counters are final.  The ring pages and the channel stay the caller's. */
void usblk_ring_release(struct usblk_ring *ring);
void usblk_ring_destroy(struct usblk_ring *ring);

const struct usblk_stats *usblk_ring_stats(const struct usblk_ring *ring);
/* Copy the shared indices; only while the ring pages are mapped. */
void usblk_ring_indices(const struct usblk_ring *ring, struct usblk_indices *ret);
/* Requests finished after sequence number `after`, oldest first; the number copied. */
uint32_t usblk_ring_trace(const struct usblk_ring *ring, uint64_t after, struct usblk_trace *ret, uint32_t max);
/* Change the size the bounds are checked against; takes effect with the next request. */
void usblk_ring_set_sectors(struct usblk_ring *ring, uint64_t sectors);
