/*
 * om_fs.h: filesystems on which a memory-mapped database cannot lie, by name.
 *
 * Linked by the supervisor. No state.
 */
#ifndef OM_FS_H
#define OM_FS_H

#include "common/om_base.h"

/** "NFS", "CIFS", "SMB" or "FUSE" if `path`, or what exists of it, lies on one; NULL: it does not, or it cannot be told. Blocks if that
 * filesystem does not answer. */
const char *om_fs_remote(const char *path);

#endif
