// SPDX-License-Identifier: MIT
/* How long to look for work before sleeping; see usblk.h. */
#include "usblk.h"

#define FIRST_NS 5000u
#define GIVE_WAY_NS 100000000u
#define PREEMPTED_NS 200000u	/* between two looks at the clock that are a microsecond apart */

void usblk_poller_slept(struct usblk_poller *poller, uint64_t began, uint64_t now)
{
	if (now < poller->not_before_ns)
		return;
	if (now - began >= poller->max_ns)
		poller->window_ns /= 2;
	else if (!poller->window_ns)
		poller->window_ns = FIRST_NS;
	else
		poller->window_ns *= 2;
	if (poller->window_ns < FIRST_NS)
		poller->window_ns = 0;
	if (poller->window_ns > poller->max_ns)
		poller->window_ns = poller->max_ns;
}

bool usblk_poller_preempted(struct usblk_poller *poller, uint64_t before, uint64_t now)
{
	if (now - before < PREEMPTED_NS)
		return false;
	poller->window_ns = 0;
	poller->not_before_ns = now + GIVE_WAY_NS;
	return true;
}
