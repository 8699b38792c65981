/*
 * wrk.c: small questions that every part of the worker asks (process objmapper-worker).
 */
#include "worker/wrk.h"

enum om_tier_state wrk_tier_state(const struct wrk *w, unsigned tier)
{
	struct idxr_tier row;

	if (tier >= OM_TIERS_MAX || !w->tiers[tier].known || w->tiers[tier].objects_fd < 0 ||
	    idxr_tier(&w->idx, tier, &row) < 0)
		return OM_TIERS_ABSENT;
	return row.state;
}

static bool wrk_uid_in(const uint32_t *uids, uint32_t n, uint32_t uid)
{
	for (uint32_t i = 0; i < n; i++)
		if (uids[i] == uid)
			return true;
	return false;
}

bool wrk_uid_trusted(const struct wrk *w, uint32_t uid)
{
	return wrk_uid_in(w->boot.trusted_uid, OM_MIN(w->boot.n_trusted, OM_TRUSTED_MAX), uid);
}

bool wrk_uid_legacy(const struct wrk *w, uint32_t uid)
{
	return wrk_uid_in(w->boot.legacy_uid, OM_MIN(w->boot.n_legacy, OM_TRUSTED_MAX), uid);
}
