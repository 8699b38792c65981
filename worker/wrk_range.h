/*
 * wrk_range.h: which names of a listing a peer may see, as ranges in the order of names.
 *
 * Linked by objmapper-worker only; loop thread only. A rule with the right `list` gives one range, all names that begin with
 * a text, and for a whole path segment (`/a`) also the one name that is the text itself. A listing is then a question to the
 * catalogs for each range, one after the other: names that the peer may not see are never read, so a page costs what it
 * shows, and not what it hides.
 */
#ifndef WRK_RANGE_H
#define WRK_RANGE_H

#include "common/om_obj.h"

struct wrk_access;

struct wrk_range {
	const char *p; /* borrowed from the rules */
	uint16_t len;
	bool slash; /* a `/` follows p[0..len) */
	bool one;   /* the one name; else all that begin so */
};

/**
 * The ranges of a peer: sorted, none inside another. Valid as long as the peer's access is.
 * @param ret  malloc'ed, the caller frees it
 * @return how many; -OBJM_STATUS_OUT_OF_MEMORY
 */
int wrk_range_make(const struct wrk_access *a, struct wrk_range **ret) OM_MUST_USE;

/* What to ask for a range. */
struct wrk_range_ask {
	char prefix[OM_URI_MAX + 1]; /* the longer of the range's text and the listing's prefix */
	uint16_t prefix_len;
	bool one;	   /* only the name `prefix` itself counts */
	uint16_t fold_len; /* not 0: all of it stands for this common prefix, prefix[0..fold_len): one name suffices */
};

/**
 * Cut a range to a listing.
 * @param prefix     of the listing; `delimiter`: 0: none
 * @param after      names up to this one are done
 * @return false: nothing of it can be in the listing behind `after`
 */
bool wrk_range_cut(const struct wrk_range *g, const char *prefix, size_t prefix_len, uint8_t delimiter, const char *after,
		   size_t after_len, struct wrk_range_ask *ret);

/**
 * A range is done: the position moves behind all of its names, unless it is there. One that folds into a common prefix and showed nothing
 * leaves it: others may still have what that prefix stands for.
 * @param given  names that came of it
 * @param pos    in and out, of *pos_len bytes; room for OM_URI_MAX
 * @return it has moved
 */
bool wrk_range_pass(const struct wrk_range_ask *ask, unsigned given, char *pos, uint16_t *pos_len);

/** Bytewise order of names. */
int wrk_range_cmp(const void *a, size_t a_len, const void *b, size_t b_len);

#endif
