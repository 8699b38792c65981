/*
 * sup_rates.h: how much comes onto each tier, leaves it and is read from it in a second, of late.
 *
 * Main thread only.
 */
#ifndef SUP_RATES_H
#define SUP_RATES_H

#include <jansson.h>

#include "common/om_counter.h"

struct sup;

struct sup_rates_look {
	uint64_t at_ns;
	uint64_t gets[OM_TIERS_MAX]; /* by number of the tier */
	uint64_t in[OM_TIERS_MAX], out[OM_TIERS_MAX]; /* bytes */
};
struct sup_rates {
	struct sup_rates_look old, newer; /* at least SUP_RATES_S old, and younger than that */
};
#define SUP_RATES_S 5u

/** GETs that were answered from a tier, by all processes, those that have ended included. */
uint64_t sup_rates_gets(const struct sup *sup, unsigned tier);
/** About once a second. */
void sup_rates_tick(struct sup *sup, uint64_t now_ns);
/** Add the members hit_share (null: no GETs), in_bytes_per_s, out_bytes_per_s to each of `tiers`, in the order of sup_engine_stat(). */
void sup_rates_put(const struct sup *sup, json_t *tiers);

#endif
