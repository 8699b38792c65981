/*
 * msg_ring.h: what crosses the rings (om_ring.h) between the supervisor and its children.
 *
 * One header for this process boundary; what only the lifecycle process sends or gets is in msg_ring_lifecycle.h. Host byte order, fixed width, no pointers; variable parts follow the fixed one in
 * the order named, without padding between them; om_ring pads the whole. `len` is the exact length of the message.
 * The supervisor checks, in this order: type, exact length, fields, who may send it, limits, existence; then it acts.
 * A child that sends what cannot be is killed and replaced (om_ring.h, TRUST).
 *
 * `req` is the sender's cookie; an answer carries it back. A child has at most OM_OPS_MAX requests unanswered.
 *
 *  message     direction          answer            who
 *  PREPARE     child -> sup       VERDICT           worker
 *  COMMIT      child -> sup       VERDICT           worker
 *  ABORT       child -> sup       none              worker
 *  DELETE      child -> sup       VERDICT           worker
 *  SET         child -> sup       VERDICT           worker
 *  LOOKUP      child -> sup       RECORD            worker, lifecycle
 *  LIST        child -> sup       ENTRY* LIST_END   worker
 *  FOUND       lifecycle -> sup   none              lifecycle
 *  SCANNED     lifecycle -> sup   none              lifecycle
 *  REAPED      lifecycle -> sup   none              lifecycle
 *  REAP        sup -> lifecycle   REAPED            lifecycle
 *  ADMIT       child -> sup       VERDICT           worker
 *  LEAVE       child -> sup       none              worker
 *  ATTR        sup -> lifecycle   ATTRED            lifecycle
 *  ATTRED      lifecycle -> sup   none              lifecycle
 *  SCAN        sup -> lifecycle   FOUND* SCANNED    lifecycle
 *  MOVE_BEGIN  lifecycle -> sup   VERDICT           lifecycle
 *  MOVE_COMMIT lifecycle -> sup   VERDICT           lifecycle
 *  MOVE_ABORT  lifecycle -> sup   none              lifecycle
 *  DROP        lifecycle -> sup   VERDICT           lifecycle
 *  GONE        child -> sup       VERDICT           worker, lifecycle
 *  ROOM        sup -> lifecycle   none              lifecycle
 *  TASK        sup -> lifecycle   TASKED            lifecycle
 *  RESERVE     child -> sup       VERDICT           worker
 *  RELEASE     child -> sup       none              worker
 *  WATCH       child -> sup       CHANGED*          worker
 *  CHANGED     sup -> child       none              worker
 */
#ifndef MSG_RING_H
#define MSG_RING_H

#include "common/om_obj.h"

#define OM_OPS_MAX 4096u	 /* unanswered requests of a child */
#define OM_LIST_BYTES_MAX 65536u /* bytes of ENTRY messages to one LIST */
#define OM_LIST_LIMIT_MAX 1000u	 /* entries to one LIST */

enum om_op {
	OM_OP_PREPARE = 1,
	OM_OP_COMMIT,
	OM_OP_ABORT,
	OM_OP_DELETE,
	OM_OP_SET,
	OM_OP_LOOKUP,
	OM_OP_LIST,
	OM_OP_FOUND,
	OM_OP_SCANNED,
	OM_OP_REAPED,
	OM_OP_MOVE_BEGIN,
	OM_OP_MOVE_COMMIT,
	OM_OP_MOVE_ABORT,
	OM_OP_DROP,
	OM_OP_GONE,
	OM_OP_TASKED,
	OM_OP_WATCH,
	OM_OP_ATTRED,
	OM_OP_ADMIT,
	OM_OP_LEAVE,
	OM_OP_RESERVE,
	OM_OP_RELEASE,
	OM_OP_VERDICT = 64,
	OM_OP_RECORD,
	OM_OP_ENTRY,
	OM_OP_LIST_END,
	OM_OP_REAP,
	OM_OP_SCAN,
	OM_OP_ROOM,
	OM_OP_TASK,
	OM_OP_CHANGED,
	OM_OP_ATTR,
};

