/*
 * be.c: the interface of tiers (be.h): each call goes to the tier's driver. Workers, lifecycle process, supervisor.
 */
#include "backend/be.h"

int be_open(const struct be *be, uint64_t id, int *ret_fd) { return be->ops->open(be, id, ret_fd); }

int be_begin(const struct be *be, uint64_t size_hint, struct be_file *ret_file)
{
	return be->ops->begin(be, size_hint, ret_file);
}

int be_begin_own(const struct be *be, struct be_file *ret_file)
{
	int rc;

	if (be->ops->begin_own)
		return be->ops->begin_own(be, ret_file);
	rc = be->ops->begin(be, 0, ret_file);
	if (rc == 0) {
		om_close(&ret_file->fd);
		ret_file->fd = om_take_fd(&ret_file->rwfd);
		ret_file->own = true;
	}
	return rc;
}

int be_quiet(const struct be *be, const struct be_file *file) { return be->ops->quiet(be, file); }

int be_copy(const struct be *be, const struct be_file *from, struct be_file *ret_file)
{
	return be->ops->copy(be, from, ret_file);
}

int be_freeze(const struct be *be, struct be_file *file, const struct om_rec *rec)
{
	OM_ASSERT(file->rwfd < 0); /* our own writable descriptor would make the lease fail for ever */
	return be->ops->freeze(be, file, rec);
}

int be_link(struct be *be, struct be_file *file, uint64_t id, const struct om_rec *rec)
{
	OM_ASSERT(id != 0 && file->id == 0);
	return be->ops->link(be, file, id, rec);
}

int be_sync(struct be *be, struct be_file *const *files, unsigned n) { return be->ops->sync(be, files, n); }

int be_held(const struct be *be, const struct be_file *file) { return be->ops->here && file->id ? file->fd : -1; }

int be_cut(const struct be *be, struct be_file *file) { return be->ops->cut(be, file); }

int be_usage(const struct be *be, struct be_usage *ret) { return be->ops->usage(be, ret); }

int be_remove(struct be *be, uint64_t id, struct be_batch *batch) { return be->ops->remove(be, id, batch); }

int be_remove_sync(struct be *be, struct be_batch *batch) { return be->ops->remove_sync(be, batch); }

int be_attr_replace(const struct be *be, uint64_t id, const struct om_rec *rec, enum be_when when)
{
	OM_ASSERT(when != BE_LATER || be_attr_can_wait(be));
	return be->ops->attr ? be->ops->attr(be, id, rec, when) : -OBJM_STATUS_UNSUPPORTED_OP;
}

bool be_attr_can_wait(const struct be *be) { return be->ops->attr_sync && (be->caps & OM_TIERC_SYNCFS); }

int be_attr_sync(struct be *be) { return be->ops->attr_sync ? be->ops->attr_sync(be) : -OBJM_STATUS_UNSUPPORTED_OP; }

int be_scan(struct be *be, uint64_t id_from, uint64_t id_to, be_scan_fn *fn, void *arg)
{
	return be->ops->scan(be, id_from, id_to, fn, arg);
}

int be_describe(const struct be *be, uint64_t id, uint8_t buf[static BE_ATTR_MAX], struct be_found *ret)
{
	return be->ops->describe(be, id, buf, ret);
}

int be_describe_fd(const struct be *be, int fd, uint64_t id, uint8_t buf[static BE_ATTR_MAX], struct be_found *ret)
{
	return be->ops->describe_fd ? be->ops->describe_fd(be, fd, id, buf, ret) : be->ops->describe(be, id, buf, ret);
}

int be_clone(const struct be *be, int from_fd, struct be_file *ret_file)
{
	return be->ops->clone ? be->ops->clone(be, from_fd, ret_file) : -OBJM_STATUS_UNSUPPORTED_OP;
}
