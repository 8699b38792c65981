/*
 * wrk_access.h: who may do what: the access rules, compiled for each peer.
 *
 * Linked by objmapper-worker only; loop thread only. At accept a peer gets a struct wrk_access: the rights that it has on
 * every URI, and the rules that give it rights on some. Peers to whom the same rules apply share one. So a question costs a
 * peer with the right everywhere one test of a bit, and any other peer a comparison with the prefix of each rule that is
 * about it and names the right: at most OM_RULES_MAX, in practice a few; nothing is allocated, nothing asked of the system.
 *
 * Without rules: every peer on a Unix socket has all rights (who may open the socket is the file system's to say), one on
 * TCP none. With rules: what they give, to root and the daemon's own user, too. `legacy` is also held by access.legacy.
 *
 * Groups: the peer's main group and its supplementary ones, as they were when it connected (SO_PEERCRED, SO_PEERGROUPS).
 */
#ifndef WRK_ACCESS_H
#define WRK_ACCESS_H

#include "common/om_rules.h"
#include "worker/wrk.h"

struct wrk_access_set;

struct wrk_access {
	uint32_t everywhere; /* enum om_right: on every URI */
	uint32_t somewhere;  /* on some, those above included */
	unsigned n;
	const struct om_rule *const *rules; /* those that give rights which are not held everywhere; sorted by prefix */
};

/**
 * Take over a table of rules. Later calls replace it: the caller then asks again for the access of every peer.
 * @param rules_fd  the segment (om_rules.h), ours on success; -1: no rules
 * @return 0; -OBJM_STATUS_CORRUPT, -OBJM_STATUS_SYSTEM, -OBJM_STATUS_OUT_OF_MEMORY: the rules before stay in force
 */
int wrk_access_load(struct wrk *w, int rules_fd) OM_MUST_USE;
void wrk_access_free(struct wrk *w);

/**
 * The access of a peer, good until the next wrk_access_load() and beyond: until wrk_access_put().
 * @param fd  its socket
 * @return never NULL: out of memory gives no rights at all (logged)
 */
const struct wrk_access *wrk_access_get(struct wrk *w, int fd, enum om_listen_kind kind, uint32_t uid);
/** One more holder of it. */
const struct wrk_access *wrk_access_hold(const struct wrk_access *a);
void wrk_access_put(struct wrk *w, const struct wrk_access *a);

/** Is any of the peer's rules, together, giving all of `rights` on this URI? The slow half of wrk_access_may(). */
bool wrk_access_match(const struct wrk_access *a, uint32_t rights, const void *uri, size_t len);

/** Does the peer have all of `rights` (enum om_right) on this URI? */
static inline bool wrk_access_may(const struct wrk_access *a, uint32_t rights, const void *uri, size_t len)
{
	return (a->everywhere & rights) == rights ||
	       ((a->somewhere & rights) == rights && wrk_access_match(a, rights, uri, len));
}

#endif
