/*
 * sup_dir.h: the directories that the daemon needs, and the lock that lets one supervisor run at a time.
 *
 * At start, main thread, before any other thread exists.
 */
#ifndef SUP_DIR_H
#define SUP_DIR_H

#include "common/om_base.h"

/* Who a directory that we make belongs to. */
struct sup_owner {
	bool change; /* false: leave it as it is made */
	uint32_t uid, gid;
};

/**
 * Make the components of `path` (absolute) that do not exist.
 * @param mode   of the last one, if it is made (the umask is not applied); parents get 0755
 * @param owner  of those that are made
 * @return 0 if the directory stands, or a negative status, errno says why; what exists is not touched
 */
int sup_dir_make(const char *path, uint32_t mode, const struct sup_owner *owner) OM_MUST_USE;

/** The same for the directory that `path` lies in. */
int sup_dir_make_parent(const char *path, uint32_t mode, const struct sup_owner *owner) OM_MUST_USE;

/**
 * Take state_dir/run.lock, waiting for the processes of a predecessor to end.
 *
 * The lock is of the open file description (flock), which every child inherits: it is free only when the supervisor that
 * took it and all its children are gone. The file holds the pid of the supervisor, for the message.
 *
 * @param state_dirfd  directory state_dir, borrowed
 * @param wait_ms      at the most
 * @param ret_fd       close-on-exec; owned by the caller, who keeps it to its end
 * @param ret_holder   pid written in the file, 0 if there is none; also set on -BUSY
 * @return 0; -OBJM_STATUS_BUSY: still held after wait_ms; -OBJM_STATUS_SYSTEM, errno says why
 */
int sup_dir_lock(int state_dirfd, unsigned wait_ms, int *ret_fd, long *ret_holder) OM_MUST_USE;

#endif
