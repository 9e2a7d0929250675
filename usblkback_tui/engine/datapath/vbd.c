// SPDX-License-Identifier: MIT
/* What all queues of a disk share, and what all disks of a process share. */
#include <stdlib.h>
#include <sys/stat.h>

#include "usblk.h"

struct usblk_budget {
	uint32_t limit;
	uint32_t used;
};

struct usblk_budget *usblk_budget_create(uint32_t pages)
{
	struct usblk_budget *budget = calloc(1, sizeof(*budget));

	if (budget)
		budget->limit = pages;
	return budget;
}

uint32_t usblk_budget_used(const struct usblk_budget *budget)
{
	return __atomic_load_n(&budget->used, __ATOMIC_RELAXED);
}

void usblk_budget_destroy(struct usblk_budget *budget)
{
	free(budget);
}

/* One more page may stay mapped. */
bool usblk_budget_take(struct usblk_budget *budget)
{
	uint32_t used;

	if (!budget)
		return true;
	used = __atomic_load_n(&budget->used, __ATOMIC_RELAXED);
	do {
		if (used >= budget->limit)
			return false;
	} while (!__atomic_compare_exchange_n(&budget->used, &used, used + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

void usblk_budget_give(struct usblk_budget *budget)
{
	if (budget)
		__atomic_sub_fetch(&budget->used, 1, __ATOMIC_RELAXED);
}

struct usblk_vbd *usblk_vbd_create(const struct usblk_vbd_config *config)
{
	struct usblk_vbd *vbd = calloc(1, sizeof(*vbd));
	struct stat st;

	if (!vbd)
		return NULL;
	vbd->block_device = fstat(config->image_fd, &st) == 0 && S_ISBLK(st.st_mode);
	vbd->config = *config;
	vbd->sectors = config->sectors;
	if (vbd->config.discard_granularity < 1u << USBLK_SECTOR_SHIFT)
		vbd->config.discard_granularity = 1u << USBLK_SECTOR_SHIFT;
	return vbd;
}

void usblk_vbd_destroy(struct usblk_vbd *vbd)
{
	free(vbd);
}

void usblk_vbd_set_sectors(struct usblk_vbd *vbd, uint64_t sectors)
{
	__atomic_store_n(&vbd->sectors, sectors, __ATOMIC_RELAXED);
}

int usblk_vbd_poisoned(const struct usblk_vbd *vbd)
{
	return __atomic_load_n(&vbd->poisoned, __ATOMIC_ACQUIRE);
}

int usblk_vbd_last_errno(const struct usblk_vbd *vbd)
{
	return __atomic_load_n(&vbd->last_errno, __ATOMIC_RELAXED);
}
