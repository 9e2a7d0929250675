/* SPDX-License-Identifier: MIT */
/*
 * The queues of one vbd as a block frontend drives them, and the load on them: a front_disk is what all queues share, a front is one
 * queue with its ring.  build.py hands the declarations (everything but the lines of the preprocessor) to cffi.  Nothing here is
 * shared with the backend: two implementations check each other.
 */
#ifndef USBLK_GUEST_BLKFRONT_H
#define USBLK_GUEST_BLKFRONT_H

#include <stdint.h>

enum {
	FRONT_MAX_SLOTS = 512,	 /* a ring of 16 pages */
	FRONT_MAX_SEGMENTS = 4096,
	FRONT_MAX_INDIRECT = 8, /* pages, of 512 segments each */
	FRONT_MAX_QUEUES = 16,
	FRONT_BUCKETS = 512,
	FRONT_BOOK_BYTES = 69632,

	/* What front_run is to do. */
	FRONT_LOAD = 0,
	FRONT_VERIFY = 1,
	FRONT_FLUSH = 2,

	/* front_order */
	FRONT_GO = 0,
	FRONT_DRAIN = 1, /* make no new requests, wait for the responses */
	FRONT_LEAVE = 2, /* leave the ring as it is */

	/* Why front_run came back. */
	FRONT_DONE = 0,	 /* drained, or everything verified */
	FRONT_LEFT = 1,	 /* ordered to leave */
	FRONT_BROKEN = 2, /* the backend broke the protocol: "disabled for further use" */

	/* What the backend broke (front_stats.fault). */
	FAULT_NONE = 0,
	FAULT_COUNT = 1,     /* more responses than requests */
	FAULT_ID = 2,	     /* a response whose id is no slot or no pending slot */
	FAULT_OPERATION = 3, /* a response to another operation */
	FAULT_GRANT = 4,     /* a page still mapped although grants are not persistent */
};

/*
 * What is known of one granule of the disk.  Each write has a generation; 'low' is the last one that was confirmed and
 * 'high' the last one issued.  They differ while a write is under way or after one without a good end; each sector may then
 * be either.  0 is unknown.
 */
typedef struct front_note {
	uint32_t low;
	uint32_t high;
} front_note;

/*
 * The part of a disk's load that one queue carries.  The disk's blocks are dealt out to 'queues' in chunks, so that no two queues
 * work on one block and a disk that grows moves none from one queue to another.
 */
typedef struct front_load {
	uint32_t queue, queues;
	uint64_t chunk;	 /* blocks side by side that are one queue's */
	uint32_t read_percent;
	uint32_t block;	 /* bytes, a multiple of 512 */
	uint32_t depth;
	uint64_t rate;	 /* requests a second of all queues, 0 is as fast as it goes */
	uint64_t span;	 /* bytes of the disk to use, 0 is all of it */
	uint32_t flush_every;	/* a flush after so many writes, 0 is never */
	uint32_t fua_every;	/* a durable write after so many writes, 0 is never */
	uint32_t discard_every; /* a discard after so many writes, 0 is never */
	uint32_t secure_every;	/* a secure one of so many discards, 0 is never */
	int sequential;
	int verify;
	int spin; /* never sleep */
	uint64_t seed;
} front_load;

typedef struct front_stats {
	uint64_t reads, writes, flushes, discards;
	uint64_t bytes_read, bytes_written;
	uint64_t errors;      /* responses with an error */
	uint64_t mismatches;  /* granules whose bytes were not those written */
	uint64_t verified;    /* granules compared and right */
	uint64_t notifies, wakes;
	uint64_t unsupported; /* EOPNOTSUPP */
	uint64_t fault, fault_id, fault_value;
	uint64_t inflight;
	uint64_t persistent;  /* grants the backend keeps mapped */
	uint64_t unused[7];   /* queues share no cache line */
	uint64_t latency[512]; /* FRONT_BUCKETS: 8 per power of two of nanoseconds */
} front_stats;

/*
 * The notebook of one vdev, in shared memory that outlives the guest: counters anybody may read at any time, and after
 * FRONT_BOOK_BYTES the notes.  Each queue has counters of its own.
 */
typedef struct front_book {
	uint64_t identity; /* of the image the notes are about */
	uint32_t granule;  /* bytes a note stands for */
	uint32_t generation;
	uint32_t queues;   /* of the last connection */
	uint32_t most_queues; /* of any connection: so many have counted */
	uint64_t bad_sector;  /* where the last mismatch was */
	uint64_t unused[4];
	front_stats stats[16]; /* FRONT_MAX_QUEUES */
} front_book;

/* What the backend told us of the disk, shared by its queues.  Some of it changes under a running load. */
typedef struct front_disk {
	uint64_t sectors;
	uint32_t flush;	  /* 0, or the operation: 3 for flush, 2 for barrier; 0 after one that failed */
	uint32_t barrier; /* barriers are understood */
	uint32_t unit;	  /* sectors in what positions on the disk and in a page are counted in */
	uint32_t discard; /* 0 after one that was not supported */
	uint32_t secure;  /* secure discards are understood */
	uint32_t read_only;
	uint32_t persistent;
	uint32_t broken; /* a queue found that the backend broke the protocol */
	uint64_t discard_granularity; /* sectors, at least 1 */
	uint64_t discard_alignment;   /* sectors from the start to the first unit, less than the granularity */
} front_disk;

typedef struct front_setup {
	uint8_t *ram;	/* guest memory; the grant table is at its start */
	uint8_t *ring;	/* in guest memory */
	uint32_t ring_pages;
	int x86_32;
	uint16_t backend_domid;
	int event_fd, notify_fd, stop_fd;
	uint16_t handle;
	front_disk *disk;
	front_book *book;
	uint64_t nr_notes;
	uint32_t queue;

	/* How this frontend drives its ring. */
	uint64_t id_base, id_step; /* of a slot's requests: id_base + slot * id_step; a step of 0 is for one slot alone */
	int keep_grants;	/* pages stay granted from one request to the next */
	int read_only_lists;	/* indirect pages are granted for reading only */
	int always_notifies;	/* whatever req_event says */
	int yields;		/* look for responses instead of waiting for events */
	int from_page_start;	/* where buffers begin */
	int sync_barrier;	/* FRONT_FLUSH is a barrier and a flush */
} front_setup;

typedef struct front front;

front *front_new(const front_setup *setup);
void front_free(front *front);
uint32_t front_slots(front *front);
int front_reserve(front *front, uint32_t depth, uint32_t pages);
int front_add_pages(front *front, uint32_t count, const uint32_t *frames, const uint32_t *refs);
uint32_t front_pages(front *front);
uint32_t front_revoke(front *front, uint32_t *refs, uint32_t *frames);
void front_grant(uint8_t *ram, uint32_t ref, uint16_t domid, uint32_t frame, int read_only);
int front_revoke_one(uint8_t *ram, uint32_t ref);
void front_order(front *front, int order);
void front_wake(front *front);
void front_resize(front_disk *disk, uint64_t sectors);
int front_run(front *front, const front_load *load, int what);
void front_fill(uint8_t *at, uint32_t bytes, uint64_t sector, uint32_t generation);
int front_check(const uint8_t *at, uint64_t sector, uint32_t low, uint32_t high);

#endif
