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

/* One page of a request's data: sectors first..last of the granted page. */
struct usblk_seg {
	uint32_t gref;
	uint8_t first, last;
};

/* One request, copied out of the ring and checked.  Nothing in here is shared with the guest. */
struct usblk_req {
	uint64_t id;
	uint64_t sector;
	uint64_t nr_sectors;
	uint64_t start_ns;
	uint8_t op;		/* as it came */
	uint8_t action;		/* what is to be done: of an INDIRECT request the operation inside */
	uint16_t nr_segs;
	uint16_t nr_indirect;
	uint32_t indirect[USBLK_MAX_INDIRECT_PAGES];
	struct usblk_seg *segs;	/* room for max_segments */
	struct iovec *iov;	/* the same */
	int nr_iov;
	/* how the pages were reached, for giving them back: see grants.c */
	void *mapped;		/* pages mapped side by side for this request alone */
	uint32_t nr_mapped;
	int32_t *held;		/* entries of the persistent cache */
	uint32_t nr_held;
	void *buffer;		/* our own memory that grant copy fills; kept between requests */
};

struct usblk_grants;
struct usblk_io;

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
enum usblk_verdict usblk_req_check(const struct usblk_req *req, const struct usblk_config *config);
void usblk_segs_parse(struct usblk_seg *segs, const uint8_t *bytes, uint32_t nr);
bool usblk_segs_check(struct usblk_req *req, uint64_t sectors);

/* grants.c: a guest's pages in our memory */
struct usblk_grants *usblk_grants_create(const struct usblk_config *config, struct usblk_stats *stats);
void usblk_grants_destroy(struct usblk_grants *grants);
int usblk_grants_fetch_indirect(struct usblk_grants *grants, const struct usblk_req *req, uint8_t *ret);
int usblk_grants_get(struct usblk_grants *grants, struct usblk_req *req, bool from_guest);
int usblk_grants_put(struct usblk_grants *grants, struct usblk_req *req, bool to_guest);

/*
 * Where bytes live.  submit() either finishes the request and returns its errno (0 for success), or takes it and returns
 * USBLK_IO_QUEUED: then it comes back through reap() and `fd` becomes readable when there is something to reap.
 * An engine that queues orders barriers and flushes itself: a flush covers every write answered before it.
 */
#define USBLK_IO_QUEUED (-1)

struct usblk_io {
	const char *name;
	int fd;			/* to poll for completions; -1 when submit() always finishes */
	int (*submit)(struct usblk_io *io, struct usblk_req *req);
	struct usblk_req *(*reap)(struct usblk_io *io, int *error);
	void (*destroy)(struct usblk_io *io);
};

struct usblk_io *usblk_io_sync_create(int image_fd);

/* wait.c */
enum usblk_wake { USBLK_WAKE_STOP = 1, USBLK_WAKE_CHANNEL = 2, USBLK_WAKE_IO = 4 };

int usblk_wait(int stop_fd, int channel_fd, int io_fd);	/* a set of usblk_wake, or -1 */
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
