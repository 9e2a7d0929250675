// SPDX-License-Identifier: MIT
/*
 * Stand-ins for libxenstore, libxengnttab and libxenevtchn in one library, with the real signatures: a store in memory
 * with snapshot transactions, permissions that are recorded, and watches; granted pages in a memfd; event channels over
 * eventfds.  The fake_* functions are the test's side: they play the guest, make calls fail or hang, and count.
 *
 * One lock; sizes are fixed and checked.  No thread of its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_NODES 256
#define MAX_PATH 128
#define MAX_VALUE 256
#define MAX_PERMS 4
#define MAX_WATCHES 32
#define MAX_EVENTS 8192
#define MAX_FAULTS 16
#define MAX_TRANSACTIONS 8
#define MAX_PORTS 16
#define GRANTS 64
#define PAGE 4096

struct perm { unsigned int id, perms; };
struct node {
	char path[MAX_PATH];
	char value[MAX_VALUE];
	unsigned int len, nperms;
	struct perm perms[MAX_PERMS];
};
struct tree { struct node nodes[MAX_NODES]; int count; };
struct xs_handle { int fd; };
struct transaction { bool used; unsigned int base; struct tree tree; };
struct event { char path[MAX_PATH], token[MAX_PATH]; };
struct fault { char function[64]; int error, times; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tree store;
static unsigned int generation;
static struct transaction transactions[MAX_TRANSACTIONS];
static struct event watches[MAX_WATCHES];
static int nwatches;
static struct event *events;
static int nevents, first_event;
static int event_fd = -1;
static struct fault faults[MAX_FAULTS];
static atomic_bool released;
static int own_domid, collisions, open_handles;
static int memory_fd = -1;
static struct { bool used, writable; unsigned int domid; } grants[GRANTS];
static int mapped_pages, open_gnttabs, open_evtchns;
static struct { bool offered, bound; unsigned int domid; int fd; int masked; int notified; } ports[MAX_PORTS];

/* ---- the test's side ---- */

static struct node *find(struct tree *tree, const char *path)
{
	for (int i = 0; i < tree->count; i++)
		if (!strcmp(tree->nodes[i].path, path))
			return &tree->nodes[i];
	return NULL;
}

static bool below(const char *parent, const char *child)
{
	size_t len = strlen(parent);

	return !strncmp(parent, child, len) && (child[len] == '\0' || child[len] == '/' || !strcmp(parent, "/"));
}

static void queue_event(const char *path, const char *token)
{
	if (nevents >= MAX_EVENTS)
		abort();
	struct event *event = &events[(first_event + nevents++) % MAX_EVENTS];

	snprintf(event->path, sizeof(event->path), "%s", path);
	snprintf(event->token, sizeof(event->token), "%s", token);
	eventfd_write(event_fd, 1);
}

static void fire(const char *path, bool removed)
{
	for (int i = 0; i < nwatches; i++)
		if (below(watches[i].path, path) || (removed && below(path, watches[i].path)))
			queue_event(path, watches[i].token);
}

static const char *full(const char *path, char *room)
{
	if (path[0] == '/' || path[0] == '@')
		return path;
	snprintf(room, MAX_PATH, "/local/domain/%d/%.90s", own_domid, path);
	return room;
}

static struct node *make(struct tree *tree, const char *path)
{
	char parent[MAX_PATH];
	struct node *node = find(tree, path);

	if (node)
		return node;
	snprintf(parent, sizeof(parent), "%s", path);
	for (char *slash = strrchr(parent, '/'); slash && slash != parent; slash = strrchr(parent, '/')) {
		*slash = '\0';
		make(tree, parent);
		break;
	}
	if (tree->count == MAX_NODES)
		abort();
	node = &tree->nodes[tree->count++];
	memset(node, 0, sizeof(*node));
	snprintf(node->path, sizeof(node->path), "%s", path);
	return node;
}

