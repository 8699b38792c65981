/*
 * wrk_dir.h: descriptors of the directories that objects' files lie in, so that opening one looks up one name and not two.
 *
 * Linked by objmapper-worker only; loop thread only. A table of one place for each of some hundred directories (of 4,096 ids each,
 * common/om_obj.h). A place is taken when it is free, and again when the directory that has it was not asked for while others
 * were WRK_DIR_PATIENCE times: where more directories are in use than there are places, opening them in turns would cost more than
 * they save.
 *
 * STALE      a directory that became empty is removed, and made anew when an object comes: a descriptor of the old one finds nothing,
 *            for ever. So "not there" gives the place up, and is said by the whole path alone.
 * OWNERSHIP  the table owns its descriptors. They keep a file system mounted no longer than
 *            the worker's descriptor of objects/ does.
 */
#ifndef WRK_DIR_H
#define WRK_DIR_H

#include "common/om_base.h"

#define WRK_DIR_MAX 512u	/* places, at most: two million objects in a row */
#define WRK_DIR_PATIENCE 64u
#define WRK_DIR_NOFILE_PART 32u /* and of RLIMIT_NOFILE at most this part */

struct wrk_dirs;

/**
 * Make a table for a process that may have `nofile` files open.
 * @return 0; with *ret NULL where that is too few to spare some; -OBJM_STATUS_OUT_OF_MEMORY
 */
int wrk_dirs_new(uint64_t nofile, struct wrk_dirs **ret) OM_MUST_USE;
/** Close all. NULL is fine. */
void wrk_dirs_free(struct wrk_dirs *d);

/**
 * Open object `id` of `tier`, whose objects/ is `objects_fd`, as be_dir_open() does. Only for tiers where that never waits for a disk.
 * @param d  NULL: none, be_dir_open() it is
 * @return as be_dir_open()
 */
int wrk_dirs_open(struct wrk_dirs *d, int objects_fd, unsigned tier, uint64_t id, int *ret_fd) OM_MUST_USE;

/** Directories that are open (tests). */
unsigned wrk_dirs_count(const struct wrk_dirs *d);

#endif
