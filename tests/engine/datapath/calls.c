/* SPDX-License-Identifier: MIT */
/*
 * For LD_PRELOAD: writes down, one line each in the file $CALLS, what is asked of the image, which is the descriptor $IMAGE_FD.
 * With $BLOCK_DEVICE it looks like a block device that can discard; with $NO_IO_URING the kernel has none.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int image(void)
{
	const char *fd = getenv("IMAGE_FD");

	return fd ? atoi(fd) : -1;
}

static void note(const char *call, uint64_t offset, uint64_t length)
{
	FILE *file = fopen(getenv("CALLS"), "a");

	if (file) {
		fprintf(file, "%s %lu %lu\n", call, offset, length);
		fclose(file);
	}
}

static void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

ssize_t pwrite(int fd, const void *from, size_t length, off_t offset)
{
	ssize_t (*next)(int, const void *, size_t, off_t) = real("pwrite");

	if (fd == image())
		note("write", offset, length);
	return next(fd, from, length, offset);
}

int fdatasync(int fd)
{
	int (*next)(int) = real("fdatasync");

	if (fd == image())
		note("flush", 0, 0);
	return next(fd);
}

int fstat(int fd, struct stat *ret)
{
	int (*next)(int, struct stat *) = real("fstat");
	int rc = next(fd, ret);

	if (!rc && fd == image() && getenv("BLOCK_DEVICE"))
		ret->st_mode = (ret->st_mode & ~S_IFMT) | S_IFBLK;
	return rc;
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int, unsigned long, void *) = real("ioctl");
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (fd != image() || (request != BLKDISCARD && request != BLKSECDISCARD))
		return next(fd, request, argument);
	note(request == BLKDISCARD ? "discard" : "secure", ((uint64_t *)argument)[0], ((uint64_t *)argument)[1]);
	return 0;
}

long syscall(long number, ...)
{
	long (*next)(long, ...) = real("syscall");
	va_list arguments;
	long a[6];

	va_start(arguments, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(arguments, long);
	va_end(arguments);
	if (number == __NR_io_uring_setup && getenv("NO_IO_URING")) {
		errno = EPERM;
		return -1;
	}
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
