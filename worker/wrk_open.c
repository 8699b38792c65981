/*
 * wrk_open.c: opening objects' files (process objmapper-worker). Called by wrk_get.c: in the loop when it cannot block, else on
 * an I/O thread. Paths are relative to a tier's objects/ directory and follow from the id.
 */
#include "worker/wrk_open.h"

#include "backend/be.h"
#include "backend/be_how.h"
#include "common/om_fault.h"
#include "worker/wrk_dir.h"

static int wrk_open_fault(void)
{
	int err = om_fault(OM_FAULT_GET_OPEN);

	if (!err)
		return 0;
	errno = err;
	return -om_status_errno(err);
}

int wrk_open_now(const struct wrk *w, unsigned tier, uint64_t id, int *ret_fd)
{
	static bool no_cached; /* this kernel does not know it; loop thread only */
	const struct wrk_tier *t = tier < OM_TIERS_MAX ? &w->tiers[tier] : NULL;
	char path[OM_OBJ_PATH_MAX];
	int fd, rc;

	if (!t || !t->known || t->objects_fd < 0 || !(t->row.flags & OM_TIERF_READABLE))
		return -OBJM_STATUS_UNAVAILABLE;
	if (om_fault_stalls(OM_FAULT_GET_OPEN))
		return -OBJM_STATUS_WOULD_BLOCK;
	rc = wrk_open_fault();
	if (rc < 0)
		return rc;
	if (t->row.type == OM_TIER_MEMORY) /* nothing to wait for but leases, and those are answered with EAGAIN */
		return wrk_dirs_open(w->dirs, t->objects_fd, tier, id, ret_fd);
	if (no_cached)
		return -OBJM_STATUS_WOULD_BLOCK;
	om_obj_path(id, path);
	fd = be_how_open(t->objects_fd, path, BE_HOW_CACHED);
	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	if (errno == EINVAL || errno == ENOSYS)
		no_cached = true;
	/* Whatever else went wrong, the patient way finds out and says it. */
	return errno == ENOENT ? -OBJM_STATUS_NOT_FOUND : -OBJM_STATUS_WOULD_BLOCK;
}

int wrk_open_wait(const struct wrk *w, unsigned tier, uint64_t id, int *ret_fd)
{
	int rc = wrk_open_fault();

	return rc < 0 ? rc : be_dir_open_wait(w->tiers[tier].objects_fd, id, ret_fd);
}
