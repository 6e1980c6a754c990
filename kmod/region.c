// SPDX-License-Identifier: GPL-2.0-only
/*
 * region.c - pages with exactly one writing party, and every mapping of them.
 *
 * An endpoint maps five areas, all through its own fd. Its own regions it maps whole; what it
 * sees of its peers are windows, a stride per peer. Everything is filled by faults, which makes
 * one function the judge of who sees which page:
 *
 *	own, alive			the region's page
 *	own and writable, dead		the endpoint's scratch page: writes go nowhere
 *	a peer's			the peer's page, also while it is dead but not drained
 *	a peer's, revoked		zeros; in a writable window the endpoint's scratch page
 *					(a shared one would carry data between users)
 *	a stride that never had an owner: SIGBUS
 *
 * A fault looks and inserts under map_lock held for reading; who takes pages away marks first,
 * then zaps under map_lock held for writing. So no fault can undo a revocation, and a page
 * found in a fault cannot be freed in it.
 */
#include <linux/file.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "core.h"

#define AREA_PGSHIFT	(MSGC_AREA_SHIFT - PAGE_SHIFT)
#define FAULT_AROUND	16

int msgc_region_alloc(struct msgc_region *region, u64 bytes)
{
	unsigned int nr = bytes >> PAGE_SHIFT;

	region->nr = 0;
	region->pages = NULL;
	if (!nr)
		return 0;
	region->pages = kvcalloc(nr, sizeof(*region->pages), GFP_KERNEL_ACCOUNT);
	if (!region->pages)
		return -ENOMEM;
	while (region->nr < nr) {
		struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO |
					       __GFP_RETRY_MAYFAIL | __GFP_NOWARN);

		if (!page || fatal_signal_pending(current)) {
			if (page)
				__free_page(page);
			msgc_region_free(region);
			return page ? -EINTR : -ENOMEM;
		}
		region->pages[region->nr++] = page;
		cond_resched();
	}
	return 0;
}

/* Gives up some pages: no fault looks for them any more. Mappings hold pages by themselves. */
void msgc_region_punch(struct msgc_region *region, u64 offset, u64 bytes)
{
	unsigned int i = offset >> PAGE_SHIFT, end = (offset + bytes) >> PAGE_SHIFT;

	for (; i < end; i++) {
		if (region->pages[i])
			put_page(region->pages[i]);
		region->pages[i] = NULL;
		if (!(i % 1024))
			cond_resched();
	}
}

void msgc_region_free(struct msgc_region *region)
{
	msgc_region_punch(region, 0, msgc_region_bytes(region));
	region->nr = 0;
	kvfree(region->pages);
	region->pages = NULL;
}

static bool area_writable(const struct msgc_endpoint *ep, unsigned int k)
{
	switch (k) {
	case MSGC_OWN:
		return true;
	case MSGC_DATA:
		return msgc_is_sender(ep);
	case MSGC_PEER:
		return !msgc_is_ring(ep->ch) && !msgc_is_sender(ep);
	default:
		return false;
	}
}

/* Which region of a peer a window shows: see the table in the UAPI header. */
static const struct msgc_region *window_region(const struct msgc_endpoint *ep, unsigned int k,
					       const struct msgc_endpoint *peer)
{
	if (msgc_is_ring(ep->ch))
		return k == MSGC_DATA ? &peer->data : &peer->own;
	return k == MSGC_DATA ? &peer->data : &peer->peer;
}

/* A ring's records are mapped twice in a row, so that none ever wraps. */
static struct page *region_page(const struct msgc_endpoint *of, const struct msgc_region *region,
				pgoff_t at)
{
	if (msgc_is_ring(of->ch) && region == &of->data && at < 2UL * region->nr)
		at &= region->nr - 1;
	return at < region->nr ? region->pages[at] : NULL;
}

static bool slot_is_shed(const struct msgc_endpoint *peer, u32 slot)
{
	return !msgc_is_ring(peer->ch) && (READ_ONCE(peer->shed) & 1ULL << slot);
}

