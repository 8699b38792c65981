/*
 * idx_tier_mark.c: the marker in a tier's root (see the header). Runs in the supervisor when a tier is opened, made or
 * adopted.
 */
#include "index/cat/idx_tier_mark.h"

#include "index/cat/idx_cat_int.h"
#include "index/cat/idx_line.h"

#define MARK_HEAD "objmapper-tier 1"
static const char *const mark_fields[] = { "tier", "install" };

int idx_tier_mark_read(int dirfd, struct idx_tier_mark *ret_mark)
{
	struct idx_tier_mark m;
	uint8_t *const values[] = { m.tier_id, m.install_id };
	int rc = idx_line_read(dirfd, IDX_TIER_MARK_NAME, MARK_HEAD, mark_fields, values, OM_ARRAY_SIZE(values));

	if (rc == -OBJM_STATUS_CORRUPT)
		return idx_cat_fail(rc, IDX_TIER_MARK_NAME ": is not a tier's marker: restore it or remove it and adopt the tier");
	if (rc != 0)
		return idx_cat_fail(rc, IDX_TIER_MARK_NAME ": cannot read it: %s", strerror(errno));
	*ret_mark = m;
	return 0;
}

int idx_tier_mark_write(int dirfd, const struct idx_tier_mark *mark, bool replace)
{
	const uint8_t *const values[] = { mark->tier_id, mark->install_id };
	int rc = idx_line_write(dirfd, IDX_TIER_MARK_NAME, MARK_HEAD, mark_fields, values, OM_ARRAY_SIZE(values), replace);

	return rc == 0 ? 0 : idx_cat_fail(rc, IDX_TIER_MARK_NAME ": cannot write it: %s", strerror(errno));
}