struct om_op_hdr {
	uint32_t len; /* of the whole message, bytes */
	uint16_t type;
	uint16_t pad;
	uint64_t req;
};
static_assert(sizeof(struct om_op_hdr) == 16, "ring messages");

/* A precondition, as it travels. */
struct om_op_cond {
	uint64_t id;
	uint32_t rev;
	uint8_t kind; /* enum om_cond */
	uint8_t pad[3];
};
static_assert(sizeof(struct om_op_cond) == 16, "ring messages");

/*
 * PREPARE: check the precondition, reserve the key and `size` bytes of the tier (those of `room` among them, which ends with an
 * OK), give the id. Where there is no room and something could go, the answer waits, for limits.room_wait at the most.
 * Then: uri. VERDICT: OK with the id; PRECONDITION_FAILED with the current version; TRY_AGAIN; NO_SPACE; UNAVAILABLE;
 * READ_ONLY; LIMIT_EXCEEDED: cur_rev says what (enum om_owner_limit), cur_id the limit. The object is `uid`'s. The reservation lasts until COMMIT, ABORT or the end of the worker.
 */
struct om_op_prepare {
	struct om_op_hdr hdr;
	struct om_op_cond cond;
	uint64_t size;
	uint32_t flags; /* enum om_obj_flag */
	uint32_t uid;	/* of the client; OM_UID_NONE: over TCP */
	uint8_t tier;
	uint8_t pad;
	uint16_t uri_len;
	uint32_t room; /* of RESERVE; 0: none */
};
static_assert(sizeof(struct om_op_prepare) == 56, "ring messages");

/* Of what a user owns too much. */
enum om_owner_limit {
	OM_OWNER_OK,	  /* another limit: half of the tier is pinned, open sessions */
	OM_OWNER_BYTES,	  /* of all objects */
	OM_OWNER_OBJECTS, /* their number */
	OM_OWNER_ROOM,	  /* what open puts have reserved is as much as the objects may have */
	OM_OWNER_USERS,	  /* too many users own anything */
};

/*
 * COMMIT: the file of this id is linked and as durable as the tier promises; commit its record, publish, answer.
 * Then: uri, type, meta. VERDICT: OK with (id, rev); NO_SPACE, STORAGE: not committed, the supervisor has the file
 * removed; INVALID_REQUEST: no such reservation.
 */
struct om_op_commit {
	struct om_op_hdr hdr;
	uint64_t id;
	uint64_t size;
	uint64_t mtime_ns;
	uint64_t expiry_s;
	uint32_t flags;
	uint8_t tier;
	uint8_t pad;
	uint16_t uri_len;
	uint16_t type_len;
	uint16_t meta_len;
	uint32_t pad2;
};
static_assert(sizeof(struct om_op_commit) == 64, "ring messages");

/*
 * ABORT: give a reservation back; the worker will not touch its file any more. The supervisor has the file removed, if
 * there is one. No answer. `status` -STORAGE: an fsync of the tier failed, so the tier takes no more writes.
 */
struct om_op_abort {
	struct om_op_hdr hdr;
	uint64_t id;
	int32_t status; /* why: 0 or a negative status */
	uint32_t pad;
};
static_assert(sizeof(struct om_op_abort) == 32, "ring messages");

/* DELETE: then uri. VERDICT: OK with the id that was deleted; NOT_FOUND; PRECONDITION_FAILED; TRY_AGAIN; UNAVAILABLE. */
struct om_op_delete {
	struct om_op_hdr hdr;
	struct om_op_cond cond;
	uint16_t uri_len;
	uint8_t pad[6];
};
static_assert(sizeof(struct om_op_delete) == 40, "ring messages");

/*
 * SET: change flags, expiry, type or metadata; the id stays, the revision rises. Then: uri, type, meta. VERDICT: OK with
 * (id, rev); NOT_FOUND; PRECONDITION_FAILED with what stands; INVALID_REQUEST: EPHEMERAL would change; PERMISSION_DENIED: a flag
 * of `flags_keep` would; LIMIT_EXCEEDED: too much of the tier is pinned; UNAVAILABLE; NO_SPACE; READ_ONLY; STORAGE; TRY_AGAIN.
 */
