// SPDX-License-Identifier: GPL-2.0-only
/*
 * registry.c - the channels of one network namespace and their names.
 *
 * An object of its own, referenced by the namespace, by each open device file and by each
 * channel in it: no file holds the namespace, and who waits for names waits on memory that
 * lives as long as his file.
 */
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "core.h"

static unsigned int registry_net_id;

static struct msgc_registry **registry_slot(struct net *net)
{
	return net_generic(net, registry_net_id);
}

/* The caller's namespace holds its registry, and the caller holds the namespace. */
struct msgc_registry *msgc_registry_of_current(void)
{
	struct msgc_registry *reg = *registry_slot(current->nsproxy->net_ns);

	kref_get(&reg->ref);
	return reg;
}

static void registry_free(struct kref *ref)
{
	struct msgc_registry *reg = container_of(ref, struct msgc_registry, ref);

	xa_destroy(&reg->channels);
	mutex_destroy(&reg->lock);
	kfree(reg);
}

void msgc_registry_put(struct msgc_registry *reg)
{
	kref_put(&reg->ref, registry_free);
}

/* registry->lock held, after a name has come or gone. */
void msgc_registry_changed(struct msgc_registry *reg)
{
	lockdep_assert_held(&reg->lock);
	WRITE_ONCE(reg->generation, reg->generation + 1);
	/* Pairs with the barrier in device_poll(). */
	smp_mb();
	wake_up_all(&reg->wait);
}

static int __net_init registry_net_init(struct net *net)
{
	struct msgc_registry *reg = kzalloc(sizeof(*reg), GFP_KERNEL_ACCOUNT);

	if (!reg)
		return -ENOMEM;
	kref_init(&reg->ref);
	mutex_init(&reg->lock);
	xa_init(&reg->channels);
	init_waitqueue_head(&reg->wait);
	*registry_slot(net) = reg;
	return 0;
}

/*
 * Names and persistence end with the namespace; attached endpoints live on, in channels without
 * a name.
 */
static void __net_exit registry_net_exit(struct net *net)
{
	struct msgc_registry *reg = *registry_slot(net);

	mutex_lock(&reg->lock);
	WRITE_ONCE(reg->dead, true);
	msgc_registry_changed(reg);
	mutex_unlock(&reg->lock);
	msgc_channels_orphan(reg);
	msgc_registry_put(reg);
}

static struct pernet_operations registry_net_ops = {
	.init = registry_net_init,
	.exit = registry_net_exit,
	.id = &registry_net_id,
	.size = sizeof(struct msgc_registry *),
};

int msgc_registry_init(void)
{
	return register_pernet_subsys(&registry_net_ops);
}

void msgc_registry_exit(void)
{
	unregister_pernet_subsys(&registry_net_ops);
}
