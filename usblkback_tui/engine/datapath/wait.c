// SPDX-License-Identifier: MIT
/* Waiting and telling the time on a POSIX system. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "usblk.h"

int usblk_wait(int stop_fd, int channel_fd, int io_fd)
{
	struct pollfd fds[3] = {
		{ .fd = stop_fd, .events = POLLIN },
		{ .fd = channel_fd, .events = POLLIN },
		{ .fd = io_fd, .events = POLLIN },	/* poll() passes over -1 */
	};
	int wake = 0;

	while (poll(fds, 3, -1) < 0) {
		if (errno != EINTR)
			return -1;
	}
	if (fds[0].revents)
		wake |= USBLK_WAKE_STOP;
	if (fds[1].revents & (POLLERR | POLLNVAL | POLLHUP))
		return -1;
	if (fds[1].revents)
		wake |= USBLK_WAKE_CHANNEL;
	if (fds[2].revents)
		wake |= USBLK_WAKE_IO;
	return wake;
}

/* Whether there is something to read, or an error to be told of. */
bool usblk_readable(int fd)
{
	struct pollfd look = { .fd = fd, .events = POLLIN };

	return poll(&look, 1, 0) != 0;
}

int usblk_stop_create(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void usblk_stop_signal(int fd)
{
	(void)!write(fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

void usblk_stop_clear(int fd)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
}

void usblk_stop_destroy(int fd)
{
	close(fd);
}

uint64_t usblk_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
