/* SPDX-License-Identifier: MIT */
/* The data path's own face: what its C files share.  api.h is the part that Python sees. */
#ifndef USBLK_H
#define USBLK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "api.h"

#define USBLK_PAGE_SIZE 4096u
#define USBLK_SECTOR_SHIFT 9
#define USBLK_SECTORS_PER_PAGE 8u
#define USBLK_MAX_SEGMENTS 4096u
#define USBLK_MAX_INDIRECT_PAGES 8u
#define USBLK_SEGMENTS_PER_INDIRECT_PAGE 512u
#define USBLK_MAX_RING_PAGES 16u

/* blkif operations and answers (xen/include/public/io/blkif.h) */
enum {
	BLKIF_OP_READ = 0,
	BLKIF_OP_WRITE = 1,
	BLKIF_OP_WRITE_BARRIER = 2,
	BLKIF_OP_FLUSH_DISKCACHE = 3,
	BLKIF_OP_DISCARD = 5,
	BLKIF_OP_INDIRECT = 6,

	BLKIF_RSP_OKAY = 0,
	BLKIF_RSP_ERROR = -1,
	BLKIF_RSP_EOPNOTSUPP = -2,

	BLKIF_DISCARD_SECURE = 1,
};

/* What all queues of a disk share.  The last three members change, and any thread may read them. */
struct usblk_vbd {
	struct usblk_vbd_config config;
	bool block_device;
	uint64_t sectors;
	int poisoned;
	int last_errno;
};

/* One page of a request's data, sectors first..last of the granted page; laid out as a guest writes it. */
struct usblk_seg {
	uint32_t gref;
	uint8_t first, last;
	uint16_t unused;
};

/* One request, copied out of the ring and checked.  Nothing in here is shared with the guest. */
struct usblk_req {
	uint64_t id;
	uint64_t sector;
	uint64_t nr_sectors;
	uint64_t start_ns;
	uint8_t op;		/* as it came */
	uint8_t action;		/* what is to be done: of an INDIRECT request the operation inside */
	uint8_t discard_flags;	/* BLKIF_DISCARD_SECURE */
	uint16_t nr_segs;	/* 0 of a discard */
	uint16_t nr_indirect;
	uint32_t indirect[USBLK_MAX_INDIRECT_PAGES];
	struct usblk_seg *segs;	/* room for max_segments */
	struct iovec *iov;	/* the same */
	int nr_iov;
	/* how the pages were reached, for giving them back: see grants.c */
	void **mapped;		/* pages mapped for this request alone, max_map_pages side by side in each */
	uint32_t nr_mapped;	/* pages */
	int32_t *held;		/* entries of the cache */
	uint32_t nr_held;
	void *buffer;		/* our own memory that grant copy fills; kept between requests */
	size_t buffer_size;
	/* for an engine that has it under way */
	struct usblk_req *next;
	int result;
};

struct usblk_grants;
struct usblk_io;

/* vbd.c */
bool usblk_budget_take(struct usblk_budget *budget);
void usblk_budget_give(struct usblk_budget *budget);

/* request.c: from bytes to a checked request */
enum usblk_verdict { USBLK_VALID, USBLK_BAD, USBLK_NOT_OFFERED, USBLK_READONLY };

struct usblk_layout {
	uint16_t slot_size;	/* a ring entry */
	uint16_t id;		/* offsets in a request */
	uint16_t sector;
	uint16_t segs;
	uint16_t nr_discard;
	uint16_t indirect_grefs;
	uint16_t rsp_size;
};

extern const struct usblk_layout usblk_layouts[2];

void usblk_req_parse(struct usblk_req *req, const uint8_t *slot, const struct usblk_layout *layout);
enum usblk_verdict usblk_req_check(const struct usblk_req *req, const struct usblk_vbd_config *vbd,
				   uint32_t max_segments);
bool usblk_segs_check(struct usblk_req *req, uint64_t sectors);

/* grants.c: a guest's pages in our memory */
struct usblk_grants *usblk_grants_create(const struct usblk_config *config, struct usblk_stats *stats, uint32_t in_flight);
void usblk_grants_destroy(struct usblk_grants *grants);
int usblk_grants_fetch_indirect(struct usblk_grants *grants, struct usblk_req *req);
int usblk_grants_get(struct usblk_grants *grants, struct usblk_req *req, bool from_guest);
int usblk_grants_put(struct usblk_grants *grants, struct usblk_req *req, bool to_guest);
void usblk_grants_trim(struct usblk_grants *grants);
void usblk_grants_drop_buffer(struct usblk_grants *grants, struct usblk_req *req);