static bool drop(struct tree *tree, const char *path)
{
	int kept = 0;
	bool found = false;

	for (int i = 0; i < tree->count; i++) {
		if (below(path, tree->nodes[i].path))
			found = true;
		else
			tree->nodes[kept++] = tree->nodes[i];
	}
	tree->count = kept;
	return found;
}

void fake_reset(int domid)
{
	if (event_fd >= 0)
		close(event_fd);
	if (memory_fd >= 0)
		close(memory_fd);
	free(events);
	events = calloc(MAX_EVENTS, sizeof(*events));
	memset(&store, 0, sizeof(store));
	memset(transactions, 0, sizeof(transactions));
	memset(faults, 0, sizeof(faults));
	memset(grants, 0, sizeof(grants));
	for (int i = 0; i < MAX_PORTS; i++)
		if (ports[i].fd > 0)
			close(ports[i].fd);
	memset(ports, 0, sizeof(ports));
	generation = nwatches = nevents = first_event = 0;
	collisions = open_handles = mapped_pages = open_gnttabs = open_evtchns = 0;
	own_domid = domid;
	released = false;
	event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	memory_fd = memfd_create("guest", MFD_CLOEXEC);
	if (ftruncate(memory_fd, GRANTS * PAGE))
		abort();
}

/* Make a function fail with error, so many times; times < 0: always.  Error 0: hang until fake_release. */
void fake_fault(const char *function, int error, int times)
{
	for (int i = 0; i < MAX_FAULTS; i++)
		if (!faults[i].function[0] || !strcmp(faults[i].function, function)) {
			snprintf(faults[i].function, sizeof(faults[i].function), "%s", function);
			faults[i].error = error;
			faults[i].times = times;
			return;
		}
	abort();
}

void fake_release(void) { released = true; }

/* Somebody else writes between the start and the end of the next so many transactions. */
void fake_collide(int times) { collisions = times; }

void fake_write(const char *path, const char *value, unsigned int len)
{
	struct node *node = make(&store, path);

	memcpy(node->value, value, len);
	node->len = len;
	generation++;
	fire(path, false);
}

/* "owner reader reader ..." of a node, as "n0 r5" in the field's notation; empty when never set. */
void fake_perms(const char *path, char *out, unsigned int size)
{
	struct node *node = find(&store, path);
	unsigned int used = 0;

	out[0] = '\0';
	for (unsigned int i = 0; node && i < node->nperms; i++)
		used += snprintf(out + used, size - used, "%s%c%u", i ? " " : "", "nrwb"[node->perms[i].perms & 3],
				 node->perms[i].id);
}

void fake_event(const char *path, const char *token) { queue_event(path, token); }

void fake_grant(unsigned int ref, unsigned int domid, bool writable)
{
	grants[ref].used = true;
	grants[ref].writable = writable;
	grants[ref].domid = domid;
}

void fake_offer(int port, unsigned int domid)
{
	ports[port].offered = true;
	ports[port].domid = domid;
}

int fake_count(const char *what)
{
	int used = 0;

	for (int i = 0; i < MAX_TRANSACTIONS; i++)
		used += transactions[i].used;
	return !strcmp(what, "transactions") ? used : !strcmp(what, "watches") ? nwatches :
	       !strcmp(what, "connections") ? open_handles : !strcmp(what, "mapped") ? mapped_pages :
	       !strcmp(what, "gnttabs") ? open_gnttabs : !strcmp(what, "evtchns") ? open_evtchns : -1;
}

int fake_notified(int port) { return ports[port].notified; }
int fake_bound(int port) { return ports[port].bound; }
void fake_kick(int port) { eventfd_write(ports[port].fd, 1); }

static bool failing(const char *function)
{
	for (int i = 0; i < MAX_FAULTS; i++) {
		struct fault *fault = &faults[i];

		if (strcmp(fault->function, function) || !fault->times)
			continue;
		if (fault->times > 0)
			fault->times--;
		if (!fault->error) {
			while (!released)
				usleep(1000);
			return false;
		}
		errno = fault->error;
		return true;
	}
	return false;
}

/* ---- libxenstore ---- */

