/*
 * wrk_legacy.h: writes by existing clients (versions 1 and 2), on the legacy socket only.
 *
 * Linked by objmapper-worker only; loop thread only. Such a client has no commit: it gets a writable descriptor, and the
 * object appears when the last writable descriptor is closed. So the file is watched (inotify IN_CLOSE_WRITE, which the kernel
 * delivers for nameless files too), the lease proves that nobody else writes, and what was never written stays absent.
 *
 * A writer that was killed closes its descriptor too, and must publish nothing. A hang-up of the connection that is seen
 * before the close drops the session. But the kernel closes a dying process's descriptors last first (seen on 6.18: file
 * releases queued at exit run in reverse order), so a killed writer's close is usually seen BEFORE its hang-up, both within
 * microseconds. Hence: after the close the session settles for WRK_LEGACY_SETTLE_MS; a connection that still stands then has
 * closed on purpose: publish. A hang-up in between: the kernel is asked how the process ended (SO_PEERPIDFD, Linux 6.5;
 * PIDFD_GET_INFO with PIDFD_INFO_EXIT, 6.15, once it was reaped): by a signal: dropped; else published. Where the kernel does
 * not say, the order of the two events decides, as doc/protocol.md has it.
 *
 * The connection's part, on the legacy socket, for a uid of wrk_uid_legacy():
 *	fdpass request, the URI does not exist		wrk_legacy_create(); answer with the descriptor, close it after the send
 *	request for "/delete" + URI			wrk_ring_delete() of the URI; after an OK the descriptor byte with w->null_fd
 *	the connection is hung up or closed		wrk_legacy_owner_close(), before its descriptor is closed
 *
 * System calls this needs in the sandbox: inotify_init1 (before it), inotify_add_watch, inotify_rm_watch, read;
 * getsockopt; poll; ioctl with request WRK_LEGACY_PIDFD_GET_INFO.
 */
#ifndef WRK_LEGACY_H
#define WRK_LEGACY_H

#include "worker/wrk_put.h"

#define WRK_LEGACY_SETTLE_MS 3u
#define WRK_LEGACY_JUDGE_MS 3000u /* how long to wait for a dead writer to be reaped by its parent */
#define WRK_LEGACY_PIDFD_GET_INFO 0xc040ff0bul /* _IOWR(0xff, 11, 64 bytes): the first version of struct pidfd_info */
#define WRK_LEGACY_PIDFD_GET_INFO_MM 0xc048ff0bul /* the same of 72 bytes: the second one */

struct wrk_legacy_set;
struct wrk_legacy; /* a file that is being written */

/* Member of a connection of the legacy socket. */
struct wrk_legacy_owner {
	struct wrk_legacy *first;
	struct wrk_put_owner puts;
	int pidfd;   /* of the process that connected; -1: not asked yet or not to be had */
	int conn_fd; /* borrowed */
};

/** Call before the sandbox, after wrk_put_new(). @return 0; -OBJM_STATUS_OUT_OF_MEMORY; -OBJM_STATUS_SYSTEM */
int wrk_legacy_new(struct wrk *w, struct wrk_legacy_set **ret) OM_MUST_USE;
/** All owners must be closed. */
void wrk_legacy_free(struct wrk_legacy_set *s);

void wrk_legacy_owner_init(struct wrk_legacy_owner *o, uint32_t uid, int conn_fd);
/** The connection was hung up or is about to be closed; conn_fd must still be open. Judges what is being written. */
void wrk_legacy_owner_close(struct wrk_legacy_set *s, struct wrk_legacy_owner *o);

/**
 * Begin to write `uri` (checked by the caller), which does not exist. PRIORITY asks for an ephemeral object.
 * @param fn  b->session means nothing here; b->fd is the callee's, to be closed as soon as it was sent
 * @return 0: fn will be called; or a negative status with *ret_text
 */
int wrk_legacy_create(struct wrk_legacy_set *s, struct wrk_legacy_owner *o, const char *uri, uint16_t uri_len,
		      bool ephemeral, wrk_put_begun_fn *fn, void *arg, const char **ret_text) OM_MUST_USE;

/** If `uri` is "/delete" + a name: true, with the name. One without a slash in front ("/deletefoo") may be meant as it stands. */
bool wrk_legacy_delete_name(const char *uri, uint16_t uri_len, const char **ret_uri, uint16_t *ret_len);
/** True for "/list" and what follows it: UNSUPPORTED_OP (wrk_legacy_list_text()). */
bool wrk_legacy_is_list(const char *uri, uint16_t uri_len);
const char *wrk_legacy_list_text(void);

#endif
