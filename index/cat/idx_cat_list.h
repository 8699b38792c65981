/*
 * idx_cat_list.h: a listing over the catalogs of several tiers, in exact bytewise order of the URIs.
 *
 * Linked by the supervisor (libidxcat). Called by catalog reader threads, each with its own snapshots.
 *
 * A URI that is on several tiers is yielded once, with the record that counts (idx_cat_rec_wins). To see one state of
 * all tiers, open (or renew) the snapshots under the lock that commits to several environments hold.
 */
#ifndef IDX_CAT_LIST_H
#define IDX_CAT_LIST_H

#include "index/cat/idx_cat.h"

#define IDX_CAT_LIST_DELIM_MAX 64u
#define IDX_CAT_LIST_POS_MAX (OM_URI_MAX + 1u)

/* Names that are listed: a record, or all records below a common prefix as one. */
struct idx_cat_list_item {
	bool is_prefix;		  /* common prefix, up to and with the delimiter; rec is NULL */
	const char *name;	  /* the URI or the prefix; good until the call back returns */
	size_t name_len;
	const struct om_rec *rec; /* good until the snapshots end */
};

/* Not 0: stop; idx_cat_list returns it. */
typedef int idx_cat_list_cb(void *ctx, const struct idx_cat_list_item *item);
/* True: this caller may see the record (of several tiers' records, the one that counts is asked about). */
typedef bool idx_cat_visible_cb(void *ctx, const struct om_rec *rec);

struct idx_cat_list_req {
	const char *prefix; /* only URIs that begin with it; may be empty, as may the next two (NULL and 0) */
	size_t prefix_len;
	const char *after; /* only names (URIs or common prefixes) greater than this */
	size_t after_len;
	const char *delim; /* names are cut after its first occurrence past the prefix */
	size_t delim_len;
	/* Where an earlier call stopped (idx_cat_list_res.pos, itself allowed); overrides `after` where it is further on. */
	const char *pos;
	size_t pos_len;
	uint32_t limit;	   /* names, at least 1 */
	uint64_t max_scan; /* records looked at, 0: no bound. Reached: the call ends early with `more` set, maybe with no name */
	uint64_t now_s;	   /* since 1970; records that expired by then are not listed. 0: all are */
	idx_cat_visible_cb *visible; /* NULL: all are */
	void *visible_ctx;
};

struct idx_cat_list_res {
	uint32_t names;	  /* yielded */
	uint64_t damaged; /* records left out because they could not be decoded */
	bool more;	  /* there may be more: go on at pos */
	uint16_t pos_len;
	/* Opaque. (Not a URI: after a common prefix it ends with a byte that no URI has, and so sorts behind all of it.) */
	char pos[IDX_CAT_LIST_POS_MAX];
};

/**
 * List.
 *
 * @param snaps  n active snapshots, at most OM_TIERS_MAX, of different catalogs
 * @return 0; INVALID_REQUEST (limit 0, something longer than a URI); CORRUPT (a damaged tree: names may have been yielded
 *         already); OUT_OF_MEMORY; what the call back returned.
 *
 * Cost: one tree search for each common prefix and a step for each record looked at. A group of long URIs with an equal
 * prefix of IDX_CAT_KEY_RAW_MAX bytes is read through once for every 16,384 of its members; memory stays bounded
 * (at most 512 KiB a tier).
 */
int idx_cat_list(struct idx_cat_snap *const *snaps, unsigned n, const struct idx_cat_list_req *req, idx_cat_list_cb *cb,
		 void *ctx, struct idx_cat_list_res *ret_res);

#endif
