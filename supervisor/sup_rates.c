/*
 * sup_rates.c: see sup_rates.h. Called by the loop's tick and by the admin command tier-list.
 */
#include "supervisor/sup_rates.h"

#include "supervisor/sup.h"
#include "supervisor/sup_admin_cmd.h"

uint64_t sup_rates_gets(const struct sup *sup, unsigned tier)
{
	uint64_t n = tier < OM_TIERS_MAX ? sup->kids.ended_gets[tier] : 0;

	for (unsigned i = 0; i < sup->kids.n; i++)
		if (sup->kids.place[i].pid)
			n += om_counter_tier(&sup->kids.place[i].counters, tier);
	return n;
}

static void look(const struct sup *sup, uint64_t now_ns, struct sup_rates_look *ret)
{
	struct sup_engine_stat st = { 0 };

	*ret = (struct sup_rates_look){ .at_ns = now_ns };
	sup_engine_stat(sup->engine, &st);
	for (unsigned i = 0; i < st.n_tiers && i < OM_TIERS_MAX; i++) {
		unsigned no = st.tiers[i].tier;
		if (no >= OM_TIERS_MAX)
			continue;
		ret->gets[no] = sup_rates_gets(sup, no);
		ret->in[no] = st.tiers[i].in_bytes;
		ret->out[no] = st.tiers[i].out_bytes;
	}
}

void sup_rates_tick(struct sup *sup, uint64_t now_ns)
{
	struct sup_rates *r = &sup->rates;

	if (r->newer.at_ns && now_ns - r->newer.at_ns < SUP_RATES_S * UINT64_C(1000000000))
		return;
	r->old = r->newer;
	look(sup, now_ns, &r->newer);
	if (!r->old.at_ns)
		r->old = r->newer;
}

void sup_rates_put(const struct sup *sup, json_t *tiers)
{
	const struct sup_rates_look *old = &sup->rates.old;
	struct sup_engine_stat st = { 0 };
	struct sup_rates_look now;
	uint64_t all = 0;

	sup_engine_stat(sup->engine, &st);
	look(sup, om_now_ns(), &now);
	double s = old->at_ns ? (double)(now.at_ns - old->at_ns) / 1e9 : 0;
	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		all += now.gets[i] - old->gets[i];
	for (unsigned i = 0; i < st.n_tiers && i < json_array_size(tiers); i++) {
		json_t *o = json_array_get(tiers, i);
		unsigned no = st.tiers[i].tier;
		bool known = no < OM_TIERS_MAX && s > 0;

		sup_admin_put(o, "hit_share", known && all ? json_real((double)(now.gets[no] - old->gets[no]) / (double)all) : json_null());
		sup_admin_put(o, "in_bytes_per_s", sup_admin_num(known ? (uint64_t)((double)(now.in[no] - old->in[no]) / s) : 0));
		sup_admin_put(o, "out_bytes_per_s", sup_admin_num(known ? (uint64_t)((double)(now.out[no] - old->out[no]) / s) : 0));
	}
}
