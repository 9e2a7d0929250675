/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "vhost_user.h"

#include <errno.h>
#include <linux/vhost_types.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	SET_VRING_ENABLE = 18,
	GET_CONFIG = 24,

	VERSION = 1,
	IS_REPLY = 4, /* in 'flags' */
};

#define BIT(n) (1ULL << (n))
#define F_PROTOCOL_FEATURES 30
#define PROTOCOL_F_CONFIG 9

/* What a Linux guest's virtio_blk takes when it is offered. */
#define WANTED (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
		BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(F_PROTOCOL_FEATURES))

struct header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
};

struct region {
	uint64_t guest_address;
	uint64_t bytes;
	uint64_t user_address;
	uint64_t offset;
};

union payload {
	uint64_t u64;
	struct vhost_vring_state state;
	struct vhost_vring_addr address;
	struct {
		uint32_t count;
		uint32_t padding;
		struct region region;
	} memory;
	struct {
		uint32_t offset;
		uint32_t bytes;
		uint32_t flags;
		uint8_t data[256];
	} config;
};

void fail(const char *form, ...)
{
	va_list args;

	fputs("vhost-user: ", stderr);
	va_start(args, form);
	vfprintf(stderr, form, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void say(int sock, uint32_t request, union payload *payload, size_t size, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct header header = { request, VERSION, (uint32_t)size };
	struct iovec iov[2] = { { &header, sizeof(header) }, { payload, size } };
	struct msghdr envelope = { .msg_iov = iov, .msg_iovlen = 2 };

	if (fd >= 0) {
		struct cmsghdr *cmsg;

		envelope.msg_control = control;
		envelope.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&envelope);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	if (sendmsg(sock, &envelope, MSG_NOSIGNAL) != (ssize_t)(sizeof(header) + size))
		fail("request %u cannot be sent: %s", request, strerror(errno));
}

static void hear(int sock, uint32_t request, union payload *payload)
{
	struct header header;

	if (recv(sock, &header, sizeof(header), MSG_WAITALL) != sizeof(header))
		fail("no answer to request %u", request);
	if (header.request != request || !(header.flags & IS_REPLY) || header.size > sizeof(*payload))
		fail("request %u is answered with %u, flags %u, %u bytes", request, header.request, header.flags, header.size);
	if (recv(sock, payload, header.size, MSG_WAITALL) != (ssize_t)header.size)
		fail("half an answer to request %u", request);
}

static void say_u64(int sock, uint32_t request, uint64_t value, int fd)
{
	union payload payload = { .u64 = value };

	say(sock, request, &payload, sizeof(value), fd);
}

static void say_state(int sock, uint32_t request, uint32_t value)
{
	union payload payload = { .state = { 0, value } };

	say(sock, request, &payload, sizeof(payload.state), -1);
}

static uint64_t ask(int sock, uint32_t request)
{
	union payload payload = { 0 };

	say(sock, request, &payload, 0, -1);
	hear(sock, request, &payload);
	return payload.u64;
}

struct memory memory_new(size_t bytes)
{
	struct memory memory = { memfd_create("guest", MFD_CLOEXEC), NULL, bytes };

	if (memory.fd < 0 || ftruncate(memory.fd, (off_t)bytes))
		fail("no guest memory: %s", strerror(errno));
	memory.base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memory.fd, 0);
	if (memory.base == MAP_FAILED)
		fail("no guest memory: %s", strerror(errno));
	return memory;
}

static void read_config(int sock, struct disk *disk)
{
	union payload payload = { 0 };
	struct virtio_blk_config config;
	size_t head = offsetof(struct virtio_blk_config, seg_max) + sizeof(config.seg_max);

	payload.config.bytes = (uint32_t)head;
	say(sock, GET_CONFIG, &payload, offsetof(union payload, config.data) + head, -1);
	hear(sock, GET_CONFIG, &payload);
	if (payload.config.bytes != head)
		fail("the device does not tell its size");
	memcpy(&config, payload.config.data, head);
	*disk = (struct disk){ config.capacity, config.seg_max };
}

int vhost_connect(const char *path, struct disk *disk)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t offered;

	if (strlen(path) >= sizeof(address.sun_path))
		fail("%s is too long for a socket", path);
	strcpy(address.sun_path, path);
	if (sock < 0 || connect(sock, (struct sockaddr *)&address, sizeof(address)))
		fail("%s: %s", path, strerror(errno));
	offered = ask(sock, GET_FEATURES);
	if ((offered & WANTED) != WANTED)
		fail("the device offers features %#llx, which lack %#llx", (unsigned long long)offered,
		     (unsigned long long)(WANTED & ~offered));
	if (!(ask(sock, GET_PROTOCOL_FEATURES) & BIT(PROTOCOL_F_CONFIG)))
		fail("the device does not tell its configuration");
	say_u64(sock, SET_PROTOCOL_FEATURES, BIT(PROTOCOL_F_CONFIG), -1);
	say_u64(sock, SET_FEATURES, WANTED, -1);
	read_config(sock, disk);
	return sock;
}

void vhost_start(int sock, const struct memory *memory, const struct queue *queue)
{
	union payload payload = { 0 };

	say(sock, SET_OWNER, &payload, 0, -1);
	payload.memory.count = 1;
	payload.memory.region = (struct region){ 0, memory->bytes, (uintptr_t)memory->base, 0 };
	say(sock, SET_MEM_TABLE, &payload, sizeof(payload.memory), memory->fd);
	say_state(sock, SET_VRING_NUM, queue->size);
	say_state(sock, SET_VRING_BASE, 0);
	payload.address = (struct vhost_vring_addr){
		.desc_user_addr = (uintptr_t)queue->desc,
		.avail_user_addr = (uintptr_t)queue->avail,
		.used_user_addr = (uintptr_t)queue->used,
	};
	say(sock, SET_VRING_ADDR, &payload, sizeof(payload.address), -1);
	say_u64(sock, SET_VRING_CALL, 0, queue->call);
	say_u64(sock, SET_VRING_KICK, 0, queue->kick);
	say_state(sock, SET_VRING_ENABLE, 1);
}

void vhost_stop(int sock)
{
	union payload payload = { 0 };

	say(sock, GET_VRING_BASE, &payload, sizeof(payload.state), -1);
	hear(sock, GET_VRING_BASE, &payload);
}
