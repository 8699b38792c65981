/*
 * wrk_ring.h: requests to the supervisor over the ring, and their answers.
 *
 * Linked by objmapper-worker only; loop thread only. At most OM_OPS_MAX requests are unanswered; while the ring itself is
 * full, requests wait in a queue bounded by WRK_RING_QUEUE_BYTES. Above either bound a call returns -TRY_AGAIN and nothing
 * has been sent; wrk_ring_full() says so beforehand, and connections stop reading while it does.
 *
 * Every request that was accepted (0) gets its callback exactly once (LIST: its entries and then its end), from the loop,
 * never from inside the call that made it; unless it was forgotten. A supervisor that dies takes the worker with it, so no
 * callback ever reports that.
 */
#ifndef WRK_RING_H
#define WRK_RING_H

#include "common/msg_ring.h"
#include "common/om_ring.h"
#include "worker/wrk_loop.h"

#define WRK_RING_QUEUE_BYTES (8u << 20)

struct wrk_ring;

/* Answer to a change; `v` lives during the call. v->status is 0 or negative. */
typedef void wrk_ring_verdict_fn(void *arg, const struct om_op_verdict *v);
/* Answer to a look-up: `type` (rec->type_len bytes) and `meta` (rec->meta_len, valid) live during the call. */
typedef void wrk_ring_record_fn(void *arg, const struct om_op_record *rec, const char *type, const unsigned char *meta);
/* One entry of a listing (entry, uri, type; end is NULL), or its end (end; the others NULL). */
typedef void wrk_ring_list_fn(void *arg, const struct om_op_entry *entry, const char *uri, const char *type,
			      const struct om_op_list_end *end);

/** What a PREPARE asks. Pointers are borrowed during the call. */
struct wrk_ring_prepare {
	const char *uri;
	uint16_t uri_len;
	uint8_t tier;
	uint8_t cond_kind; /* enum om_cond */
	uint64_t cond_id;
	uint32_t cond_rev;
	uint32_t flags; /* enum om_obj_flag */
	uint32_t uid;	/* of the client */
	uint32_t room;	/* that it has; 0: none */
	uint64_t size;
};

/**
 * Take over one end of the ring pair (on success) and register its door-bell with the loop.
 * @return 0; -OBJM_STATUS_OUT_OF_MEMORY; -OBJM_STATUS_SYSTEM
 */
int wrk_ring_new(struct wrk_loop *loop, struct om_ring *ring, struct wrk_ring **ret) OM_MUST_USE;
void wrk_ring_free(struct wrk_ring *r);

/** True while no request should be begun: table or queue nearly full. */
bool wrk_ring_full(const struct wrk_ring *r);
/** Called once when wrk_ring_full() has become false again (connections read on). */
void wrk_ring_on_room(struct wrk_ring *r, void (*fn)(void *arg), void *arg);

/*
 * Requests. All: @return 0 and, if ret_req is not NULL, the request's number; -OBJM_STATUS_TRY_AGAIN: at a bound.
 */
int wrk_ring_prepare(struct wrk_ring *r, const struct wrk_ring_prepare *p, wrk_ring_verdict_fn *fn, void *arg,
		     uint64_t *ret_req) OM_MUST_USE;
/** `rec`: id, size, mtime_ns, expiry_s, flags, tier, uri, type and meta are sent. Never refused with TRY_AGAIN for want of
 * queue room (a prepared file must get its verdict); only the table of requests bounds it. */
int wrk_ring_commit(struct wrk_ring *r, const struct om_rec *rec, wrk_ring_verdict_fn *fn, void *arg,
		    uint64_t *ret_req) OM_MUST_USE;
/** Give the reservation of `id` back. No answer, never refused. `status`: why, 0 or negative. */
void wrk_ring_abort(struct wrk_ring *r, uint64_t id, int status);
int wrk_ring_delete(struct wrk_ring *r, const char *uri, uint16_t uri_len, uint8_t cond_kind, uint64_t cond_id,
		    uint32_t cond_rev, wrk_ring_verdict_fn *fn, void *arg, uint64_t *ret_req) OM_MUST_USE;
/** A connection of this uid wants to be served, or a put to be open; it has ended. No bound but the table of requests. */
int wrk_ring_enter(struct wrk_ring *r, enum om_admit what, uint32_t uid, wrk_ring_verdict_fn *fn, void *arg) OM_MUST_USE;
void wrk_ring_leave(struct wrk_ring *r, enum om_admit what, uint32_t uid);

/** Changes, as the supervisor tells them: `uri` is m->uri_len bytes. Called from the loop; both live during the call. */
typedef void wrk_ring_changed_fn(void *arg, const struct om_op_changed *m, const char *uri);
void wrk_ring_on_change(struct wrk_ring *r, wrk_ring_changed_fn *fn, void *arg);
/** Ask for the feed of changes behind `from` (UINT64_MAX: from now on), or end it. Never refused; HERE comes first. */
void wrk_ring_watch(struct wrk_ring *r, bool on, uint64_t from);

/** What a SET asks. Pointers are borrowed during the call. */
struct wrk_ring_set {
	const char *uri;
	uint16_t uri_len;
	bool has_type, has_meta, has_expiry;
	const char *type;
	uint16_t type_len;
	const char *meta;
	uint16_t meta_len;
	uint64_t expiry_s;
	uint32_t flags, flags_mask, flags_keep; /* as struct om_op_set */
	struct om_op_cond cond;
};
int wrk_ring_set(struct wrk_ring *r, const struct wrk_ring_set *s, wrk_ring_verdict_fn *fn, void *arg,
		 uint64_t *ret_req) OM_MUST_USE;
/** `full`: content type, metadata and heat too. */
int wrk_ring_lookup(struct wrk_ring *r, const char *uri, uint16_t uri_len, bool full, wrk_ring_record_fn *fn, void *arg,
		    uint64_t *ret_req) OM_MUST_USE;
/** Room for a put session (msg_ring.h, RESERVE). */
int wrk_ring_reserve(struct wrk_ring *r, uint32_t room, uint64_t bytes, uint8_t tier, uint32_t uid, uint32_t flags, bool wait,
		     wrk_ring_verdict_fn *fn, void *arg, uint64_t *ret_req) OM_MUST_USE;
/** It is given back. No answer, never refused. */
void wrk_ring_release(struct wrk_ring *r, uint32_t room);
/** The file that the slot names is not there. The verdict says what the supervisor found. */
int wrk_ring_gone(struct wrk_ring *r, const char *uri, uint16_t uri_len, uint64_t id, uint8_t tier, wrk_ring_verdict_fn *fn,
		  void *arg, uint64_t *ret_req) OM_MUST_USE;
int wrk_ring_list(struct wrk_ring *r, const char *prefix, uint16_t prefix_len, const char *after, uint16_t after_len,
		  uint8_t delimiter, uint32_t limit, wrk_ring_list_fn *fn, void *arg, uint64_t *ret_req) OM_MUST_USE;

/** The callback of `req` will not be called (its owner goes away); the answer, when it comes, is dropped. A PREPARE must
 * not be forgotten: its id would stay reserved. Fine on a request already answered. */
void wrk_ring_forget(struct wrk_ring *r, uint64_t req);

/** Requests without an answer. */
unsigned wrk_ring_pending(const struct wrk_ring *r);

/* Hooks of the loop: before a wait (kick the supervisor, say that we sleep: false: do not) and after it. */
bool wrk_ring_before_wait(struct wrk_ring *r);
void wrk_ring_after_wait(struct wrk_ring *r);

#endif