static struct page *window_page(struct msgc_endpoint *ep, unsigned int k, pgoff_t at)
{
	pgoff_t stride = ep->area[k].stride >> PAGE_SHIFT;
	struct msgc_channel *ch = ep->ch;
	u32 number = at / stride, base = msgc_is_sender(ep) ? 0 : ch->par.max_receivers;
	struct msgc_endpoint *peer;
	struct page *page = NULL;

	/* pairs with enter_table(), which raises it last */
	if (number >= smp_load_acquire(&ch->fresh[2 - ep->role]))
		return NULL;
	/* after the index was found in use: pairs with enter_table() */
	peer = smp_load_acquire(&ch->member[base + number].ep);
	if (peer && !slot_is_shed(peer, at % stride * ch->par.slots / stride))
		page = region_page(peer, window_region(ep, k, peer), at % stride);
	if (page)
		return page;
	return area_writable(ep, k) ? ep->scratch : msgc_zero_page;
}

/* Under map_lock. */
static struct page *page_at(struct msgc_endpoint *ep, pgoff_t pgoff)
{
	unsigned int k = pgoff >> AREA_PGSHIFT;
	pgoff_t at = pgoff & ((1UL << AREA_PGSHIFT) - 1);

	if (ep->dead && area_writable(ep, k))
		return ep->scratch;
	switch (k) {
	case MSGC_STATUS:
		return region_page(ep, &ep->ch->status, at);
	case MSGC_OWN:
		return region_page(ep, &ep->own, at);
	case MSGC_INBOX:
		return region_page(ep, &ep->inbox, at);
	case MSGC_DATA:
		return ep->area[k].stride ? window_page(ep, k, at) : region_page(ep, &ep->data, at);
	default:
		if (ep->area[k].stride)
			return window_page(ep, k, at);
		return region_page(ep, &ep->peer, at) ?: msgc_zero_page;
	}
}

/*
 * The neighbours in the aligned block, as far as they have pages of their own: many times
 * cheaper than a fault for each.
 */
static void map_around(struct vm_fault *vmf, struct msgc_endpoint *ep)
{
	struct vm_area_struct *vma = vmf->vma;
	pgoff_t first = max(vmf->pgoff & ~(FAULT_AROUND - 1UL), vma->vm_pgoff);
	pgoff_t end = min((vmf->pgoff | (FAULT_AROUND - 1UL)) + 1, vma->vm_pgoff + vma_pages(vma));
	unsigned long addr = vma->vm_start + ((first - vma->vm_pgoff) << PAGE_SHIFT);
	struct page *pages[FAULT_AROUND];
	unsigned long nr = 0;

	while (first + nr < end) {
		struct page *page = page_at(ep, first + nr);

		if (!page || page == msgc_zero_page || page == ep->scratch)
			break;
		pages[nr++] = page;
	}
	if (nr > 1)
		vm_insert_pages(vma, addr, pages, &nr);	/* best effort: some may be there already */
}

/* Never returns vmf->page: the core would install that after map_lock was dropped. */
static vm_fault_t region_fault(struct vm_fault *vmf)
{
	struct msgc_endpoint *ep = vmf->vma->vm_file->private_data;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	struct page *page;

	down_read(&ep->map_lock);
	page = page_at(ep, vmf->pgoff);
	if (page) {
		map_around(vmf, ep);
		ret = vmf_insert_page(vmf->vma, vmf->address & PAGE_MASK, page);
	}
	up_read(&ep->map_lock);
	return ret;
}

/*
 * How many mappings it may have: every window by single strides, and some. A stride mapped
 * without end would make taking it away endless.
 */
static int mappings_most(const struct msgc_endpoint *ep)
{
	u64 most = 64;
	unsigned int k;

	for (k = 0; k < MSGC_AREAS; k++)
		if (ep->area[k].stride)
			most += div64_u64(ep->area[k].size, ep->area[k].stride);
	return most;
}