static struct tree *tree_of(uint32_t t) { return t ? &transactions[t - 1].tree : &store; }

struct xs_handle *xs_open(unsigned long flags)
{
	(void)flags;
	if (failing("xs_open"))
		return NULL;
	open_handles++;
	struct xs_handle *h = malloc(sizeof(*h));

	h->fd = event_fd;
	return h;
}

void xs_close(struct xs_handle *h)
{
	open_handles--;
	nwatches = 0;
	free(h);
}

int xs_fileno(struct xs_handle *h) { return h->fd; }

void *xs_read(struct xs_handle *h, uint32_t t, const char *path, unsigned int *len)
{
	char room[MAX_PATH];
	(void)h;
	if (failing("xs_read"))
		return NULL;
	struct node *node = find(tree_of(t), full(path, room));

	if (!node) {
		errno = ENOENT;
		return NULL;
	}
	char *copy = malloc(node->len + 1);

	memcpy(copy, node->value, node->len);
	copy[node->len] = '\0';
	*len = node->len;
	return copy;
}

char **xs_directory(struct xs_handle *h, uint32_t t, const char *path, unsigned int *num)
{
	struct tree *tree = tree_of(t);
	size_t len = strlen(path);
	(void)h;
	if (failing("xs_directory"))
		return NULL;
	if (!find(tree, path)) {
		errno = ENOENT;
		return NULL;
	}
	char **names = malloc(MAX_NODES * (sizeof(char *) + MAX_PATH));
	char *text = (char *)(names + MAX_NODES);

	*num = 0;
	for (int i = 0; i < tree->count; i++) {
		const char *child = tree->nodes[i].path;

		if (!strncmp(child, path, len) && child[len] == '/' && !strchr(child + len + 1, '/')) {
			names[(*num)++] = text;
			text = stpcpy(text, child + len + 1) + 1;
		}
	}
	return names;
}

bool xs_write(struct xs_handle *h, uint32_t t, const char *path, const void *data, unsigned int len)
{
	char room[MAX_PATH];
	(void)h;
	if (failing("xs_write"))
		return false;
	if (strchr(path, ' ') || strstr(path, "//")) {
		errno = EINVAL;
		return false;
	}
	if (len > MAX_VALUE) {
		errno = E2BIG;
		return false;
	}
	struct node *node = make(tree_of(t), full(path, room));

	memcpy(node->value, data, len);
	node->len = len;
	if (!t) {
		generation++;
		fire(node->path, false);
	}
	return true;
}

bool xs_rm(struct xs_handle *h, uint32_t t, const char *path)
{
	(void)h;
	if (failing("xs_rm"))
		return false;
	if (!drop(tree_of(t), path)) {
		errno = ENOENT;
		return false;
	}
	if (!t) {
		generation++;
		fire(path, true);
	}
	return true;
}

bool xs_set_permissions(struct xs_handle *h, uint32_t t, const char *path, struct perm *perms, unsigned int num)
{
	struct node *node = find(tree_of(t), path);
	(void)h;
	if (failing("xs_set_permissions"))
		return false;
	if (!node || num > MAX_PERMS) {
		errno = node ? ENOSPC : ENOENT;
		return false;
	}
	memcpy(node->perms, perms, num * sizeof(*perms));
	node->nperms = num;
	return true;
}

struct perm *xs_get_permissions(struct xs_handle *h, uint32_t t, const char *path, unsigned int *num)
{
	(void)h;
	if (failing("xs_get_permissions"))
		return NULL;
	struct node *node = find(tree_of(t), path);

	if (!node) {
		errno = ENOENT;
		return NULL;
	}
	/* a node nobody gave permissions to is our own, and nobody else's */
	struct perm own = { .id = own_domid }, *source = node->nperms ? node->perms : &own;
	struct perm *copy = malloc(MAX_PERMS * sizeof(*copy));

	*num = node->nperms ? node->nperms : 1;
	memcpy(copy, source, *num * sizeof(*copy));
	return copy;
}

