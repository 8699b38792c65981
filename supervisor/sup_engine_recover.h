/*
 * sup_engine_recover.h: what the last run left. Publisher, but for what is any thread's.
 */
#ifndef SUP_ENGINE_RECOVER_H
#define SUP_ENGINE_RECOVER_H

#include "supervisor/sup_engine_int.h"

int sup_recover_load(struct sup_engine *e); /* at open */
/* A record names this file: a removal of it never happened. */
void sup_recover_live(struct sup_engine *e, uint8_t tier_no, uint64_t id);
/* Two records of one key met while the index was built: the one with this (tier, id) lost. */
void sup_recover_loser(struct sup_engine *e, uint8_t tier_no, uint64_t id, bool dead);
int sup_loser_cmp(const void *a, const void *b);
/* Was this record removed while its tier was away? */
bool sup_recover_dead(struct sup_engine *e, const struct sup_fill_row *row);
/* The same of a record that a reader found; false once all of them have gone. Any thread. */
bool sup_recover_gone(const struct sup_engine *e, const struct om_rec *rec);
/* All catalogs have been read: what is left of it is dealt with. */
void sup_recover_filled(struct sup_engine *e);
/* The records that tombstones name have been looked for, and what deletes them is on the way (job); one of these changes has ended. */
void sup_recover_found(struct sup_engine *e, struct sup_job *job);
void sup_recover_stale_end(struct sup_engine *e, struct sup_op *op);
/* Tombstones that have done their work are cleared. */
void sup_recover_tombs(struct sup_engine *e);
void sup_recover_free(struct sup_engine *e);

#endif
