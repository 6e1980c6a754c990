// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Endpoints: to attach and map, to wait, to ask about peers, and to leave. */
#include <string.h>

#include "internal.h"

/*
 * Where an endpoint lies: one page that a forked child keeps, then those that it finds zeroed. From
 * the first it can still free everything, and close its copy of the fd.
 */
struct kept {
	size_t size;
	int fd;
};

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static struct kept *kept_of(struct ipc_endpoint *ep)
{
	return (struct kept *)((char *)ep - page_size());
}

static size_t priv_offset(void)
{
	return (sizeof(struct ipc_endpoint) + 63) & ~(size_t)63;
}

/* The endpoint's memory, zeroed, with @size bytes for its kind; NULL: no memory. */
static struct ipc_endpoint *handle_new(size_t size, int fd)
{
	size_t page = page_size();
	size_t wiped = (priv_offset() + size + page - 1) & ~(page - 1);
	struct ipc_endpoint *ep;
	void *base;

	/* NORESERVE: most of an untethered receiver's arena is never touched. */
	if (sys_mmap(&base, page + wiped, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))
		return NULL;
	ep = (void *)((char *)base + page);
	if (madvise(ep, wiped, MADV_WIPEONFORK)) {
		sys_munmap(base, page + wiped);
		return NULL;
	}
	*kept_of(ep) = (struct kept){ .size = page + wiped, .fd = fd };
	ep->fd = fd;
	ep->priv = (char *)ep + priv_offset();
	return ep;
}

/* Its fd is closed with it: that is the end of the endpoint, unless a forked child does this. */
static void handle_free(struct ipc_endpoint *ep)
{
	struct kept *kept = kept_of(ep);

	sys_close(kept->fd);
	sys_munmap(kept, kept->size);
}

static void unmap_areas(struct ipc_endpoint *ep)
{
	for (int k = 0; k < MSGC_AREAS; k++)
		if (ep->area[k])
			sys_munmap(ep->area[k], ep->area_size[k]);
}

static int map_area(struct ipc_endpoint *ep, int k, const struct msgc_area *area, int prot)
{
	int ret;

	if (prot == PROT_NONE)
		return 0;
	if (area->size > SIZE_MAX)
		return -ENOMEM;
	ret = sys_mmap(&ep->area[k], (size_t)area->size, prot, MAP_SHARED, ep->fd, area->offset);
	if (ret) {
		ep->area[k] = NULL;
		return ret;
	}
	ep->area_size[k] = (size_t)area->size;
	return 0;
}

static int map_areas(struct ipc_endpoint *ep, const struct ipc_kind *kind,
		     const struct msgc_attach *at)
{
	int ret = 0;

	for (int k = 0; !ret && k < MSGC_AREAS; k++)
		ret = map_area(ep, k, &at->area[k], kind->prot[k]);
	if (ret)
		unmap_areas(ep);
	return ret;
}

static const struct ipc_kind *kind_of(const struct msgc_info *info, const struct ipc_attach *how)
{
	if (info->mode != MSGC_RING)
		return how->role == IPC_SENDER ? &ipc_client : &ipc_server;
	if (how->role == IPC_SENDER)
		return &ipc_ring_sender;
	if (how->flags & IPC_UNTETHERED)
		return &ipc_ring_observer;
	return info->delivery == MSGC_BALANCED ? &ipc_balanced_receiver : &ipc_ring_receiver;
}

/* Build the handle around the endpoint fd, which is closed if this fails. */
static int set_up(struct ipc_channel *ch, int fd, const struct msgc_attach *at,
		  const struct ipc_attach *how, struct ipc_endpoint **out)
{
	const struct ipc_kind *kind = kind_of(&ch->info, how);
	struct ipc_endpoint *ep = handle_new(kind->size(at), fd);
	int ret;

	if (!ep) {
		sys_close(fd);
		return -ENOMEM;
	}
	ret = map_areas(ep, kind, at);
	if (ret) {
		handle_free(ep);
		return ret;
	}
	ep->id = at->id;
	kind->init(ep, &ch->info, at, how);
	ep->kind = kind;
	*out = ep;
	return 0;
}

IPC_API int ipc_attach(struct ipc_channel *ch, const struct ipc_attach *how,
		       struct ipc_endpoint **out)
{
	struct msgc_attach at = { .size = sizeof(at) };
	struct ipc_attach h;
	int ret = ipc_copy_sized(&h, sizeof(h), how, sizeof(h));

	if (ret)
		return ret;
	if (h.flags & IPC_TIMED && (ch->info.mode != MSGC_RING || h.role != IPC_SENDER))
		return -EINVAL;
	at.flags = h.flags & ~(uint32_t)IPC_TIMED;	/* nothing to the kernel */
	at.role = h.role;
	at.held = h.held;
	at.ring = h.ring;
	ret = sys_ioctl(ch->fd, MSGC_ATTACH, &at);
	return ret < 0 ? ret : set_up(ch, ret, &at, &h, out);
}

IPC_API void ipc_detach(struct ipc_endpoint *ep)
{
	struct msgc_none none = { 0 };

	if (!ep)
		return;
	if (ep->kind) {
		if (ep->kind->finish)
			ep->kind->finish(ep);
		/* Closing is not enough while a forked child holds a copy of the fd. */
		sys_ioctl(ep->fd, MSGC_DETACH, &none);
		unmap_areas(ep);
	}
	handle_free(ep);
}

IPC_API uint32_t ipc_id(const struct ipc_endpoint *ep)
{
	return ep->id;
}

IPC_API int ipc_fd(const struct ipc_endpoint *ep)
{
	return ep->kind ? ep->fd : -EPERM;
}

int ipc_endpoint_wait(struct ipc_endpoint *ep, unsigned int events, uint64_t deadline)
{
	struct msgc_wait w = { .events = events, .kick = -1, .deadline = deadline };
	int ret = sys_ioctl(ep->fd, MSGC_WAIT, &w);

	return ret > 0 && ret & MSGC_ERR ? -ESHUTDOWN : ret;
}

/* IPC_PEERS is reported until it was: the caller looks at its peers now, or later ones. */
static void peers_told(struct ipc_endpoint *ep)
{
	const struct msgc_status *st = ep->area[MSGC_STATUS];
	uint64_t generation = __atomic_load_n(&st->generation, __ATOMIC_ACQUIRE);

	__atomic_store_n(ep->seen, generation, __ATOMIC_RELAXED);
}

int ipc_wait_begin(struct ipc_endpoint *ep)
{
	int ret;

	if (!ep->kind)
		return -EPERM;
	ret = ep->kind->publish ? ep->kind->publish(ep) : 0;
	return ret < 0 ? ret : 0;
}

int ipc_wait_end(struct ipc_endpoint *ep, int ret)
{
	if (ret > 0 && ret & MSGC_ERR)
		return -ESHUTDOWN;
	if (ret > 0 && ret & IPC_PEERS)
		peers_told(ep);
	return ret;
}

IPC_API int ipc_wait(struct ipc_endpoint *ep, unsigned int events, uint64_t deadline)
{
	int ret = ipc_wait_begin(ep);

	return ret ? ret : ipc_wait_end(ep, ipc_endpoint_wait(ep, events, deadline));
}

IPC_API int ipc_interrupt(struct ipc_endpoint *ep)
{
	struct msgc_none none = { 0 };

	return ep->kind ? sys_ioctl(ep->fd, MSGC_INTERRUPT, &none) : -EPERM;
}