uint32_t xs_transaction_start(struct xs_handle *h)
{
	(void)h;
	if (failing("xs_transaction_start"))
		return 0;
	for (int i = 0; i < MAX_TRANSACTIONS; i++)
		if (!transactions[i].used) {
			transactions[i].used = true;
			transactions[i].base = generation;
			transactions[i].tree = store;
			return i + 1;
		}
	errno = ENOSPC;
	return 0;
}

bool xs_transaction_end(struct xs_handle *h, uint32_t t, bool cancel)
{
	struct transaction *transaction = &transactions[t - 1];
	static struct tree old;
	(void)h;
	transaction->used = false;
	if (cancel)
		return true;
	if (failing("xs_transaction_end"))
		return false;
	if (collisions > 0) {
		collisions--;
		fake_write("/elsewhere", "x", 1);
	}
	if (transaction->base != generation) {
		errno = EAGAIN;
		return false;
	}
	old = store;
	store = transaction->tree;
	generation++;
	for (int i = 0; i < store.count; i++) {
		struct node *was = find(&old, store.nodes[i].path);

		if (!was || was->len != store.nodes[i].len || memcmp(was->value, store.nodes[i].value, was->len))
			fire(store.nodes[i].path, false);
	}
	for (int i = 0; i < old.count; i++)
		if (!find(&store, old.nodes[i].path))
			fire(old.nodes[i].path, true);
	return true;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
	(void)h;
	if (failing("xs_watch"))
		return false;
	for (int i = 0; i < nwatches; i++)
		if (!strcmp(watches[i].path, path) && !strcmp(watches[i].token, token)) {
			errno = EEXIST;
			return false;
		}
	if (nwatches == MAX_WATCHES) {
		errno = E2BIG;
		return false;
	}
	snprintf(watches[nwatches].path, MAX_PATH, "%s", path);
	snprintf(watches[nwatches++].token, MAX_PATH, "%s", token);
	queue_event(path, token);
	return true;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
	(void)h;
	if (failing("xs_unwatch"))
		return false;
	for (int i = 0; i < nwatches; i++)
		if (!strcmp(watches[i].path, path) && !strcmp(watches[i].token, token)) {
			watches[i] = watches[--nwatches];
			return true;
		}
	errno = ENOENT;
	return false;
}

char **xs_check_watch(struct xs_handle *h)
{
	eventfd_t drained;

	(void)h;
	if (failing("xs_check_watch"))
		return NULL;
	/* As the header allows: reading one event may make the descriptor quiet although more are waiting. */
	(void)!eventfd_read(event_fd, &drained);
	if (!nevents) {
		errno = EAGAIN;
		return NULL;
	}
	struct event *event = &events[first_event];
	char **answer = malloc(2 * sizeof(char *) + sizeof(*event));

	answer[0] = (char *)(answer + 2);
	answer[1] = answer[0] + MAX_PATH;
	memcpy(answer + 2, event, sizeof(*event));
	first_event = (first_event + 1) % MAX_EVENTS;
	nevents--;
	return answer;
}

bool xs_is_domain_introduced(struct xs_handle *h, unsigned int domid)
{
	char path[MAX_PATH];
	(void)h;
	snprintf(path, sizeof(path), "/introduced/%u", domid);
	return find(&store, path) != NULL;
}

/* ---- libxengnttab ---- */

void *xengnttab_open(void *logger, unsigned flags)
{
	(void)logger;
	(void)flags;
	if (failing("xengnttab_open"))
		return NULL;
	pthread_mutex_lock(&lock);
	open_gnttabs++;
	pthread_mutex_unlock(&lock);
	return malloc(1);
}

int xengnttab_close(void *xgt)
{
	pthread_mutex_lock(&lock);
	open_gnttabs--;
	pthread_mutex_unlock(&lock);
	free(xgt);
	return 0;
}

