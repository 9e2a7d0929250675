// SPDX-License-Identifier: MIT
/* What a ring did: counters, latencies and its last requests; one thread writes, any may read. */
#include "stats.h"
#include "usblk.h"

static enum usblk_op op_of(const struct usblk_req *req)
{
	switch (req->action) {
	case BLKIF_OP_READ:
		return USBLK_READ;
	case BLKIF_OP_DISCARD:
		return USBLK_DISCARD;
	case BLKIF_OP_WRITE:
		return USBLK_WRITE;
	default:
		return req->nr_sectors ? USBLK_WRITE : USBLK_FLUSH;
	}
}

/* Count a request that is answered at `now`. */
void usblk_log_add(struct usblk_log *log, const struct usblk_req *req, int16_t status, uint64_t now)
{
	uint64_t latency = now - req->start_ns, seq = log->trace_seq + 1;
	struct usblk_trace *trace = &log->trace[seq % USBLK_TRACE_SIZE];
	struct usblk_stats *stats = &log->stats;

	if (status == BLKIF_RSP_OKAY) {
		enum usblk_op op = op_of(req);

		stat_add(&stats->requests[op], 1);
		stat_add(&stats->bytes[op], req->nr_sectors << USBLK_SECTOR_SHIFT);
		stat_add(&stats->latency[op][latency_bucket(latency)], 1);
	} else {
		stat_add(&stats->errors, 1);
	}
	stat_add(&stats->responses, 1);	/* last: who sees it counted sees the rest of it too */
	/* seq is 0 while the entry changes: a reader that sees the same one before and after has a whole entry */
	__atomic_store_n(&trace->seq, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	trace->time_ns = now;
	trace->latency_ns = latency;
	trace->id = req->id;
	trace->sector = req->sector;
	trace->nr_sectors = (uint32_t)req->nr_sectors;
	trace->segments = req->nr_segs;
	trace->status = status;
	trace->op = req->op == BLKIF_OP_INDIRECT ? req->action : req->op;
	trace->indirect = req->op == BLKIF_OP_INDIRECT;
	__atomic_store_n(&trace->seq, seq, __ATOMIC_RELEASE);
	__atomic_store_n(&log->trace_seq, seq, __ATOMIC_RELEASE);
}

uint32_t usblk_log_read(const struct usblk_log *log, uint64_t after, struct usblk_trace *ret, uint32_t max)
{
	uint64_t newest = __atomic_load_n(&log->trace_seq, __ATOMIC_ACQUIRE), seq;
	uint32_t nr = 0;

	if (after >= newest)
		return 0;
	seq = newest > USBLK_TRACE_SIZE && after < newest - USBLK_TRACE_SIZE ? newest - USBLK_TRACE_SIZE : after;
	if (newest - seq > max)
		seq = newest - max;
	while (seq++ < newest) {
		const struct usblk_trace *trace = &log->trace[seq % USBLK_TRACE_SIZE];

		if (__atomic_load_n(&trace->seq, __ATOMIC_ACQUIRE) != seq)
			continue;
		ret[nr] = *trace;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&trace->seq, __ATOMIC_RELAXED) == seq && ret[nr].seq == seq)
			nr++;
	}
	return nr;
}
