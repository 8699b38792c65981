/*
 * om_fdpass.h: messages with descriptors over Unix sockets, for the daemon's own channels (control sockets).
 *
 * The client protocol's sockets have their own send path (worker) and receive path (libobjm): they batch.
 */
#ifndef OM_FDPASS_H
#define OM_FDPASS_H

#include "common/om_base.h"

#define OM_FDPASS_MAX 253 /* the kernel's limit to a message (SCM_MAX_FD) */

/**
 * Send one message (SOCK_SEQPACKET) with `nfds` descriptors; the caller keeps and still closes them.
 * @return 0; -WOULD_BLOCK; -GONE: the peer has closed; -SYSTEM, errno says why
 */
int om_fdpass_send(int sock, const void *buf, size_t len, const int *fds, unsigned nfds) OM_MUST_USE;

/**
 * Receive one message. Descriptors come close-on-exec and belong to the caller; on any error none is left open.
 * @param fds   room for `cap_fds`; surplus descriptors are closed and make the call fail
 * @return 0 with *ret_len (0 bytes is never a message: it is -GONE) and *ret_nfds; -WOULD_BLOCK; -GONE;
 *         -CORRUPT: truncated message or control data, or too many descriptors; -SYSTEM, errno says why
 */
int om_fdpass_recv(int sock, void *buf, size_t cap, size_t *ret_len, int *fds, unsigned cap_fds,
		   unsigned *ret_nfds) OM_MUST_USE;

/** uid, gid and pid of the peer of a Unix socket, as the kernel recorded them at connect. 0 or -SYSTEM. */
struct om_peer {
	uint32_t uid, gid;
	int32_t pid;
};
int om_fdpass_peer(int sock, struct om_peer *ret) OM_MUST_USE;

#endif