void *xengnttab_map_domain_grant_refs(void *xgt, uint32_t count, uint32_t domid, uint32_t *refs, int prot)
{
	(void)xgt;
	if (failing("xengnttab_map_domain_grant_refs"))
		return NULL;
	for (uint32_t i = 0; i < count; i++)
		if (refs[i] >= GRANTS || !grants[refs[i]].used || grants[refs[i]].domid != domid ||
		    ((prot & PROT_WRITE) && !grants[refs[i]].writable)) {
			errno = EINVAL;
			return NULL;
		}
	char *area = mmap(NULL, (size_t)count * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (uint32_t i = 0; i < count; i++)
		mmap(area + (size_t)i * PAGE, PAGE, prot, MAP_SHARED | MAP_FIXED, memory_fd, (off_t)refs[i] * PAGE);
	mapped_pages += count;
	return area;
}

int xengnttab_unmap(void *xgt, void *start, uint32_t count)
{
	(void)xgt;
	if (failing("xengnttab_unmap"))
		return -1;
	mapped_pages -= count;
	return munmap(start, (size_t)count * PAGE);
}

#ifndef WITHOUT_COPY
int xengnttab_grant_copy(void *xgt, uint32_t count, void *segments)
{
	(void)xgt;
	(void)count;
	(void)segments;
	return failing("xengnttab_grant_copy") ? -1 : 0;
}
#endif

/* ---- libxenevtchn ---- */

struct evtchn { int port, fd; bool poked; };

enum { SELF = 0x7ff0, NEAR = 900, FAR = 901 };	/* a channel from a handle to itself */

void *xenevtchn_open(void *logger, unsigned int flags)
{
	(void)logger;
	(void)flags;
	if (failing("xenevtchn_open"))
		return NULL;
	struct evtchn *xce = malloc(sizeof(*xce));

	xce->port = 0;
	xce->poked = false;
	xce->fd = eventfd(0, EFD_CLOEXEC);
	open_evtchns++;
	return xce;
}

int xenevtchn_close(struct evtchn *xce)
{
	if (xce->port)
		ports[xce->port].bound = false;
	if (!xce->port)
		close(xce->fd);
	free(xce);
	open_evtchns--;
	return 0;
}

int xenevtchn_fd(struct evtchn *xce) { return xce->fd; }

int xenevtchn_bind_unbound_port(struct evtchn *xce, uint32_t domid)
{
	(void)xce;
	return failing("xenevtchn_bind_unbound_port") || domid != SELF ? -1 : NEAR;
}

int xenevtchn_bind_interdomain(struct evtchn *xce, uint32_t domid, uint32_t port)
{
	if (domid == SELF && port == NEAR)
		return FAR;
	if (failing("xenevtchn_bind_interdomain"))
		return -1;
	if (port >= MAX_PORTS || !ports[port].offered || ports[port].bound || ports[port].domid != domid) {
		errno = EINVAL;
		return -1;
	}
	ports[port].bound = true;
	ports[port].fd = xce->fd;
	xce->port = port;
	return port + 100;
}

int xenevtchn_unbind(struct evtchn *xce, uint32_t port)
{
	if (port == NEAR || port == FAR)
		return 0;
	if (port != (uint32_t)xce->port + 100) {
		errno = EINVAL;
		return -1;
	}
	ports[xce->port].bound = false;
	ports[xce->port].fd = 0;
	close(xce->fd);
	xce->port = 0;
	xce->fd = -1;
	return 0;
}

int xenevtchn_pending(struct evtchn *xce)
{
	eventfd_t count;

	if (eventfd_read(xce->fd, &count))
		return -1;
	if (xce->poked) {
		xce->poked = false;
		return FAR;
	}
	ports[xce->port].masked = 1;
	return xce->port + 100;
}

int xenevtchn_unmask(struct evtchn *xce, uint32_t port)
{
	if (port == FAR)
		return 0;
	ports[port - 100].masked = 0;
	return xce->port ? 0 : -1;
}

int xenevtchn_notify(struct evtchn *xce, uint32_t port)
{
	if (port == NEAR) {
		xce->poked = true;
		return eventfd_write(xce->fd, 1);
	}
	ports[port - 100].notified++;
	return xce->port ? 0 : -1;
}
