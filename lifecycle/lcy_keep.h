/*
 * lcy_keep.h: how hot objects are, kept over a restart of the daemon: one file in state_dir/heat.d, coarse and bounded.
 *
 * Linked by objmapper-lifecycle, objm-tiering (the codec) and tests. Writing may block: its own thread, or the end of the
 * process. Two names take turns, so that a crash in the middle leaves the one before; the newest whole one counts.
 *
 * FILE   a header, then `n` entries of 24 bytes in rising order of id. Host byte order: the file stays on its machine.
 *        XXH3-64 of header (with a sum of 0) and entries. What is not whole, or of another layout, is ignored: objects are cold then.
 */
#ifndef LCY_KEEP_H
#define LCY_KEEP_H

#include <math.h>

#include "common/om_base.h"
#include "lifecycle/lcy_policy.h"

#define LCY_KEEP_MAGIC 0x31706b656f6d6a6fu
#define LCY_KEEP_MAX (UINT32_C(1) << 20) /* entries: the hottest are kept; 24 MiB */

struct lcy_keep_entry {
	uint64_t id;
	uint16_t heat_q;  /* decayed count c as of the last access: 2048 * log2(1 + c) */
	uint16_t ago_min; /* minutes before the file was written; 65535: that long or longer */
	uint16_t count_q; /* of the policy: 2048 * log2(count), 65535: none */
	uint16_t ago_q;	  /* of the policy: 2048 * log2(1 + accesses ago) */
	uint32_t lanes;	  /* of the policy */
	uint8_t sampled;  /* of the policy: 0, 1 */
	uint8_t pad[3];
};
static_assert(sizeof(struct lcy_keep_entry) == 24, "layout of the file");

struct lcy_keep_head {
	uint64_t magic;
	uint64_t sum;
	uint64_t seq;	    /* the file with the higher one is the newer */
	uint64_t written_s; /* since 1970 */
	uint64_t n;
	uint64_t pad;
	struct lcy_policy_trial trial;
};
static_assert(sizeof(struct lcy_keep_head) == 48 + sizeof(struct lcy_policy_trial), "layout of the file");

struct lcy_keep {
	struct lcy_keep_head head;
	struct lcy_keep_entry *entry; /* malloc'ed */
};

/** Read the newest whole file. @return 0; -OBJM_STATUS_NOT_FOUND: there is none; -OBJM_STATUS_OUT_OF_MEMORY. `ret->entry` is the caller's. */
int lcy_keep_read(int dirfd, struct lcy_keep *ret) OM_MUST_USE;
/** Sort the entries and write them as the newest file; head.seq says which, head.magic and sum are set here.
 * @return 0 or a negative status of om_status_errno() */
int lcy_keep_write(int dirfd, struct lcy_keep *keep) OM_MUST_USE;
/** The entry of an id, or NULL. */
const struct lcy_keep_entry *lcy_keep_find(const struct lcy_keep *keep, uint64_t id);

/* The codec: what is kept differs from what was by less than 0.04 % of (1 + value). */
static inline uint16_t lcy_keep_q(double value) /* 0.. */
{
	double q = 2048.0 * log2(1.0 + value) + 0.5;
	return q >= 65534.0 ? 65534 : (uint16_t)q;
}
static inline double lcy_keep_value(uint16_t q) { return exp2((double)q / 2048.0) - 1.0; }

#endif