struct om_op_set {
	struct om_op_hdr hdr;
	struct om_op_cond cond;
	uint64_t expiry_s;
	uint32_t flags_mask; /* which flags become those of `flags` */
	uint32_t flags;
	uint32_t flags_keep; /* which must not change */
	uint8_t has_type, has_meta, has_expiry;
	uint8_t pad;
	uint16_t uri_len;
	uint16_t type_len;
	uint16_t meta_len;
	uint16_t pad2;
};
static_assert(sizeof(struct om_op_set) == 64, "ring messages");

/* Answer to a change. */
struct om_op_verdict {
	struct om_op_hdr hdr;
	int32_t status; /* 0 or a negative status */
	uint32_t rev;
	uint64_t id;
	uint64_t cur_id; /* PRECONDITION_FAILED: the version that stands, 0: none */
	uint32_t cur_rev;
	uint32_t pad;
};
static_assert(sizeof(struct om_op_verdict) == 48, "ring messages");

/* LOOKUP: then uri. RECORD: then type, meta (empty unless `full`). */
struct om_op_lookup {
	struct om_op_hdr hdr;
	uint16_t uri_len;
	uint8_t full; /* 1: content type, metadata and heat too */
	uint8_t pad[5];
};
static_assert(sizeof(struct om_op_lookup) == 24, "ring messages");

struct om_op_record {
	struct om_op_hdr hdr;
	int32_t status; /* 0; -NOT_FOUND (authoritative); -UNAVAILABLE: a tier that may hold it is not there */
	uint32_t rev;
	uint64_t id;
	uint64_t size;
	uint64_t mtime_ns;
	uint64_t expiry_s;
	uint32_t flags;
	uint8_t tier, home;
	uint16_t type_len;
	uint16_t meta_len;
	uint16_t pad;
	uint32_t heat_ppm;	/* 0..1,000,000 */
	uint64_t last_access_s; /* since 1970, 0: never seen */
	uint32_t access_count;	/* decayed */
	uint32_t pad2;
};
static_assert(sizeof(struct om_op_record) == 88, "ring messages");

/* LIST: then prefix, after. Entries come in byte order of the URI, none twice. */
struct om_op_list {
	struct om_op_hdr hdr;
	uint32_t limit; /* 1..OM_LIST_LIMIT_MAX */
	uint16_t prefix_len;
	uint16_t after_len; /* start after this name; 0: at the prefix */
	uint8_t delimiter;  /* 0: none; names that go on after it (behind the prefix) are grouped */
	uint8_t pad[7];
};
static_assert(sizeof(struct om_op_list) == 32, "ring messages");

/* ENTRY: then uri, type. */
struct om_op_entry {
	struct om_op_hdr hdr;
	uint64_t id;
	uint64_t size;
	uint64_t mtime_ns;
	uint64_t expiry_s;
	uint32_t rev;
	uint32_t flags;
	uint8_t tier, home;
	uint8_t is_prefix; /* a group, only its name means something */
	uint8_t pad;
	uint16_t uri_len;
	uint16_t type_len;
};
static_assert(sizeof(struct om_op_entry) == 64, "ring messages");

struct om_op_list_end {
	struct om_op_hdr hdr;
	int32_t status; /* 0; -UNAVAILABLE: a tier is absent or being rebuilt, the names given are not all */
	uint8_t more;	/* the listing goes on after the last entry given */
	uint8_t pad[3];
};
static_assert(sizeof(struct om_op_list_end) == 24, "ring messages");

/*
 * GONE: the slot says that (id, tier) is there, and its file is not. Then: uri. The supervisor looks itself (a child's word
 * is not enough), in this order: the record still stands; the file is not there; then the record of that tier goes, and the
 * home copy serves if there is one. VERDICT: OK: look at the slot again; NOT_FOUND: nothing is left of it; INVALID_REQUEST: the
 * file is there.
 */
struct om_op_gone {
	struct om_op_hdr hdr;
	uint64_t id;
	uint8_t tier;
	uint8_t pad;
	uint16_t uri_len;
	uint8_t pad2[4];
};
static_assert(sizeof(struct om_op_gone) == 32, "ring messages");

