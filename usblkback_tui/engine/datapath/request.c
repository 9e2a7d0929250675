// SPDX-License-Identifier: MIT
/*
 * From a ring slot's bytes to a checked request.
 *
 * The caller has copied the slot (and indirect pages) out of shared memory once; everything here works on that copy, so a
 * guest that rewrites its request meanwhile changes nothing (XSA-155).  Layouts: xen/include/public/io/blkif.h as
 * compiled for a 64-bit and for a 32-bit x86 guest, which aligns 64-bit members to 4 bytes.
 */
#include <string.h>

#include "usblk.h"

const struct usblk_layout usblk_layouts[2] = {
	[USBLK_ABI_64] = { .slot_size = 112, .id = 8, .sector = 16, .segs = 24, .nr_discard = 24,
			   .indirect_grefs = 28, .rsp_size = 16 },
	[USBLK_ABI_32] = { .slot_size = 108, .id = 4, .sector = 12, .segs = 20, .nr_discard = 20,
			   .indirect_grefs = 24, .rsp_size = 12 },
};

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

_Static_assert(sizeof(struct usblk_seg) * USBLK_SEGMENTS_PER_INDIRECT_PAGE == USBLK_PAGE_SIZE, "segments as guests write them");

void usblk_req_parse(struct usblk_req *req, const uint8_t *slot, const struct usblk_layout *layout)
{
	uint8_t count = slot[1];	/* segments; of a discard its flags, of an indirect request the operation */

	req->op = slot[0];
	req->action = req->op;
	req->id = get64(slot + layout->id);
	req->sector = get64(slot + layout->sector);
	req->nr_sectors = 0;
	req->discard_flags = 0;
	req->nr_segs = 0;
	req->nr_indirect = 0;
	req->nr_iov = 0;
	req->nr_mapped = 0;
	req->nr_held = 0;

	switch (req->op) {
	case BLKIF_OP_DISCARD:
		req->nr_sectors = get64(slot + layout->nr_discard);
		req->discard_flags = count;
		break;
	case BLKIF_OP_INDIRECT:
		req->action = count;
		req->nr_segs = get16(slot + 2);
		req->nr_indirect = (uint16_t)((req->nr_segs + USBLK_SEGMENTS_PER_INDIRECT_PAGE - 1) /
					      USBLK_SEGMENTS_PER_INDIRECT_PAGE);
		for (uint32_t i = 0; i < USBLK_MAX_INDIRECT_PAGES; i++)
			req->indirect[i] = get32(slot + layout->indirect_grefs + 4 * i);
		break;
	default:
		req->nr_segs = count;
		if (count <= USBLK_SEGMENTS_DIRECT)
			memcpy(req->segs, slot + layout->segs, count * sizeof(*req->segs));
	}
}

/* Everything that can be said without looking at the segments themselves. */
enum usblk_verdict usblk_req_check(const struct usblk_req *req, const struct usblk_vbd_config *vbd, uint32_t max_segments)
{
	switch (req->op) {
	case BLKIF_OP_READ:
		return req->nr_segs >= 1 && req->nr_segs <= USBLK_SEGMENTS_DIRECT ? USBLK_VALID : USBLK_BAD;
	case BLKIF_OP_WRITE:
		if (req->nr_segs < 1 || req->nr_segs > USBLK_SEGMENTS_DIRECT)
			return USBLK_BAD;
		return vbd->readonly ? USBLK_READONLY : USBLK_VALID;
	case BLKIF_OP_WRITE_BARRIER:
	case BLKIF_OP_FLUSH_DISKCACHE:
		/* both may carry data, and without data both are a flush */
		if (req->nr_segs > USBLK_SEGMENTS_DIRECT)
			return USBLK_BAD;
		return req->nr_segs && vbd->readonly ? USBLK_READONLY : USBLK_VALID;
	case BLKIF_OP_DISCARD:
		if (vbd->readonly)
			return USBLK_READONLY;
		if (!vbd->discard || ((req->discard_flags & BLKIF_DISCARD_SECURE) && !vbd->secure_discard))
			return USBLK_NOT_OFFERED;
		return req->nr_sectors ? USBLK_VALID : USBLK_BAD;
	case BLKIF_OP_INDIRECT:
		if (req->action != BLKIF_OP_READ && req->action != BLKIF_OP_WRITE)
			return USBLK_BAD;
		if (req->nr_segs < 1 || req->nr_segs > max_segments ||
		    req->nr_indirect > USBLK_MAX_INDIRECT_PAGES)
			return USBLK_BAD;
		return req->action == BLKIF_OP_WRITE && vbd->readonly ? USBLK_READONLY : USBLK_VALID;
	default:
		return USBLK_BAD;
	}
}

/* The segments lie inside their pages, and the request inside the image; sets nr_sectors.  Cannot overflow. */
bool usblk_segs_check(struct usblk_req *req, uint64_t sectors)
{
	if (req->op != BLKIF_OP_DISCARD) {
		/* without a branch, for there can be 4096: anything but 0..7 has another bit set, and so has first > last */
		uint32_t sum = req->nr_segs, bits = 0;

		for (uint32_t i = 0; i < req->nr_segs; i++) {
			uint32_t last = req->segs[i].last, more = last - req->segs[i].first;

			bits |= last | more;
			sum += more;
		}
		req->nr_sectors = 0;
		if (bits >= USBLK_SECTORS_PER_PAGE)
			return false;
		req->nr_sectors = sum;
		if (!sum)	/* an empty flush: its sector number means nothing */
			return true;
	}
	return req->sector <= sectors && req->nr_sectors <= sectors - req->sector;
}
