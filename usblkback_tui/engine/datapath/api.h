/* SPDX-License-Identifier: MIT */
/*
 * What Python sees of the data path.  No preprocessor lines: cffi reads this file as it is, C through usblk.h.
 *
 * A struct usblk_vbd is one disk: its image and what all its queues must agree on.  One struct usblk_ring serves one queue;
 * usblk_ring_run() is its whole life, called once without the GIL.  Everything else may be called from another thread
 * meanwhile, except the destroy functions.
 */

/* Request layouts; the native one of a 64-bit host, x86_64-abi and arm-abi are the same. */
enum usblk_abi { USBLK_ABI_64, USBLK_ABI_32 };

/* How a guest's pages are reached. */
enum usblk_grant_mode { USBLK_GRANT_PERSISTENT, USBLK_GRANT_COPY, USBLK_GRANT_MAP };

/* Why usblk_ring_run() came back. */
enum usblk_end { USBLK_END_STOPPED, USBLK_END_OVERFLOW, USBLK_END_WAIT, USBLK_END_NOTIFY };

enum usblk_op { USBLK_READ, USBLK_WRITE, USBLK_FLUSH, USBLK_DISCARD, USBLK_NR_OPS };

/*
 * What moves the bytes.  AUTO decides by the image and by what it measures; a kind that the host or the image cannot have
 * becomes SYNC, and usblk_ring_io() says so.  NULL moves nothing: it is there to measure everything else.
 */
enum usblk_io_kind { USBLK_IO_AUTO, USBLK_IO_SYNC, USBLK_IO_URING, USBLK_IO_MMAP, USBLK_IO_NULL };

enum { USBLK_HIST_BUCKETS = 160, USBLK_TRACE_SIZE = 1024, USBLK_SEGMENTS_DIRECT = 11 };

struct usblk_vbd_config {
	int image_fd;
	uint64_t sectors;		/* image size in units of 512 bytes */
	int readonly;
	int direct;			/* image_fd was opened with O_DIRECT */
	int discard;			/* discard was offered */
	int secure_discard;		/* and secure discard */
	uint32_t discard_granularity;	/* bytes; smaller pieces are left alone */
	uint32_t discard_alignment;	/* bytes from the image's start to the first piece */
};

struct usblk_config {
	struct usblk_vbd *vbd;		/* outlives the ring */
	struct usblk_budget *budget;	/* of all rings of the process; NULL: without limit */
	/* grants: addresses of functions with libxengnttab's signatures; copy may be 0 */
	uintptr_t grant_handle, grant_map, grant_unmap, grant_copy;
	/* event channel: addresses of functions with libxenevtchn's signatures */
	uintptr_t channel_handle, channel_pending, channel_unmask, channel_notify;
	uintptr_t channel_wait;		/* as pending, but sleeps until there is an event; may be 0 */
	int channel_fd;
	uint32_t channel_port;
	uint32_t channel_poke;		/* notifying this port ends channel_wait */
	uint32_t domid;
	uintptr_t ring;			/* address of the mapped ring pages */
	uint32_t ring_pages;		/* a power of two */
	int abi;			/* enum usblk_abi */
	int grant_mode;			/* enum usblk_grant_mode */
	uint32_t persistent_pages;	/* pages kept mapped, at most */
	uint32_t max_map_pages;		/* pages in one map call */
	int single_map;			/* a page must not be mapped twice at a time */
	uint32_t idle_trims;		/* a page not used for so many usblk_ring_trim() is unmapped */
	uint32_t max_segments;		/* of an indirect request; 0: none offered */
	uint32_t response_batch;	/* responses published at once, at most */
	uint32_t response_wait_us;	/* a response waits for others to be published with this long, at most */
	uint32_t poll_us;		/* look for more work this long before sleeping, at most */
	int io;				/* enum usblk_io_kind */
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
	uint64_t evictions;		/* kept pages that made room for others */
	uint64_t idle_releases;		/* kept pages unmapped because nobody used them */
	uint64_t polls, poll_hits;	/* looks for work before sleeping, and those that found some */
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

/* How many pages all rings that share it keep mapped between requests. */
struct usblk_budget *usblk_budget_create(uint32_t pages);
uint32_t usblk_budget_used(const struct usblk_budget *budget);
void usblk_budget_destroy(struct usblk_budget *budget);

/* NULL when out of memory. */
struct usblk_vbd *usblk_vbd_create(const struct usblk_vbd_config *config);
void usblk_vbd_destroy(struct usblk_vbd *vbd);
/* Change the size the bounds are checked against; takes effect with the next request. */
void usblk_vbd_set_sectors(struct usblk_vbd *vbd, uint64_t sectors);
/* errno of the flush that failed; 0 while all is well.  From then on writes are refused, on every queue. */
int usblk_vbd_poisoned(const struct usblk_vbd *vbd);
/* errno of the last image error; 0 without one. */
int usblk_vbd_last_errno(const struct usblk_vbd *vbd);

/* NULL when out of memory or the configuration is impossible. */
struct usblk_ring *usblk_ring_create(const struct usblk_config *config);
/* Serve requests until usblk_ring_stop() or a reason to give up: enum usblk_end.  May be called again after STOPPED. */
int usblk_ring_run(struct usblk_ring *ring);
/* Ask usblk_ring_run() to finish what it has started, answer it, and come back; from any thread. */
void usblk_ring_stop(struct usblk_ring *ring);
/* Unmap the kept pages that no request has used for a while; the ring's own thread does it, soon. */
void usblk_ring_trim(struct usblk_ring *ring);
/* The enum usblk_io_kind that serves the ring now. */
int usblk_ring_io(const struct usblk_ring *ring);
/* Unmap all of the guest's pages; then the counters are final.  The ring pages and the channel stay the caller's. */
void usblk_ring_release(struct usblk_ring *ring);
void usblk_ring_destroy(struct usblk_ring *ring);

const struct usblk_stats *usblk_ring_stats(const struct usblk_ring *ring);
/* Copy the shared indices; only while the ring pages are mapped. */
void usblk_ring_indices(const struct usblk_ring *ring, struct usblk_indices *ret);
/* Requests finished after sequence number `after`, oldest first; the number copied. */
uint32_t usblk_ring_trace(const struct usblk_ring *ring, uint64_t after, struct usblk_trace *ret, uint32_t max);
