/* SPDX-License-Identifier: MIT */
/*
 * The frontend's half of the vhost-user handshake for one block device with one split virtqueue.
 * Source: QEMU's docs/interop/vhost-user.rst.
 */
#ifndef USBLK_BENCH_VHOST_USER_H
#define USBLK_BENCH_VHOST_USER_H

#include <stdint.h>
#include <stdlib.h>

/* Guest memory that the device maps too: one region, guest physical address 0 is its start. */
struct memory {
	int fd;
	uint8_t *base;
	size_t bytes;
};

struct disk {
	uint64_t sectors;
	uint32_t max_segments;
};

struct queue {
	uint32_t size;
	int kick; /* eventfds: we tell the device, it tells us */
	int call;
	uint8_t *desc; /* in guest memory */
	uint8_t *avail;
	uint8_t *used;
};

/* Says what is wrong on stderr and ends the process. */
_Noreturn void fail(const char *form, ...) __attribute__((format(printf, 1, 2)));

struct memory memory_new(size_t bytes);

/* Connect to the unix socket at 'path' and agree on features; the socket. */
int vhost_connect(const char *path, struct disk *disk);

/* Hand over memory and the queue; from then on the device serves it. */
void vhost_start(int sock, const struct memory *memory, const struct queue *queue);

/* Take the queue back: when this returns the device no longer touches memory. */
void vhost_stop(int sock);

#endif