/*
 * RESERVE: `bytes` of the tier for a put session from now on, or so many in all where `room` has some already. `room` is the
 * worker's number, not 0; it lasts until RELEASE, a PREPARE that names it, or the end of the worker. VERDICT: OK; NO_SPACE (with
 * `wait`: after limits.room_wait, if copies or evictable objects could go); LIMIT_EXCEEDED (pinned objects may have half of a
 * tier); as PREPARE for the tier's state.
 */
struct om_op_reserve {
	struct om_op_hdr hdr;
	uint64_t bytes;
	uint32_t room;
	uint32_t flags; /* enum om_obj_flag, of the object to come */
	uint8_t tier;
	uint8_t wait;
	uint8_t pad[2];
	uint32_t uid; /* of the client, as in PREPARE */
};
static_assert(sizeof(struct om_op_reserve) == 40, "ring messages");
/* RELEASE: the session has ended without a PREPARE that took its room. One that is not there is fine. */
struct om_op_release {
	struct om_op_hdr hdr;
	uint32_t room;
	uint32_t pad;
};
static_assert(sizeof(struct om_op_release) == 24, "ring messages");

/* What is counted over all workers, and the limits on it. */
enum om_admit { OM_ADMIT_CONN, OM_ADMIT_PUT, OM_ADMIT_WATCH, OM_ADMITS };
enum om_admit_limit { OM_ADMIT_OK, OM_ADMIT_LIMIT_ALL, OM_ADMIT_LIMIT_UID };

/* ADMIT: a connection of this uid (UINT32_MAX: over TCP) wants to be served, or begins a put that stays open, or a watch. VERDICT: OK: it counts
 * until LEAVE or the end of the worker; LIMIT_EXCEEDED, cur_rev says which (enum om_admit_limit). LEAVE: one that was admitted
 * has ended. */
struct om_op_admit {
	struct om_op_hdr hdr;
	uint32_t uid;
	uint8_t what; /* enum om_admit */
	uint8_t pad[3];
};
static_assert(sizeof(struct om_op_admit) == 24, "ring messages");

/* ---- changes, told as they happen ---- */

/* WATCH: on: from now on the worker gets CHANGED of every change, in the order of publication, beginning after position
 * `from` (UINT64_MAX: from now; one that is not held any more: LOST, then what is held). off: no more. No answer but the CHANGED
 * HERE. One feed a worker: it serves all of its clients' watches from it; asking again sets it back. */
struct om_op_watch {
	struct om_op_hdr hdr;
	uint64_t from;
	uint8_t on;
	uint8_t pad[7];
};
static_assert(sizeof(struct om_op_watch) == 32, "ring messages");

enum om_change {
	OM_CHANGE_PUT,
	OM_CHANGE_DELETE, /* deleted, expired or evicted */
	OM_CHANGE_SET,	  /* flags, type or metadata */
	OM_CHANGE_MOVED,  /* another tier serves it */
	OM_CHANGE_LOST,	  /* positions up to `pos` are not known any more: who watches must list again */
	OM_CHANGE_HERE,	  /* the first after each WATCH: what follows comes behind `pos` */
	OM_CHANGES
};

/* CHANGED: then uri (none with LOST and HERE). `pos` rises by one with each; positions of another `epoch` mean nothing. */
struct om_op_changed {
	struct om_op_hdr hdr;
	uint64_t epoch; /* of the supervisor's run */
	uint64_t pos;
	uint64_t id;
	uint64_t size;
	uint64_t mtime_ns;
	uint64_t expiry_s;
	uint32_t rev;
	uint32_t flags;
	uint8_t change; /* enum om_change */
	uint8_t tier, home;
	uint8_t pad;
	uint16_t uri_len;
	uint8_t pad2[2];
};
static_assert(sizeof(struct om_op_changed) == 80, "ring messages");

/* The largest message fits the ring. */
static_assert(sizeof(struct om_op_record) + OM_URI_MAX + OM_TYPE_MAX + OM_META_MAX < 16384, "ring messages");

#endif
