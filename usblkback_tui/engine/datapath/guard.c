// SPDX-License-Identifier: MIT
/*
 * Copying out of a file mapping and into it.  A page that cannot be had (the file was cut short, the medium failed or is
 * full) raises SIGBUS in the thread that touches it; the copy then ends with EIO, and the process lives on.
 *
 * Whoever handled SIGBUS before gets every other one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

#include "usblk.h"

static __thread struct {
	sigjmp_buf out;
	const uint8_t *from, *to;	/* NULL while nothing is copied */
} guard;

static struct sigaction before;

static void on_sigbus(int signal, siginfo_t *info, void *context)
{
	const uint8_t *at = info->si_addr;

	bool fault = info->si_code > 0;	/* not sent by a process: then there is an address */

	if (fault && guard.from && at >= guard.from && at < guard.to) {
		guard.from = NULL;
		siglongjmp(guard.out, 1);
	}
	if (before.sa_flags & SA_SIGINFO)
		before.sa_sigaction(signal, info, context);
	else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
		before.sa_handler(signal);
	else if (fault || before.sa_handler == SIG_DFL) {
		sigaction(signal, &before, NULL);	/* the instruction is tried again, and now it ends the process */
		if (!fault)
			raise(signal);
	}
}

static void install(void)
{
	/* the jump does not restore the mask, so the signal must not be blocked by its handling */
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, &before);
}

void usblk_guard_install(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install);
}

/* Not inlined: what a jump out of it leaves behind must be none of the caller's variables. */
__attribute__((noinline)) static void copy(const struct iovec *iov, int nr, uint8_t *map, bool write)
{
	for (int i = 0; i < nr; i++) {
		if (write)
			memcpy(map, iov[i].iov_base, iov[i].iov_len);
		else
			memcpy(iov[i].iov_base, map, iov[i].iov_len);
		map += iov[i].iov_len;
	}
	/* the handler looks at the guard: it must stand until the last byte is there */
	__asm__ volatile("" : : : "memory");
}

/* Copy between all of iov, which holds `length` bytes, and a mapping; 0 or EIO. */
int usblk_guarded_copy(const struct iovec *iov, int nr, uint8_t *map, size_t length, bool write)
{
	if (sigsetjmp(guard.out, 0))
		return EIO;
	guard.to = map + length;
	guard.from = map;
	__asm__ volatile("" : : : "memory");
	copy(iov, nr, map, write);
	guard.from = NULL;
	return 0;
}
