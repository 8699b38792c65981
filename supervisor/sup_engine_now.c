/*
 * sup_engine_now.c: short questions that every part of the engine asks of what stands now: the index, the tiers, the secret of the keys.
 * It calls none of these parts. Publisher's thread, but for sup_engine_secret() and sup_pub_blind(): any.
 */
#include "supervisor/sup_engine_now.h"

const uint8_t *sup_engine_secret(const struct sup_engine *e) { return idx_state_identity(e->state)->secret; }

int sup_pub_current(const struct sup_engine *e, const struct idx_key *key, struct idx_ent *ret)
{
	int err = idxw_get(e->index, key, ret, NULL);

	if (err == 0 && sup_expired(ret->expiry_s))
		return -OBJM_STATUS_NOT_FOUND;
	return err;
}

bool sup_pub_blind(const struct sup_engine *e)
{
	for (unsigned i = 0; i < e->n_tiers; i++) {
		const struct sup_tier *t = &e->tiers[i];
		if (sup_tier_state(t) == OM_TIERS_REBUILDING || t->hides)
			return true;
	}
	return false;
}

struct sup_tier *sup_msg_tier(struct sup_engine *e, uint8_t no) { return no < OM_TIERS_MAX ? e->tier_by_no[no] : NULL; }

bool sup_tier_known_to(const struct sup_tier *t, const struct sup_child *c) { return c->serial >= t->since; }

int sup_msg_tier_fit(const struct sup_tier *t, uint32_t flags, bool begun)
{
	if (!t)
		return -OBJM_STATUS_INVALID_REQUEST;
	switch (sup_tier_state(t)) {
	case OM_TIERS_ABSENT:
		return -OBJM_STATUS_UNAVAILABLE;
	case OM_TIERS_READONLY:
		if (begun && sup_tier_drained(t) && !(flags & OM_OBJ_PINNED))
			break;
		return -OBJM_STATUS_READ_ONLY;
	case OM_TIERS_FAILED:
		return -OBJM_STATUS_STORAGE;
	default:
		break;
	}
	return (flags & OM_OBJ_EPHEMERAL) && !t->is_volatile ? -OBJM_STATUS_INVALID_REQUEST : 0;
}
