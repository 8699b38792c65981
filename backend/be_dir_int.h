/*
 * be_dir_int.h: what the files of the directory driver share. Not for others: they include be.h.
 *
 * be_dir.c  the tier   be_dir_io.c  opening, writing, letting go   be_dir_file.c  files without a name   be_dir_name.c  names and
 * durability, removal   be_dir_attr.c  a new attribute   be_dir_scan.c  finding   be_probe.c  what the filesystem can do
 * be_dir_lane.c  where inodes come from
 */
#ifndef BE_DIR_INT_H
#define BE_DIR_INT_H

#include "backend/be.h"

#define BE_DIR_PROC_MAX 32 /* "/proc/self/fd/N" */
#define BE_DIR_OLD_S 600   /* what nobody can be working on any more: half made names, empty directories */
#define BE_DIR_SIDE_SUFFIX ".m"
#define BE_DIR_SIDE_NEW_SUFFIX ".t" /* one that is about to take its place */

/** Minus the status that says what errno means. errno stays. */
static inline int be_dir_errno(void) { return -om_status_errno(errno); }

void be_dir_proc_path(int fd, char ret_path[static BE_DIR_PROC_MAX]);
/** Path of an object's side file below objects/. */
void be_dir_side_path(uint64_t id, char ret_path[static OM_OBJ_PATH_MAX]);
/** Write all of it, at the descriptor's position. @return 0; a status of om_status_errno() */
int be_dir_write(int fd, const void *buf, size_t len) OM_MUST_USE;

/** A nameless file in staging/, in the lane whose turn it is, as openat(). @return a descriptor; -1, errno says why */
int be_dir_lane_tmpfile(const struct be *be);
/** Make `lanes` of them where they are missing. What cannot be made is not there: files are made without. */
void be_dir_lane_make(int staging_fd, uint32_t lanes);
/** How many lanes the filesystem behind `staging_fd` should have; 0: none. */
uint32_t be_dir_lane_want(int staging_fd);
/** How many there are. */
uint32_t be_dir_lane_count(int staging_fd);

/* The driver's operations that are not in be_dir.c. */
int be_dir_begin(const struct be *be, uint64_t size_hint, struct be_file *ret_file) OM_MUST_USE;
int be_dir_begin_own(const struct be *be, struct be_file *ret_file) OM_MUST_USE;
int be_dir_copy(const struct be *be, const struct be_file *from, struct be_file *ret_file) OM_MUST_USE;
int be_dir_quiet(const struct be *be, const struct be_file *file) OM_MUST_USE;
int be_dir_freeze(const struct be *be, struct be_file *file, const struct om_rec *rec) OM_MUST_USE;
int be_dir_cut(const struct be *be, struct be_file *file) OM_MUST_USE;
int be_dir_link(struct be *be, struct be_file *file, uint64_t id, const struct om_rec *rec) OM_MUST_USE;
int be_dir_sync(struct be *be, struct be_file *const *files, unsigned n) OM_MUST_USE;
int be_dir_remove(struct be *be, uint64_t id, struct be_batch *batch) OM_MUST_USE;
int be_dir_remove_sync(struct be *be, struct be_batch *batch) OM_MUST_USE;
int be_dir_clone(const struct be *be, int from_fd, struct be_file *ret_file) OM_MUST_USE;
int be_dir_describe_fd(const struct be *be, int fd, uint64_t id, uint8_t *buf, struct be_found *ret) OM_MUST_USE;
int be_dir_describe(const struct be *be, uint64_t id, uint8_t *buf, struct be_found *ret) OM_MUST_USE;
int be_dir_attr(const struct be *be, uint64_t id, const struct om_rec *rec, enum be_when when) OM_MUST_USE;
int be_dir_attr_sync(struct be *be) OM_MUST_USE;
int be_dir_scan(struct be *be, uint64_t id_from, uint64_t id_to, be_scan_fn *fn, void *arg) OM_MUST_USE;

#endif
