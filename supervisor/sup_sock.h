/*
 * sup_sock.h: the sockets that the daemon listens on: handed over by systemd, or made here.
 *
 * At start and at the end, main thread.
 */
#ifndef SUP_SOCK_H
#define SUP_SOCK_H

#include <sys/types.h>

#include "common/conf/om_conf.h"
#include "common/msg_proc.h"
#include "supervisor/sup_priv.h"

#define SUP_SOCK_ADMIN 100u /* beside enum om_listen_kind: stays with the supervisor */

struct sup_sock {
	int fd; /* listening, non-blocking, close-on-exec; -1: closed */
	unsigned kind; /* enum om_listen_kind or SUP_SOCK_ADMIN */
	char *name; /* path or address, for messages; owned */
	bool ours;  /* a Unix socket that we bound: its path is removed at a clean end ... */
	dev_t dev;  /* ... if this is still what lies there */
	ino_t ino;
};

/* All of them; at most OM_LISTEN_MAX for clients, and one for the admin. */
struct sup_socks {
	struct sup_sock v[OM_LISTEN_MAX + 1];
	unsigned n;
};

/* How a Unix socket is made. */
struct sup_sock_perm {
	uint32_t mode;
	bool chown;
	uid_t uid; /* (uid_t)-1: leave it */
	gid_t gid; /* (gid_t)-1: leave it */
};

/**
 * Bind and listen at `path`. A socket that lies there already is removed when a connect proves that nobody accepts.
 * Sets the umask for a moment: no other thread may be running.
 * @return 0; -OBJM_STATUS_BUSY: somebody serves there; -OBJM_STATUS_INVALID_REQUEST: what lies there is no socket;
 *         -OBJM_STATUS_SYSTEM, errno says why
 */
int sup_sock_unix(const char *path, const struct sup_sock_perm *perm, unsigned kind, struct sup_sock *ret) OM_MUST_USE;

/** Bind and listen on a TCP address. 0 or -OBJM_STATUS_SYSTEM, errno says why. */
int sup_sock_tcp(const struct om_conf_tcp *tcp, struct sup_sock *ret) OM_MUST_USE;

/**
 * Take over the `n` descriptors from `first` on that systemd handed over under `names`: "data", "admin", "legacy", "tcp", or
 * the names of our socket units. What is not a listening stream socket of the right family, or has another name, is logged
 * and closed; it is an error only if nothing else serves in its place.
 */
void sup_sock_adopt(struct sup_socks *socks, int first, int n, char **names);

/**
 * Bind what the configuration asks for and systemd did not hand over.
 * @return 0, or a negative status after a line that says which and why; all are closed then
 */
int sup_sock_open(struct sup_socks *socks, const struct om_conf *conf, const struct sup_user *user) OM_MUST_USE;

/** How many sockets for clients the configuration asks for: more than OM_LISTEN_MAX cannot be served. */
unsigned sup_sock_count(const struct om_conf *conf);

/** The socket of that kind, NULL: none. */
struct sup_sock *sup_sock_find(struct sup_socks *socks, unsigned kind);

/** Stop listening: close, paths stay. */
void sup_sock_close(struct sup_socks *socks);
/** Remove the paths that are ours and still what we bound; free. */
void sup_sock_fini(struct sup_socks *socks);

#endif