/*
 * Where bytes live.  submit() either finishes the request and returns its errno (0 for success), or takes it and returns
 * USBLK_IO_QUEUED: then it comes back through reap(), and `fd` becomes readable when there is something to reap.  What is
 * taken may wait for kick(), which is called before the ring looks elsewhere.
 *
 * A flush covers every write answered before it, which any engine gives for free.  Requests that must be alone (a barrier,
 * a flush with data) are submitted only while nothing is under way, and nothing else is until they are finished.
 */
#define USBLK_IO_QUEUED (-1)

struct usblk_io {
	int kind;		/* enum usblk_io_kind: what is in use now */
	uint32_t depth;		/* requests it can have under way at a time */
	int fd;			/* to poll for completions; -1 while nothing is under way */
	int (*submit)(struct usblk_io *io, struct usblk_req *req);
	void (*kick)(struct usblk_io *io);
	struct usblk_req *(*reap)(struct usblk_io *io, int *error);
	bool (*ready)(struct usblk_io *io);	/* whether reap() has something now; only asked while something is under way */
	/* kick and sleep while something is under way: a set of usblk_wake, or -1; NULL: usblk_wait() does it */
	int (*wait)(struct usblk_io *io, int stop_fd, int channel_fd);
	void (*destroy)(struct usblk_io *io);
};

struct usblk_io *usblk_io_create(enum usblk_io_kind kind, const struct usblk_vbd *vbd);	/* never NULL but for memory */
struct usblk_io *usblk_io_sync_create(const struct usblk_vbd *vbd);
struct usblk_io *usblk_io_null_create(const struct usblk_vbd *vbd);
/* These give NULL where the image, or the kernel, cannot be used so. */
struct usblk_io *usblk_io_mmap_create(const struct usblk_vbd *vbd);
struct usblk_io *usblk_io_uring_create(const struct usblk_vbd *vbd);
struct usblk_io *usblk_io_auto_create(const struct usblk_vbd *vbd);

/* io_sync.c, for the other engines too: do a request, or move bytes, in this thread; an errno or 0 */
int usblk_sync_request(const struct usblk_vbd *vbd, struct usblk_req *req);
int usblk_sync_transfer(int fd, struct iovec *iov, int nr, uint64_t offset, bool write);
void usblk_iov_skip(struct iovec **iov, int *nr, size_t bytes);

/* guard.c */
void usblk_guard_install(void);
int usblk_guarded_copy(const struct iovec *iov, int nr, uint8_t *map, size_t length, bool write);

/* log.c */
struct usblk_log {
	struct usblk_stats stats;
	uint64_t trace_seq;
	struct usblk_trace trace[USBLK_TRACE_SIZE];
};

void usblk_log_add(struct usblk_log *log, const struct usblk_req *req, int16_t status, uint64_t now);
uint32_t usblk_log_read(const struct usblk_log *log, uint64_t after, struct usblk_trace *ret, uint32_t max);

/*
 * poller.c: how long to look for work before sleeping.  It grows while sleeps end soon after they began, so that looking
 * a little longer would have saved them, and shrinks to nothing while they do not, or while others want the CPU.
 */
struct usblk_poller {
	uint64_t max_ns;
	uint64_t window_ns;
	uint64_t not_before_ns;	/* somebody else wanted the CPU: no polling until then */
};

void usblk_poller_slept(struct usblk_poller *poller, uint64_t began, uint64_t now);
bool usblk_poller_preempted(struct usblk_poller *poller, uint64_t before, uint64_t now);

/* wait.c */
enum usblk_wake { USBLK_WAKE_STOP = 1, USBLK_WAKE_CHANNEL = 2, USBLK_WAKE_IO = 4 };

int usblk_wait(int stop_fd, int channel_fd, int io_fd);	/* a set of usblk_wake, or -1 */
bool usblk_readable(int fd);
int usblk_stop_create(void);
void usblk_stop_signal(int fd);
void usblk_stop_clear(int fd);
void usblk_stop_destroy(int fd);
uint64_t usblk_now_ns(void);

/* A breath between two looks at memory that another CPU writes. */
static inline void usblk_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

#endif
