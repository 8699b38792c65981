/*
 * msg_ring.h: what crosses the rings (om_ring.h) between the supervisor and its children.
 *
 * One header for this process boundary. Host byte order, fixed width, no pointers; variable parts follow the fixed one in
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
 *  SCAN        sup -> lifecycle   FOUND* SCANNED    lifecycle
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
	OM_OP_VERDICT = 64,
	OM_OP_RECORD,
	OM_OP_ENTRY,
	OM_OP_LIST_END,
	OM_OP_REAP,
	OM_OP_SCAN,
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
 * PREPARE: check the precondition, reserve the key and `size` bytes of the tier, give the id.
 * Then: uri. VERDICT: OK with the id; PRECONDITION_FAILED with the current version; TRY_AGAIN; NO_SPACE; UNAVAILABLE;
 * READ_ONLY. The reservation lasts until COMMIT, ABORT or the end of the worker.
 */
struct om_op_prepare {
	struct om_op_hdr hdr;
	struct om_op_cond cond;
	uint64_t size;
	uint32_t flags; /* enum om_obj_flag */
	uint32_t uid;	/* of the client */
	uint8_t tier;
	uint8_t pad;
	uint16_t uri_len;
	uint32_t pad2;
};
static_assert(sizeof(struct om_op_prepare) == 56, "ring messages");

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

/* SET: change flags, type or metadata; the id stays, the revision rises. Then: uri, type, meta. VERDICT. */
struct om_op_set {
	struct om_op_hdr hdr;
	struct om_op_cond cond;
	uint32_t flags_mask; /* which flags change: PINNED and EVICTABLE only */
	uint32_t flags;
	uint8_t has_type, has_meta;
	uint16_t uri_len;
	uint16_t type_len;
	uint16_t meta_len;
};
static_assert(sizeof(struct om_op_set) == 48, "ring messages");

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

/* REAP: remove the file of (tier, id), which no record names any more; its name is durably gone when REAPED says 0. */
struct om_op_reap {
	struct om_op_hdr hdr;
	uint64_t id;
	uint8_t tier;
	uint8_t pad[7];
};
static_assert(sizeof(struct om_op_reap) == 32, "ring messages");
struct om_op_reaped {
	struct om_op_hdr hdr;
	uint64_t id;
	int32_t status; /* 0 (a file that was not there is removed too) or negative */
	uint8_t tier;
	uint8_t pad[3];
};
static_assert(sizeof(struct om_op_reaped) == 32, "ring messages");

/* SCAN: report every file of the tier with id_from <= id < id_to. */
enum om_scan_mode {
	OM_SCAN_REBUILD, /* the catalog is being made again from what is found */
	OM_SCAN_ORPHANS, /* what no record names is removed */
	OM_SCAN_COUNT
};
struct om_op_scan {
	struct om_op_hdr hdr;
	uint64_t id_from, id_to;
	uint8_t tier;
	uint8_t mode; /* enum om_scan_mode */
	uint8_t pad[6];
};
static_assert(sizeof(struct om_op_scan) == 40, "ring messages");
/* FOUND: a file of the scan `req`. Then: uri, type, meta. uri_len 0: its attribute is missing or damaged. */
struct om_op_found {
	struct om_op_hdr hdr;
	uint64_t id;
	uint64_t size;
	uint64_t mtime_ns;
	uint64_t expiry_s;
	uint32_t flags;
	uint32_t rev;
	uint8_t tier;
	uint8_t pad;
	uint16_t uri_len;
	uint16_t type_len;
	uint16_t meta_len;
};
static_assert(sizeof(struct om_op_found) == 64, "ring messages");
struct om_op_scanned {
	struct om_op_hdr hdr;
	uint64_t files; /* reported */
	int32_t status; /* 0, or why the scan ended early */
	uint8_t tier;
	uint8_t pad[3];
};
static_assert(sizeof(struct om_op_scanned) == 32, "ring messages");

/* The largest message fits the ring. */
static_assert(sizeof(struct om_op_record) + OM_URI_MAX + OM_TYPE_MAX + OM_META_MAX < 16384, "ring messages");

#endif
