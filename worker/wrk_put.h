/*
 * wrk_put.h: put sessions: from BEGIN (or an inline PUT) to the acknowledged object.
 *
 * Linked by objmapper-worker only; loop thread only. What may block runs on the I/O pool (wrk_io.h), what changes the store
 * goes over the ring (wrk_ring.h). The order of the steps is that of doc/architecture.md, "PUT, so that nobody ever sees half
 * an object"; the fault points put.* lie between them.
 *
 * OWNERSHIP  a session belongs to a struct wrk_put_owner, a member of a connection. wrk_put_owner_close() ends all of its
 *            sessions: no callback comes after it, a reservation is given back, a file without a name vanishes.
 * BOUNDS     limits.put_sessions, put_sessions_per_uid; inline bytes WRK_PUT_INLINE_BYTES in all and half of it for a uid.
 * CALLBACKS  each accepted call (0) is answered exactly once, never from inside the call, unless its owner was closed.
 *            Refused calls have filled *ret_text with a sentence that lives until the next call of this module.
 */
#ifndef WRK_PUT_H
#define WRK_PUT_H

#include "worker/wrk.h"

#define WRK_PUT_INLINE_BYTES (64u << 20) /* of inline payloads that are not written yet, a worker */

struct wrk_put_set;
struct wrk_put; /* a session */

/* Member of a connection. */
struct wrk_put_owner {
	struct wrk_put *first;
	uint32_t uid;
	unsigned n; /* sessions; not 0: the connection is not idle */
};

/* What BEGIN and inline PUT say. Pointers are borrowed during the call; uri, meta must have been checked. */
struct wrk_put_req {
	const char *uri;
	const char *type;	   /* type_len 0: none */
	const unsigned char *meta; /* meta_len 0: none */
	uint16_t uri_len, type_len, meta_len;
	uint64_t size_hint; /* 0: not known */
	uint32_t flags;	    /* enum om_obj_flag */
	uint32_t ttl_s;	    /* 0: for ever */
	uint8_t cond_kind;  /* enum om_cond */
	uint64_t cond_id;
	uint32_t cond_rev;
	uint8_t durability; /* enum om_durability: at least this; OM_DUR_COUNT: the tier's */
};

/* Answer to BEGIN. */
struct wrk_put_begun {
	int status;	  /* 0 or negative */
	uint32_t session; /* its number, for wrk_put_find() */
	int fd;		  /* writable; the callee's: close it as soon as it was sent (the commit waits for that); -1 on failure */
	uint8_t tier;
	const char *text; /* on failure: what, why, what to do; lives during the call */
};
typedef void wrk_put_begun_fn(void *arg, const struct wrk_put_begun *b);

/* Answer to COMMIT and inline PUT. */
struct wrk_put_done {
	int status; /* 0 or negative. WRITER_STILL_OPEN and TRY_AGAIN leave a begun session open; all others end it */
	uint32_t session;
	uint64_t id;
	uint64_t size;
	uint64_t mtime_ns;
	uint64_t expiry_s;
	uint32_t rev;
	uint32_t flags;
	uint8_t tier;
	uint8_t durability; /* reached: enum om_durability */
	uint64_t cur_id;    /* PRECONDITION_FAILED: the version that stands, 0: none */
	uint32_t cur_rev;
	const char *text; /* on failure */
};
typedef void wrk_put_done_fn(void *arg, const struct wrk_put_done *d);

/** Call after w->loop, ring, io, tiers, idx are set; may open descriptors: before the sandbox.
 * @return 0; -OBJM_STATUS_OUT_OF_MEMORY; -OBJM_STATUS_SYSTEM */
int wrk_put_new(struct wrk *w, struct wrk_put_set **ret) OM_MUST_USE;
/** All owners must be closed. Waits for nothing: call it after wrk_io_free(). */
void wrk_put_free(struct wrk_put_set *s);

void wrk_put_owner_init(struct wrk_put_owner *o, uint32_t uid);
/** The connection is gone. Fine when it has no session. */
void wrk_put_owner_close(struct wrk_put_set *s, struct wrk_put_owner *o);

/**
 * Begin a session.
 * @return 0: fn will be called; or a negative status at once (bounds, no tier that takes it) with *ret_text
 */
int wrk_put_begin(struct wrk_put_set *s, struct wrk_put_owner *o, const struct wrk_put_req *req, wrk_put_begun_fn *fn,
		  void *arg, const char **ret_text) OM_MUST_USE;

/** A session of this owner by its number; NULL: there is none (NO_SESSION), or an inline one. */
struct wrk_put *wrk_put_find(struct wrk_put_set *s, const struct wrk_put_owner *o, uint32_t session);

/** What is being put: uri, flags; lives as long as the session. */
const struct om_rec *wrk_put_rec(const struct wrk_put *p);

/** Commit. @return 0: fn will be called; -OBJM_STATUS_TRY_AGAIN: a commit of this session is under way already, or it has not begun */
int wrk_put_commit(struct wrk_put_set *s, struct wrk_put *p, wrk_put_done_fn *fn, void *arg, const char **ret_text) OM_MUST_USE;

/** Drop a session, whatever its state: no callback comes any more. */
void wrk_put_abort(struct wrk_put_set *s, struct wrk_put *p);

/**
 * Begin an inline PUT of `payload_len` bytes (at most limits.inline_bytes), which follow by wrk_put_feed(). When the last byte
 * has been fed (at once for an empty one) it is committed and fn is called. The handle is valid until fn was called, the
 * session was aborted or the owner closed. On a refusal the caller skips the payload.
 */
int wrk_put_inline(struct wrk_put_set *s, struct wrk_put_owner *o, const struct wrk_put_req *req, uint64_t payload_len,
		   wrk_put_done_fn *fn, void *arg, struct wrk_put **ret_put, const char **ret_text) OM_MUST_USE;
/** The next bytes; never more than are still missing. */
void wrk_put_feed(struct wrk_put_set *s, struct wrk_put *p, const void *data, size_t len);

/** Sessions of this worker, detached commits included: a drain waits until it is 0 (or its time is over). */
unsigned wrk_put_count(const struct wrk_put_set *s);

#endif
