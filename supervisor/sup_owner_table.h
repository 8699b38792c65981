/*
 * sup_owner_table.h: the table of what users own: a row each, what of it lies on which tier, and how much it may be. Part of the
 * engine; sup_engine_owner.c alone uses it, and says what the sums mean.
 *
 * One lock over all of it: the publisher changes rows, the main loop sets limits and reads figures. Every call below but
 * sup_owners_new(), sup_owners_free() and sup_owners_limits() wants it held.
 */
#ifndef SUP_OWNER_TABLE_H
#define SUP_OWNER_TABLE_H

#include <pthread.h>

#include "common/conf/om_conf.h"
#include "index/cat/idx_cat.h"

#define SUP_OWNER_BUCKETS 4096u

struct sup_owner_row { /* a user */
struct sup_owner_row *next;
	uint32_t uid;
	uint64_t objects, bytes;
	uint64_t held_objects, held_bytes;
	uint64_t credit_objects, credit_bytes;
	uint64_t twice_objects, twice_bytes; /* of homes that move: counted on both tiers */
	uint64_t room_bytes;
};
struct sup_owner_part { /* of it, on a tier */
	struct sup_owner_part *next;
	uint32_t uid;
	unsigned ix;
	uint64_t objects, bytes;
};

struct sup_owner_limit {
	uint32_t uid;
	uint64_t bytes, objects; /* 0: none */
};

struct sup_owners {
	pthread_mutex_t lock; /* all of it */
	struct sup_owner_row *rows[SUP_OWNER_BUCKETS];
	struct sup_owner_part *parts[SUP_OWNER_BUCKETS];
	size_t n_rows;
	struct sup_owner_limit all, *some; /* of access.rules, sorted by uid */
	size_t n_some;
};

/** An empty table. 0 or -OUT_OF_MEMORY. */
int sup_owners_new(struct sup_owners **ret) OM_MUST_USE;
/** NULL is fine. */
void sup_owners_free(struct sup_owners *o);
/** The limits of this configuration from now on; takes the lock. Without memory for them those before stay. */
void sup_owners_limits(struct sup_owners *o, const struct om_conf *conf);
/** What `uid` may have. */
struct sup_owner_limit sup_owners_limit(const struct sup_owners *o, uint32_t uid);

/** Where the user's row hangs; *ret NULL: there is none. Good until a row comes or goes. */
struct sup_owner_row **sup_owners_row(struct sup_owners *o, uint32_t uid);
/** The user's row, made if need be; NULL: no memory. */
struct sup_owner_row *sup_owners_row_get(struct sup_owners *o, uint32_t uid);
/** Forget a user who has nothing. */
void sup_owners_row_put(struct sup_owners *o, uint32_t uid);

/** Objects of a user came to the tier of this index, or went. */
void sup_owners_add(struct sup_owners *o, unsigned ix, const struct idx_cat_owner *by);
void sup_owners_sub(struct sup_owners *o, unsigned ix, const struct idx_cat_owner *by);
/** All that the table has of a tier goes. */
void sup_owners_clear(struct sup_owners *o, unsigned ix);

/** Never below 0: sums that damage made wrong are put right by a recount. */
static inline void sup_owners_less(uint64_t *from, uint64_t by) { *from -= OM_MIN(*from, by); }

#endif
