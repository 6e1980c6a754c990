// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - the module's init ladder and the device: open, create, unlink, list, features.
 */
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "core.h"

struct workqueue_struct *msgc_wq;
struct page *msgc_zero_page;

struct msgc_device_file {
	struct msgc_registry *registry;
	/* generation at open, or at the last LIST or OPEN; registry->lock to write */
	u64 seen;
};

/*
 * A size-first struct: `known` bytes is what this kernel knows, `first` what its first version
 * had. Shorter: -EINVAL; longer with anything but zeros behind: -E2BIG. Flags are checked by
 * the caller.
 */
int msgc_copy_in(void *to, size_t known, size_t first, const void __user *from)
{
	u32 size;

	if (get_user(size, (const u32 __user *)from))
		return -EFAULT;
	if (size < first)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	return copy_struct_from_user(to, known, from, size);
}

static int device_open(struct inode *inode, struct file *file)
{
	struct msgc_device_file *df = kzalloc(sizeof(*df), GFP_KERNEL_ACCOUNT);

	if (!df)
		return -ENOMEM;
	df->registry = msgc_registry_of_current();
	df->seen = READ_ONCE(df->registry->generation);
	file->private_data = df;
	return nonseekable_open(inode, file);
}

static int device_release(struct inode *inode, struct file *file)
{
	struct msgc_device_file *df = file->private_data;

	msgc_registry_put(df->registry);
	kfree(df);
	return 0;
}

static __poll_t device_poll(struct file *file, struct poll_table_struct *pt)
{
	struct msgc_device_file *df = file->private_data;
	struct msgc_registry *reg = df->registry;

	poll_wait(file, &reg->wait, pt);
	/*
	 * Pairs with the barrier in registry_changed(): either this sees the change or that one
	 * sees the waiter.
	 */
	smp_mb();
	if (READ_ONCE(reg->dead))
		return EPOLLHUP | EPOLLPRI;
	return READ_ONCE(reg->generation) != READ_ONCE(df->seen) ? EPOLLPRI : 0;
}

static int device_features(void __user *arg)
{
	struct msgc_features f;
	int err = msgc_copy_in(&f, sizeof(f), sizeof(f), arg);

	if (err)
		return err;
	if (f.flags)
		return -EOPNOTSUPP;
	if (f.features)
		return -EINVAL;
	f.size = sizeof(f);
	f.features = MSGC_FEATURES_OFFERED;
	return copy_to_user(arg, &f, sizeof(f)) ? -EFAULT : 0;
}

/*
 * What this file has seen of the set of names, sampled before the walk that follows: a change
 * during it is reported again.
 */
static int device_sees(struct msgc_device_file *df)
{
	struct msgc_registry *reg = df->registry;
	int err;

	mutex_lock(&reg->lock);
	WRITE_ONCE(df->seen, reg->generation);
	err = reg->dead ? -ENODEV : 0;
	mutex_unlock(&reg->lock);
	return err;
}

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct msgc_device_file *df = file->private_data;
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case MSGC_FEATURES:
		return device_features(uarg);
	case MSGC_CREATE:
		return msgc_channel_create(df->registry, uarg);
	case MSGC_OPEN:
		return device_sees(df) ?: msgc_channel_open(df->registry, uarg);
	case MSGC_UNLINK:
		return msgc_channel_unlink(df->registry, uarg);
	case MSGC_LIST:
		return device_sees(df) ?: msgc_list(df->registry, uarg);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.poll = device_poll,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "msgchan",
	.fops = &device_fops,
	.mode = 0666,
};

static int __init msgc_init(void)
{
	int err = -ENOMEM;

	msgc_zero_page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!msgc_zero_page)
		return err;
	msgc_wq = alloc_workqueue("msgchan", WQ_UNBOUND, 0);
	if (!msgc_wq)
		goto free_page;
	err = msgc_registry_init();
	if (err)
		goto free_wq;
	err = misc_register(&device);
	if (err)
		goto free_registry;
	return 0;

free_registry:
	msgc_registry_exit();
free_wq:
	destroy_workqueue(msgc_wq);
free_page:
	__free_page(msgc_zero_page);
	return err;
}

/*
 * No file of ours is open any more (each holds the module); persistent channels go with their
 * registries, work is flushed.
 */
static void __exit msgc_exit(void)
{
	misc_deregister(&device);
	msgc_registry_exit();
	msgc_inherit_exit();
	destroy_workqueue(msgc_wq);
	__free_page(msgc_zero_page);
}

module_init(msgc_init);
module_exit(msgc_exit);

MODULE_DESCRIPTION("Zero-copy message channels between processes");
MODULE_LICENSE("GPL");