static void region_vm_open(struct vm_area_struct *vma)
{
	struct msgc_endpoint *ep = vma->vm_file->private_data;

	atomic_inc(&ep->mappings);
}

static void region_vm_close(struct vm_area_struct *vma)
{
	struct msgc_endpoint *ep = vma->vm_file->private_data;

	atomic_dec(&ep->mappings);
}

/* munmap, mprotect, madvise of a part. */
static int region_may_split(struct vm_area_struct *vma, unsigned long addr)
{
	struct msgc_endpoint *ep = vma->vm_file->private_data;

	return atomic_read(&ep->mappings) < mappings_most(ep) ? 0 : -ENOMEM;
}

static const struct vm_operations_struct region_vm_ops = {
	.open = region_vm_open,
	.close = region_vm_close,
	.may_split = region_may_split,
	.fault = region_fault,
};

/* An area whole, a window also by whole strides. */
static bool range_fits(const struct msgc_area *area, u64 offset, u64 len)
{
	if (!area->stride)
		return !offset && len == area->size;
	return !(offset % area->stride) && !(len % area->stride) && offset < area->size &&
	       len <= area->size - offset;
}

int msgc_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct msgc_endpoint *ep = file->private_data;
	unsigned int k = vma->vm_pgoff >> AREA_PGSHIFT;
	u64 offset = (u64)(vma->vm_pgoff & ((1UL << AREA_PGSHIFT) - 1)) << PAGE_SHIFT;

	if (task_tgid(current) != ep->pid)
		return -EPERM;
	if (READ_ONCE(ep->dead))
		return -ESHUTDOWN;
	if (k >= MSGC_AREAS || !range_fits(&ep->area[k], offset, vma->vm_end - vma->vm_start))
		return -EINVAL;
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if ((vma->vm_flags & VM_EXEC) || ((vma->vm_flags & VM_WRITE) && !area_writable(ep, k)))
		return -EACCES;
	if (atomic_inc_return(&ep->mappings) > mappings_most(ep)) {
		atomic_dec(&ep->mappings);
		return -ENOMEM;
	}
	/* What is not granted now must not come later by mprotect. */
	vm_flags_clear(vma, area_writable(ep, k) ? VM_MAYEXEC : VM_MAYEXEC | VM_MAYWRITE);
	vm_flags_set(vma, VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY);
	vma->vm_ops = &region_vm_ops;
	return 0;
}

static void zap(struct msgc_endpoint *ep, u64 start, u64 len)
{
	unmap_mapping_range(&ep->mapping, start, len, 1);
}

/* A client's own view of its replies, before some of them go: what is left faults in again. */
void msgc_zap_replies(struct msgc_endpoint *client)
{
	lockdep_assert_held_write(&client->map_lock);
	zap(client, client->area[MSGC_PEER].offset, client->area[MSGC_PEER].size);
}

/* Death: map_lock is held for writing, and `dead` is set. */
void msgc_zap_writable(struct msgc_endpoint *ep)
{
	unsigned int k;

	lockdep_assert_held_write(&ep->map_lock);
	for (k = 0; k < MSGC_AREAS; k++)
		if (ep->area[k].size && area_writable(ep, k))
			zap(ep, ep->area[k].offset, ep->area[k].size);
}

/*
 * What `ep` has mapped of `peer`, who has been marked before: taken out of the table, or put
 * into it.
 */
void msgc_zap_peer(struct msgc_endpoint *ep, const struct msgc_endpoint *peer)
{
	unsigned int k;

	down_write(&ep->map_lock);
	for (k = MSGC_DATA; k < MSGC_AREAS; k++)
		if (ep->area[k].stride)
			zap(ep, ep->area[k].offset + peer->number * ep->area[k].stride,
			    ep->area[k].stride);
	up_write(&ep->map_lock);
}
