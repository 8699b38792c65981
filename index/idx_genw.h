/*
 * idx_genw.h: writing the table of generations (idx_gen.h has the layout and the order). In libidxw: supervisor only.
 *
 * Any thread of the supervisor may call; open and close take a short mutex (some 20 ns), since "first in flight" and "the
 * word is odd" must be one step.
 */
#ifndef IDX_GENW_H
#define IDX_GENW_H

#include "index/idx_gen.h"

struct idx_genw;

/** Make the table: ALIVE, valid for 200 ms from now, every bucket at 0.
 * @return 0; -OBJM_STATUS_OUT_OF_MEMORY; -OBJM_STATUS_SYSTEM. The caller owns *ret_g. */
int idx_genw_new(struct idx_genw **ret_g) OM_MUST_USE;

/** Unmap; RETIRED is stored before. Fine on NULL. */
void idx_genw_free(struct idx_genw *g);

/** Read-only descriptor to hand to workers and, by them, to clients; borrowed. */
int idx_genw_fd(const struct idx_genw *g);

/** The supervisor's own view, for idx_gen_load() and friends; borrowed. */
const struct idx_gen_table *idx_genw_table(const struct idx_genw *g);

/** A change of a URI of this bucket begins: the word is odd and its group's raised when this returns. Before the catalog commit; once per change
 * (several may be under way in one bucket). */
void idx_genw_open(struct idx_genw *g, uint32_t bucket);

/** That change ended, published or failed: even again when the last one under way has ended. After publishing, before the
 * acknowledgement. One without an open is a bug of the caller. */
void idx_genw_close(struct idx_genw *g, uint32_t bucket);

/** Every 50 ms: valid for 200 ms from now. No effect once retired. */
void idx_genw_renew(struct idx_genw *g);

/** The last act on the table: no client trusts it from now on, for ever. Before another supervisor may acknowledge. */
void idx_genw_retire(struct idx_genw *g);

/** Make every answer that clients keep invalid at once (access rules changed): each bucket goes on to a new even generation.
 * After the change is in force in every worker, before it is acknowledged. About 2 ms. */
void idx_genw_bump_all(struct idx_genw *g);

#endif
