/*
 * idx_tier_mark.h: the marker file in a tier's root that says whose it is.
 *
 * Linked by the supervisor (libidxcat). A directory without a marker is an absent tier (a disk that is not mounted leaves its
 * empty mount point behind), never silently a new one. One line of text:
 *   objmapper-tier 1 tier=<32 hex digits> install=<32 hex digits> sum=<16 hex digits>
 */
#ifndef IDX_TIER_MARK_H
#define IDX_TIER_MARK_H

#include "index/cat/idx_cat.h"

#define IDX_TIER_MARK_NAME ".objmapper-tier"

struct idx_tier_mark {
	uint8_t tier_id[IDX_CAT_ID_BYTES];
	uint8_t install_id[IDX_CAT_ID_BYTES];
};

/**
 * Read the marker.
 * @param dirfd  the tier's root; borrowed
 * @return 0; -NOT_FOUND: there is none; -CORRUPT: there is something else under its name; else as a failed system call.
 */
int idx_tier_mark_read(int dirfd, struct idx_tier_mark *ret_mark);

/**
 * Write it, whole or not at all, durable before it returns (mode 0600).
 * @param replace  false: -PRECONDITION_FAILED if there is one already
 */
int idx_tier_mark_write(int dirfd, const struct idx_tier_mark *mark, bool replace);

#endif
